/** One step of the live stream: pure, so that a typhoon can be replayed through it in a test. */
import type { StreamMessage } from "../api/stream";
import type { Alert, LevelsLatest, StreamReading } from "../api/types";
import { type Heartbeat, heardWord } from "../domain/alerting";
import { byUrgency, isShown, mustBeSaid, shownState, stateOf } from "../domain/alerts";

export interface Live {
  /** Unanswered first, one entry an id. */
  readonly alerts: readonly Alert[];
  /** The stream broke and has not opened again. */
  readonly broken: boolean;
  /** When anything was last heard, by the steady counter; null before the first word. */
  readonly heardMs: number | null;
  /** Until when the stream is complete, by the last heartbeat. */
  readonly asOf: string | null;
  /** The last heartbeat, whether or not it was a sign of life. */
  readonly heartbeat: Heartbeat | null;
  /** The last alerts to read out, oldest first; none until one begins while the page watches. */
  readonly announced: readonly Alert[];
  /** Whether the alerts have been fetched once: what is in the first answer is no news. */
  readonly fetched: boolean;
}

export const START: Live = {
  alerts: [],
  broken: false,
  heardMs: null,
  asOf: null,
  heartbeat: null,
  announced: [],
  fetched: false,
};

/** What the step asks for: the truth comes from the server, the stream is the wake-up. */
export interface Wanted {
  readonly levels: boolean;
  readonly alerts: boolean;
  readonly stations: boolean;
  readonly history: boolean;
  readonly readings: readonly StreamReading[];
  /** Rows that the server has judged anew. */
  readonly rows: LevelsLatest | null;
}

const NOTHING: Wanted = {
  levels: false,
  alerts: false,
  stations: false,
  history: false,
  readings: [],
  rows: null,
};

export const MOST_ALERTS = 2_000;
/** As many as a screen reader is still reading out. */
const MOST_ANNOUNCED = 6;

export function step(live: Live, message: StreamMessage, nowMs: number): [Live, Wanted] {
  const heard: Live = { ...live, heardMs: nowMs, broken: false };
  switch (message.kind) {
    case "error":
      return [{ ...live, broken: true }, NOTHING];
    case "open":
    case "resync":
      // The first opening and every later one: what happened in between was not heard. Stations hardly ever change.
      return [
        heard,
        { ...NOTHING, levels: true, alerts: true, stations: live.heardMs !== null, history: true },
      ];
    case "heartbeat": {
      const { asOf, page } = message;
      const alerting = heardWord(live.heartbeat?.alerting ?? null, message.alerting);
      const heartbeat: Heartbeat = { heardMs: nowMs, asOf, alerting, page, notices: message.notices ?? [] };
      // It says until when the stream is complete. A server that repeats itself has lost its own source.
      if (asOf !== null && asOf === live.asOf) return [{ ...live, heartbeat }, NOTHING];
      return [{ ...heard, asOf, heartbeat }, NOTHING];
    }
    case "station":
      return [heard, { ...NOTHING, stations: true, levels: true }];
    case "readings":
      return [heard, { ...NOTHING, readings: message.readings }];
    case "levels":
      return [heard, { ...NOTHING, rows: message.levels }];
    case "alert":
      return [{ ...heard, ...told(live, [message.alert]) }, NOTHING];
    case "gone":
      return [{ ...heard, alerts: live.alerts.filter((a) => a.id !== message.id) }, NOTHING];
  }
}

/** The alerts after news of some, and what of it must be read out. */
function told(live: Live, news: readonly Alert[]): Pick<Live, "alerts" | "announced"> {
  const before = new Map(live.alerts.map((a) => [a.id, a]));
  const said = news.filter((alert) => mustBeSaid(before.get(alert.id), alert));
  return {
    alerts: mergeAlerts(live.alerts, news),
    announced: said.length > 0 ? [...live.announced, ...said].slice(-MOST_ANNOUNCED) : live.announced,
  };
}

/**
 * The whole list was fetched. `asked` is what was known when it was asked for: what the stream has said since, be it
 * that one is gone, is newer than the answer; and what the answer no longer has is gone.
 */
export function fetched(live: Live, asked: readonly Alert[], answer: readonly Alert[]): Live {
  const old = new Set(asked);
  const newer = live.alerts.filter((a) => !old.has(a));
  const present = new Set(live.alerts.map((a) => a.id));
  const settled = new Set([...newer, ...asked.filter((a) => !present.has(a.id))].map((a) => a.id));
  const news = answer.filter((a) => !settled.has(a.id));
  const alerts = mergeAlerts(news, newer);
  const announced = live.fetched ? told(live, [...news].sort(byUrgency).reverse()).announced : live.announced;
  return { ...live, alerts, announced, fetched: true };
}

/** A shelving that has run out by the server's clock: nobody says so, and the alert asks for an answer again. */
export function unshelved(live: Live, nowMs: number): Live {
  const over = live.alerts.filter(
    (a) => stateOf(a) === "shelved" && Date.parse(a.shelved_until ?? "") <= nowMs,
  );
  if (over.length === 0) return live;
  const news = over.map((a) => ({
    ...a,
    state: shownState("firing", Boolean(a.acknowledged_at), null),
    shelved_until: null,
  }));
  return { ...live, ...told(live, news) };
}

/** The answer to an action: right, unless the stream has said something newer meanwhile. */
export function answered(live: Live, asked: Alert | undefined, answer: Alert): Live {
  const known = live.alerts.find((a) => a.id === answer.id);
  return known === asked ? { ...live, alerts: mergeAlerts(live.alerts, [answer]) } : live;
}

/** The levels after rows of the stream, which replace the rows of the same stations. Before the first answer: none. */
export function withRows(known: LevelsLatest | null, news: LevelsLatest): LevelsLatest | null {
  if (known === null) return null;
  const rows = new Map(news.stations.map((s) => [s.station_id, s]));
  const present = new Set(known.stations.map((s) => s.station_id));
  const added = news.stations.filter((s) => !present.has(s.station_id));
  const stations = known.stations.map((s) => rows.get(s.station_id) ?? s);
  const newer = Date.parse(news.as_of) >= Date.parse(known.as_of);
  return {
    ...known,
    as_of: newer ? news.as_of : known.as_of,
    server_behind: (newer ? news : known).server_behind === true,
    stations: added.length > 0 ? [...stations, ...added] : stations,
  };
}

/** An answer with all rows: those that the stream has brought since it was judged, `since`, stand in the place of its own. */
export const withSince = (answer: LevelsLatest, since: readonly LevelsLatest[]): LevelsLatest =>
  since
    .filter((news) => Date.parse(news.as_of) > Date.parse(answer.as_of))
    .reduce<LevelsLatest>((known, news) => withRows(known, news) ?? known, answer);

/** In the order of urgency; what arrives replaces what was known under its id. */
export function mergeAlerts(known: readonly Alert[], arrived: readonly Alert[]): readonly Alert[] {
  const byId = new Map(known.map((a) => [a.id, a]));
  for (const alert of arrived) byId.set(alert.id, alert);
  return [...byId.values()].filter(isShown).sort(byUrgency).slice(0, MOST_ALERTS);
}
