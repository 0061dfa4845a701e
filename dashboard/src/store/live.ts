/** One step of the live stream: pure, so that a typhoon can be replayed through it in a test. */
import type { StreamMessage } from "../api/stream";
import type { Alert, StreamReading } from "../api/types";

export interface Live {
  /** Newest first, one entry an id. */
  readonly alerts: readonly Alert[];
  /** The stream broke and has not opened again. */
  readonly broken: boolean;
  /** When anything was last heard, by the steady counter; null before the first word. */
  readonly heardMs: number | null;
  /** Until when the stream is complete, by the last heartbeat. */
  readonly asOf: string | null;
  /** The alert to read out; null until one begins while the page watches. */
  readonly announced: Alert | null;
}

export const START: Live = { alerts: [], broken: false, heardMs: null, asOf: null, announced: null };

/** What the step asks for: the truth comes from the server, the stream is the wake-up. */
export interface Wanted {
  readonly levels: boolean;
  readonly alerts: boolean;
  readonly stations: boolean;
  readonly history: boolean;
  readonly readings: readonly StreamReading[];
}

const NOTHING: Wanted = {
  levels: false,
  alerts: false,
  stations: false,
  history: false,
  readings: [],
};

export const MOST_ALERTS = 200;

export function step(live: Live, message: StreamMessage, nowMs: number): [Live, Wanted] {
  const heard: Live = { ...live, heardMs: nowMs, broken: false };
  switch (message.kind) {
    case "error":
      return [{ ...live, broken: true }, NOTHING];
    case "open":
    case "resync":
      // The first opening and every later one: what happened in between was not heard.
      return [heard, { ...NOTHING, levels: true, alerts: true, history: true }];
    case "heartbeat":
      // It says until when the stream is complete. A server that repeats itself has lost its own source.
      if (message.asOf !== null && message.asOf === live.asOf) return [live, NOTHING];
      return [{ ...heard, asOf: message.asOf }, NOTHING];
    case "station":
      return [heard, { ...NOTHING, stations: true, levels: true }];
    case "readings":
      return [heard, { ...NOTHING, levels: message.readings.length > 0, readings: message.readings }];
    case "alert": {
      const known = live.alerts.some((a) => a.id === message.alert.id);
      const begins = !known && message.alert.ended_at === null;
      return [
        {
          ...heard,
          alerts: mergeAlerts(live.alerts, [message.alert]),
          announced: begins ? message.alert : live.announced,
        },
        { ...NOTHING, levels: true },
      ];
    }
  }
}

/** Newest first; what arrives replaces what was known under its id. */
export function mergeAlerts(known: readonly Alert[], arrived: readonly Alert[]): readonly Alert[] {
  const byId = new Map(known.map((a) => [a.id, a]));
  for (const alert of arrived) byId.set(alert.id, alert);
  return [...byId.values()]
    .sort(
      (a, b) =>
        Date.parse(b.started_at) - Date.parse(a.started_at) ||
        String(b.id).localeCompare(String(a.id), "en", { numeric: true }),
    )
    .slice(0, MOST_ALERTS);
}
