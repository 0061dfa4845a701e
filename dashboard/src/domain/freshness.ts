/** How old a number may be before the screen must say so. The server judges; time passing only worsens it. */

import type { Freshness, StationLevel } from "../api/types";

export const LATE_AFTER = 1.5;
export const DEAD_AFTER = 3;

const ORDER: Record<Freshness, number> = { fresh: 0, late: 1, dead: 2 };

/** Judges an age by the expected interval; a station that never reported is dead. */
export function freshness(ageS: number | null, intervalS: number): Freshness {
  if (ageS === null || ageS > DEAD_AFTER * intervalS) return "dead";
  return ageS > LATE_AFTER * intervalS ? "late" : "fresh";
}

export function worse(a: Freshness, b: Freshness): Freshness {
  return ORDER[a] >= ORDER[b] ? a : b;
}

/** Seconds since the measurement; null without one. Never negative: a clock a little ahead is "now". */
export function ageSeconds(observedAt: string | null, nowMs: number): number | null {
  if (observedAt === null) return null;
  return Math.max(0, (nowMs - Date.parse(observedAt)) / 1000);
}

/** What to show for a station now: the server's word, worsened by the time since. */
export function freshnessNow(
  station: Pick<StationLevel, "freshness" | "observed_at" | "report_every_s">,
  nowMs: number,
): Freshness {
  if (station.observed_at === null) return "dead";
  if (!station.report_every_s) return station.freshness;
  return worse(station.freshness, freshness(ageSeconds(station.observed_at, nowMs), station.report_every_s));
}
