/** The last six hours of every station, small: one request for all, every ten minutes. */
import { signal } from "@preact/signals";
import { getRecent } from "../api/client";
import type { Recent, StationLevel } from "../api/types";
import { isGap } from "../chart/series";

export const SPARK_HOURS = 6;
const REFRESH_MS = 10 * 60_000;
const RETRY_MS = 30_000;

export const recent = signal<Recent | null>(null);

export function keepSparks(): () => void {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout>;
  const look = async () => {
    let next = REFRESH_MS;
    try {
      recent.value = await getRecent(SPARK_HOURS, stop.signal);
    } catch {
      next = RETRY_MS;
    }
    if (!stop.signal.aborted) timer = setTimeout(look, next);
  };
  void look();
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
}

/**
 * Times (seconds) and values of a station's line: the means, ended by the number the row itself shows. What is a gap
 * depends on how often the station reports: hourly values are a line, and so is a gauge's of once a day.
 */
export function sparkOf(
  found: Recent | null,
  station: Pick<StationLevel, "station_id" | "observed_at" | "level_m" | "flag" | "report_every_s">,
): readonly [readonly number[], readonly (number | null)[]] {
  const values = found?.levels[station.station_id];
  if (!found || !values) return [[], []];
  const startS = Date.parse(found.from) / 1000;
  const newestS = station.observed_at === null ? 0 : Date.parse(station.observed_at) / 1000;
  const everyS = 3 * (station.report_every_s ?? 0);
  const known: { at: number; value: number | null }[] = [];
  for (const [i, value] of values.entries()) {
    const at = startS + (i + 0.5) * found.step_s;
    if (newestS > 0 && at >= newestS) break;
    if (value !== null) known.push({ at, value });
  }
  const means = known.length;
  if (newestS > 0 && station.flag !== 4) known.push({ at: newestS, value: station.level_m });
  const times: number[] = [];
  const line: (number | null)[] = [];
  for (const [i, { at, value }] of known.entries()) {
    // Means stop where the page fetched them: the newest number may stand a little further away.
    const gapS = Math.max((i < means ? 1.5 : 2) * found.step_s, everyS);
    if (i > 0 && isGap(known, i, gapS)) {
      times.push((at + (known[i - 1]?.at ?? at)) / 2);
      line.push(null);
    }
    times.push(at);
    line.push(value);
  }
  return [times, line];
}
