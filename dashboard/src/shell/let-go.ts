/**
 * A screen that is never closed must not remember every picture it has shown. Of a part that redraws itself Preact's
 * parent keeps the first drawing, and through parts that stayed as they were every later one hangs on it: half a
 * megabyte each time, with a thousand stations. So whatever has been drawn anew lets its former drawing go.
 */
import { type Component, options, type VNode } from "preact";

/** By the names that Preact's own add-ons use: the part behind a drawing, and what was drawn within. */
interface Drawing extends VNode {
  readonly __c?: Component | null;
  __k?: unknown;
}

const former = new WeakMap<Component, Drawing>();

export function letGo(): void {
  const next = options.diffed;
  options.diffed = (vnode) => {
    next?.(vnode);
    const drawing = vnode as Drawing;
    const part = drawing.__c;
    if (!part) return;
    const old = former.get(part);
    if (old && old !== drawing) old.__k = null;
    former.set(part, drawing);
  };
}
