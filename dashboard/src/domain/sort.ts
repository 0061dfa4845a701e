/** The order of danger: what a person must look at first stands first. */

import type { StationLevel } from "../api/types";

/**
 * Flood level ↓, metres to the next threshold ↑, rise ↓, then the id so that equals never swap places.
 * A silent station keeps its last known level here: silence is no reason to sink out of sight.
 */
export function byDanger(a: StationLevel, b: StationLevel): number {
  return (
    b.flood_level - a.flood_level ||
    compare(toGo(a), toGo(b)) ||
    compare(-(a.trend_m_per_h ?? 0), -(b.trend_m_per_h ?? 0)) ||
    (a.station_id < b.station_id ? -1 : a.station_id > b.station_id ? 1 : 0)
  );
}

/** Subtraction would make NaN of two infinities. */
const compare = (a: number, b: number) => (a < b ? -1 : a > b ? 1 : 0);

/** With no threshold left above, the distance to the crest decides; without a level there is none. */
function toGo(s: StationLevel): number {
  if (s.level_m === null) return Number.POSITIVE_INFINITY;
  return s.next_threshold?.metres_to_go ?? s.freeboard_m ?? Number.POSITIVE_INFINITY;
}

export const RESORT_EVERY_MS = 10_000;

export interface SortMoment {
  readonly nowMs: number;
  readonly lastSortMs: number;
  /** When the pointer or the keyboard last did something inside the table; null if neither is in it. */
  readonly touchedMs: number | null;
  /** Whether any station's flood level, or the set of stations, has changed since the last sort. */
  readonly levelsChanged: boolean;
}

/**
 * Rows must not jump under a hand, nor may a mouse left lying on the table freeze the order all night:
 * a hand holds the order for 10 s after it last moved. Untouched, a changed flood level sorts at once and
 * small differences at most every 10 s.
 */
export function mayResort(m: SortMoment): boolean {
  if (m.touchedMs !== null && m.nowMs - m.touchedMs < RESORT_EVERY_MS) return false;
  return m.levelsChanged || m.nowMs - m.lastSortMs >= RESORT_EVERY_MS;
}
