/** Keeps the table's order: by danger, but never under somebody's hand. */
import { computed, effect, signal, untracked } from "@preact/signals";
import type { Alert } from "../api/types";
import { isOver, isUnanswered } from "../domain/alerts";
import { mayResort, moves, openLevels, ranked } from "../domain/sort";
import { alerts, levels, order, tick } from "../store/store";

/** When the pointer or the keyboard last did something inside the table; null when neither is in it. */
export const touchedMs = signal<number | null>(null);
/** How many rows would move if the order were brought up to date. */
export const waiting = signal(0);

/** Of each station the highest level of an alert that nobody has answered. */
export const unansweredLevels = computed(() => highest(isUnanswered));
const answeredLevels = computed(() => highest((alert) => !isUnanswered(alert) && !isOver(alert)));

function highest(which: (alert: Alert) => boolean): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const alert of alerts.value) {
    const id = alert.station_id;
    if (id !== null && which(alert)) found.set(id, Math.max(found.get(id) ?? 0, alert.flood_level ?? 0));
  }
  return found;
}

let lastSortMs = Number.NEGATIVE_INFINITY;
let wanted: readonly string[] = [];

/** Somebody has asked for the newest order. */
export function sortNow(): void {
  lastSortMs = tick.peek().steadyMs;
  order.value = wanted;
  waiting.value = 0;
}

effect(() => {
  const list = levels.value?.stations ?? [];
  const unanswered = unansweredLevels.value;
  const answered = answeredLevels.value;
  const nowMs = tick.value.steadyMs;
  untracked(() => {
    wanted = ranked(list, openLevels(list, unanswered, answered));
    const present = order.peek();
    if (wanted.length === present.length && wanted.every((id, i) => id === present[i])) {
      waiting.value = 0;
      return;
    }
    const known = new Set(present);
    const others = wanted.length !== present.length || wanted.some((id) => !known.has(id));
    if (others || mayResort({ nowMs, lastSortMs, touchedMs: touchedMs.peek() })) sortNow();
    else waiting.value = moves(present, wanted);
  });
});
