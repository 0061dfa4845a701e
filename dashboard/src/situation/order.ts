/** Keeps the table's order: by danger, but never under somebody's hand. */
import { effect, signal, untracked } from "@preact/signals";
import { byDanger, mayResort } from "../domain/sort";
import { levels, order, tick } from "../store/store";

/** When the pointer or the keyboard last did something inside the table; null when neither is in it. */
export const touchedMs = signal<number | null>(null);
/** Whether a better order is waiting for the hand to rest. */
export const held = signal(false);

let lastSortMs = Number.NEGATIVE_INFINITY;
let sortedBy = "";

effect(() => {
  const list = levels.value?.stations ?? [];
  const nowMs = tick.value.steadyMs;
  untracked(() => {
    const wanted = [...list].sort(byDanger);
    const ids = wanted.map((s) => s.station_id);
    const present = order.peek();
    const differs = ids.length !== present.length || ids.some((id, i) => id !== present[i]);
    const signature = list
      .map((s) => `${s.station_id}=${s.flood_level}`)
      .sort()
      .join();
    if (!differs) {
      sortedBy = signature;
      held.value = false;
      return;
    }
    const levelsChanged = signature !== sortedBy;
    if (mayResort({ nowMs, lastSortMs, touchedMs: touchedMs.peek(), levelsChanged })) {
      lastSortMs = nowMs;
      sortedBy = signature;
      order.value = ids;
      held.value = false;
    } else held.value = touchedMs.peek() !== null && levelsChanged;
  });
});
