/** A view that comes in a file of its own, after the numbers. */
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { t } from "../store/store";

const RETRY_MS = 3_000;

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const found = signal<ComponentType<P> | null>(null);
  let asked = false;
  const ask = () => {
    load().then(
      (view) => {
        found.value = view;
      },
      () => setTimeout(ask, RETRY_MS),
    );
  };
  return (props: P) => {
    const View = found.value;
    if (View) return <View {...props} />;
    if (!asked) {
      asked = true;
      ask();
    }
    return (
      <main class="view" id="view" tabIndex={-1} aria-busy="true">
        <p class="empty">{t.value.loading}</p>
      </main>
    );
  };
}
