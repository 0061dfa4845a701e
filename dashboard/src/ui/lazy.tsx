/** A view that comes in a file of its own, after the numbers. */
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { t } from "../store/store";
import { Missing, part } from "./part";

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const found = signal<ComponentType<P> | null>(null);
  const view = part(async () => {
    found.value = await load();
  });
  return (props: P) => {
    const View = found.value;
    if (View) return <View {...props} />;
    void view.ready();
    const missing = view.missing.value;
    return (
      <main class="view" id="view" tabIndex={-1} aria-busy={!missing}>
        {missing ? <Missing /> : <p class="empty">{t.value.loading}</p>}
      </main>
    );
  };
}
