/** How old a number may be before the screen must say so. The server judges; time passing only worsens it. */

import type { Freshness, StationLevel } from "../api/types";

export const LATE_AFTER = 1.5;
export const DEAD_AFTER = 3;

const ORDER: Record<Freshness, number> = { fresh: 0, late: 1, dead: 2 };

/** So far a sensor's clock may run ahead of ours, seconds; what is measured later than that is of no known time. */
export const AHEAD_S = 300;

/** Judges an age by the expected interval; a station that never reported, or reported from the future, is dead. */
export function freshness(ageS: number | null, intervalS: number): Freshness {
  if (ageS === null || ageS > DEAD_AFTER * intervalS || ageS < -AHEAD_S) return "dead";
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

/** Seconds by which the measurement lies in the future beyond what clocks may differ; else 0. */
export function aheadSeconds(observedAt: string | null, nowMs: number): number {
  const ahead = observedAt === null ? 0 : (Date.parse(observedAt) - nowMs) / 1000;
  return ahead > AHEAD_S ? ahead : 0;
}

type Measured = Pick<StationLevel, "level_m" | "observed_at" | "flag" | "judged_m" | "judged_at">;

/** Nobody may read it as the level of the water. */
export const failed = ({ flag }: Pick<StationLevel, "flag">) => flag !== null && flag >= 4;

/** When the level was measured that the station is judged by; of one that never had any, when it was last heard. */
export const measuredAt = (station: Measured) =>
  failed(station) ? (station.judged_at ?? station.observed_at) : station.observed_at;

/** The level to believe: the newest, or where that failed the newest trusted one. */
export const believed = (station: Measured) =>
  failed(station) ? (station.judged_m ?? null) : station.level_m;

/** What to show for a station now: the server's word, worsened by the time since. */
export function freshnessNow(
  station: Measured & Pick<StationLevel, "freshness" | "report_every_s">,
  nowMs: number,
): Freshness {
  const at = measuredAt(station);
  if (at === null) return "dead";
  if (!station.report_every_s) return station.freshness;
  const ageS = (nowMs - Date.parse(at)) / 1000;
  return worse(station.freshness, freshness(ageS, station.report_every_s));
}
