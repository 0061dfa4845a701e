/** The only caller of the HTTP API. Same origin, one deadline a request, no retries of its own. */

import type { Alert, GeoCollection, LevelsLatest, Readings, Site, Station } from "./types";

const BASE = "/api/v1";
const DEADLINE_MS = 8_000;

export class ApiError extends Error {
  constructor(
    readonly path: string,
    readonly status: number,
  ) {
    super(`${path} answered ${status}`);
  }
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const response = await fetch(BASE + path, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
  });
  if (!response.ok) throw new ApiError(path, response.status);
  return (await response.json()) as T;
}

export const getSite = () => get<Site>("/site");
export const getLevels = () => get<LevelsLatest>("/levels/latest");
export const getStations = async () => (await get<{ stations: Station[] }>("/stations")).stations;
export const getGeo = () => get<GeoCollection>("/stations.geojson");
export const getAlerts = async () => (await get<{ alerts: Alert[] }>("/alerts?limit=50")).alerts;

/** The longest chart is about 2,000 points; more pages than this would mean a server that never ends. */
const MOST_PAGES = 8;

/** One quantity of one station between two times, all pages of it, oldest first. */
export async function getReadings(
  station: string,
  quantity: string,
  fromMs: number,
  toMs: number,
  resolution: "auto" | Readings["resolution"],
  signal: AbortSignal,
): Promise<Readings> {
  const query = new URLSearchParams({
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    quantity,
    resolution,
    limit: "2000",
  });
  const path = `/stations/${encodeURIComponent(station)}/readings`;
  const first = await get<Readings>(`${path}?${query}`, signal);
  let points = first.points;
  let next = first.next;
  for (let page = 1; next !== null && page < MOST_PAGES; page++) {
    query.set("cursor", next);
    query.set("resolution", first.resolution);
    const more = await get<Readings>(`${path}?${query}`, signal);
    points = points.concat(more.points);
    next = more.next;
  }
  const sorted = [...points].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
  return { ...first, points: sorted, next };
}
