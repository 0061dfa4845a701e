/** A component that comes in a file of its own, after the numbers. */
import { signal } from "@preact/signals";
import type { ComponentChildren, ComponentType } from "preact";
import { t } from "../store/store";
import { Missing, type Part, part } from "./part";

/** The component, drawing `waiting` until it is there; and its part, which may be asked for before it is drawn. */
export function lazy<P extends object>(
  load: () => Promise<ComponentType<P>>,
  waiting: (missing: boolean) => ComponentChildren,
): readonly [ComponentType<P>, Part<void>] {
  const found = signal<ComponentType<P> | null>(null);
  const file = part(async () => {
    found.value = await load();
  });
  const Lazy = (props: P) => {
    const Here = found.value;
    if (Here) return <Here {...props} />;
    void file.ready();
    return <>{waiting(file.missing.value)}</>;
  };
  return [Lazy, file];
}

/** A view: its place is there at once, for the skip link and the keyboard. */
export function lazyView<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const [View] = lazy(load, (missing) => (
    <main class="view" id="view" tabIndex={-1} aria-busy={!missing}>
      {missing ? <Missing /> : <p class="empty">{t.value.loading}</p>}
    </main>
  ));
  return View;
}
