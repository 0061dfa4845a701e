/** The last six hours of every station, small: one request for all, every ten minutes. */
import { signal } from "@preact/signals";
import { getRecent } from "../api/client";
import type { Recent, StationLevel } from "../api/types";

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

/** Times (seconds) and values of a station's line: the means, ended by the number the row itself shows. */
export function sparkOf(
  found: Recent | null,
  station: Pick<StationLevel, "station_id" | "observed_at" | "level_m" | "flag">,
): readonly [readonly number[], readonly (number | null)[]] {
  const values = found?.levels[station.station_id];
  if (!found || !values) return [[], []];
  const startS = Date.parse(found.from) / 1000;
  const newestS = station.observed_at === null ? 0 : Date.parse(station.observed_at) / 1000;
  const times: number[] = [];
  const line: (number | null)[] = [];
  for (const [i, value] of values.entries()) {
    const middle = startS + (i + 0.5) * found.step_s;
    if (newestS > 0 && middle >= newestS) break;
    times.push(middle);
    line.push(value);
  }
  if (newestS > 0 && station.flag !== 4) {
    // Means stop where the page fetched them; a silence since then is a gap.
    if (newestS - (times.at(-1) ?? 0) > 2 * found.step_s) {
      times.push(newestS - 1);
      line.push(null);
    }
    times.push(newestS);
    line.push(station.level_m);
  }
  return [times, line];
}
