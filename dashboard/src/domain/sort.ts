/** The order of danger: what a person must look at first stands first. Pure. */

import type { StationLevel } from "../api/types";

/**
 * What a station is ranked by, each the larger the sooner: the highest level that nobody has answered, the flood level,
 * the time to the next threshold (negative), the way from level 1 to 4, metres to go (negative), the rise.
 * The flood level stands second, so that water somebody has answered for never sinks below calm water.
 */
export type DangerKey = readonly [number, number, number, number, number, number];

/** `unanswered`: the highest flood level of its alerts that nobody has answered; 0 without any. */
export function dangerKey(s: StationLevel, unanswered: number): DangerKey {
  const arrival = s.arrival ? Date.parse(s.arrival.likely) : Number.POSITIVE_INFINITY;
  return [
    unanswered,
    s.flood_level,
    -arrival,
    s.level_share ?? Number.NEGATIVE_INFINITY,
    -toGo(s),
    s.trend_m_per_h ?? 0,
  ];
}

/** With no threshold left above, the distance to the crest decides; without a level there is none. */
function toGo(s: StationLevel): number {
  if (s.level_m === null) return Number.POSITIVE_INFINITY;
  return s.next_threshold?.metres_to_go ?? s.freeboard_m ?? Number.POSITIVE_INFINITY;
}

/**
 * The level of each station that still waits for an answer: that of its unanswered alerts, and its flood level where no
 * answered alert is as high. While the alert engine is away water must not rank below what it raised before.
 */
export function openLevels(
  stations: readonly StationLevel[],
  unanswered: ReadonlyMap<string, number>,
  answered: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  return new Map(
    stations.map(({ station_id: id, flood_level: level }) => {
      const waits = level > (answered.get(id) ?? 0) ? level : 0;
      return [id, Math.max(waits, unanswered.get(id) ?? 0)];
    }),
  );
}

/**
 * Ids in the order of danger; equals by their id, so that they never swap places. A silent station keeps its last
 * known level here: silence is no reason to sink out of sight.
 */
export function ranked(
  stations: readonly StationLevel[],
  unanswered: ReadonlyMap<string, number>,
): readonly string[] {
  const keyed = stations.map((s) => [dangerKey(s, unanswered.get(s.station_id) ?? 0), s.station_id] as const);
  return keyed.sort(([a, idA], [b, idB]) => compare(a, b) || (idA < idB ? -1 : 1)).map(([, id]) => id);
}

/** Subtraction would make NaN of two infinities. */
function compare(a: DangerKey, b: DangerKey): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (x !== y) return x > y ? -1 : 1;
  }
  return 0;
}

/** How many rows must be moved to turn one order into the other: all but the longest run that stays in order. */
export function moves(shown: readonly string[], wanted: readonly string[]): number {
  const place = new Map(shown.map((id, i) => [id, i]));
  const ends: number[] = [];
  for (const id of wanted) {
    const at = place.get(id);
    if (at === undefined) continue;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    ends[low] = at;
  }
  return wanted.length - ends.length;
}

export const RESORT_EVERY_MS = 10_000;
/** A hand that has not stirred for so long is no hand: a mouse left on the table must not freeze it all night. */
export const HAND_RESTS_MS = 60_000;

export interface SortMoment {
  readonly nowMs: number;
  readonly lastSortMs: number;
  /** When the pointer or the keyboard last did something inside the table; null if neither is in it. */
  readonly touchedMs: number | null;
}

/** Rows are sorted at most every 10 s, and never under a hand. */
export function mayResort(m: SortMoment): boolean {
  if (m.touchedMs !== null && m.nowMs - m.touchedMs < HAND_RESTS_MS) return false;
  return m.nowMs - m.lastSortMs >= RESORT_EVERY_MS;
}
