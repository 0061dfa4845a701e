/** The only caller of the HTTP API. Same origin, no retries of its own; what is silent for too long is given up. */

import type {
  Alert,
  AlertDetail,
  Basemap,
  Device,
  FloodLevel,
  GeoCollection,
  LevelsLatest,
  Readings,
  Recent,
  Refusal,
  Site,
  Station,
  System,
} from "./types";

const BASE = "/api/v1";
/** So long may nothing come. A thin line is slow and not silent. */
const SILENT_MS = 8_000;
/** More pages than this would mean a server that never ends; `next` then says that there is more. */
const MOST_PAGES = 5;

export class ApiError extends Error {
  constructor(
    readonly path: string,
    readonly status: number,
  ) {
    super(`${path} answered ${status}`);
  }
}

/** An answer that was refused: problem+json, with the wrong fields where it names them. */
export class Refused extends ApiError {
  constructor(
    path: string,
    status: number,
    readonly detail: string,
    readonly fields: ReadonlyMap<string, string>,
  ) {
    super(path, status);
  }
}

/** Who acts: an account's token, else the name somebody gives where the site is open. */
export interface Actor {
  readonly name: string;
  readonly token: string;
}

/** Pure: a header holds no Japanese, so a name is percent-encoded. */
export function actorHeaders({ name, token }: Actor): Record<string, string> {
  if (token) return { Authorization: `Bearer ${token}` };
  return name ? { "X-Kawamori-Name": encodeURIComponent(name) } : {};
}

async function get<T>(path: string, signal?: AbortSignal, headers: Record<string, string> = {}): Promise<T> {
  const given = new AbortController();
  const giveUp = () => given.abort(new DOMException("nothing came for too long", "TimeoutError"));
  let timer = setTimeout(giveUp, SILENT_MS);
  try {
    const response = await fetch(BASE + path, {
      headers: { Accept: "application/json", ...headers },
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, given.signal]) : given.signal,
    });
    if (!response.ok || response.body === null) throw new ApiError(path, response.status);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      text += decoder.decode(read.value, { stream: true });
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENT_MS);
    }
    return JSON.parse(text + decoder.decode()) as T;
  } finally {
    clearTimeout(timer);
  }
}

export const getSite = () => get<Site>("/site");
/** Names and colours of the flood levels in force. */
export const getLevelTable = async () =>
  (await get<{ flood_levels: Partial<FloodLevel>[] }>("/flood-levels")).flood_levels;
export const getLevels = () => get<LevelsLatest>("/levels/latest");
export const getRecent = (hours: number, signal: AbortSignal) =>
  get<Recent>(`/levels/recent?hours=${hours}`, signal);
export const getStations = async () => (await get<{ stations: Station[] }>("/stations")).stations;
export const getStation = (id: string) => get<Station>(`/stations/${encodeURIComponent(id)}`);
export const getDevices = async (id: string) =>
  (await get<{ devices: Device[] }>(`/stations/${encodeURIComponent(id)}/devices`)).devices;
export const getSystem = (signal: AbortSignal) => get<System>("/system", signal);
export const getQuarantine = async (limit: number, signal: AbortSignal) =>
  (await get<{ messages: Refusal[] }>(`/quarantine?limit=${limit}`, signal)).messages;
/** The operator's own map under rivers and stations. */
export const getBasemap = () => get<Basemap>("/basemap");
export const getGeo = () => get<GeoCollection>("/stations.geojson");

/** Page by page, to the end: what a cut list leaves out would be taken for gone. */
async function allAlerts(query: string): Promise<Alert[]> {
  const found: Alert[] = [];
  for (let page = 1, cursor = ""; page <= MOST_PAGES; page++) {
    const { alerts, next } = await get<AlertPage>(`/alerts?${query}&limit=400${cursor}`);
    found.push(...alerts);
    if (next === null) break;
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
  return found;
}

/** The newest, and all that still last: an old one that nobody answered must not fall out of sight. */
export async function getAlerts(): Promise<Alert[]> {
  const lists = await Promise.all([
    get<AlertPage>("/alerts?limit=50").then((page) => page.alerts),
    allAlerts("state=firing"),
    allAlerts("state=acknowledged"),
    allAlerts("state=shelved"),
  ]);
  return [...new Map(lists.flat().map((a) => [a.id, a])).values()];
}

export interface AlertPage {
  readonly alerts: readonly Alert[];
  readonly next: string | null;
}

/** What began before the newest, page by page. */
export const getOlderAlerts = (cursor: string | null, minLevel: number) =>
  get<AlertPage>(
    `/alerts?limit=50&min_level=${minLevel}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
  );

/** One station's alerts, newest first, page by page. */
export const getStationAlerts = (station: string, cursor: string | null) =>
  get<AlertPage>(
    `/alerts?limit=20&station=${encodeURIComponent(station)}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
  );

/** The address of a station's levels as a file. */
export function csvHref(
  station: string,
  fromMs: number,
  toMs: number,
  resolution: Readings["resolution"],
): string {
  const query = new URLSearchParams({
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    quantity: "water_level",
    resolution,
  });
  return `${BASE}/stations/${encodeURIComponent(station)}/readings.csv?${query}`;
}

/** One alert with what happened to it. A token shows addresses too; one that is no longer known hides nothing else. */
export async function getAlert(id: number, actor: Actor, signal: AbortSignal): Promise<AlertDetail> {
  if (!actor.token) return get<AlertDetail>(`/alerts/${id}`, signal);
  try {
    return await get<AlertDetail>(`/alerts/${id}`, signal, actorHeaders(actor));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return get<AlertDetail>(`/alerts/${id}`, signal);
    throw error;
  }
}

/** Pure: what a refusal says. */
export function refusal(path: string, status: number, body: unknown): Refused {
  const { detail, errors } = (typeof body === "object" && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  const fields = new Map<string, string>();
  for (const error of Array.isArray(errors) ? errors : [])
    if (typeof error?.field === "string") fields.set(error.field, String(error.message ?? ""));
  return new Refused(path, status, typeof detail === "string" ? detail : "", fields);
}

async function post<T>(path: string, body: object, actor: Actor): Promise<T> {
  const response = await fetch(BASE + path, {
    method: "POST",
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      ...actorHeaders(actor),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(SILENT_MS),
  });
  const said: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(path, response.status, said);
  return said as T;
}

/** Acts on an alert; returns it as it is then. */
export const postAnswer = (id: number, action: string, body: object, actor: Actor) =>
  post<Alert>(`/alerts/${id}/${action}`, body, actor);

/** Acknowledges all of an incident that nobody has; returns those. */
export const postIncident = async (id: number, body: object, actor: Actor) =>
  (await post<{ alerts: Alert[] }>(`/incidents/${id}/acknowledge`, body, actor)).alerts;

/** One quantity of one station between two times, oldest first. */
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
    limit: resolution === "raw" ? "10000" : "2000",
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
  return { ...first, points, next };
}
