/**
 * The live stream, kept open. The browser's EventSource resumes by itself after a dropped connection, but
 * gives up for good on an HTTP error and never notices a silent one: both are handled here.
 */

import type { Alert, AlertingWord, LevelsLatest, Notice, StationLevel, StreamReading } from "./types";

export type StreamMessage =
  | { readonly kind: "open" }
  | { readonly kind: "error" }
  | {
      readonly kind: "heartbeat";
      readonly asOf: string | null;
      readonly alerting: AlertingWord | null;
      readonly page: string | null;
      readonly notices?: readonly Notice[];
    }
  | { readonly kind: "readings"; readonly readings: readonly StreamReading[] }
  /** Rows of `/levels/latest` that have changed, as the server judges them. */
  | { readonly kind: "levels"; readonly levels: LevelsLatest }
  | { readonly kind: "alert"; readonly alert: Alert }
  /** Nobody was told of it, and the readings no longer show it. */
  | { readonly kind: "gone"; readonly id: number }
  | { readonly kind: "station" }
  /** The server cannot tell what was missed: ask for everything. */
  | { readonly kind: "resync" };

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5_000;

function alertingWord(said: unknown): AlertingWord | null {
  if (typeof said !== "object" || said === null) return null;
  const { ok, why } = said as Record<string, unknown>;
  if (typeof ok !== "boolean") return null;
  return { ok, why: Array.isArray(why) ? why.filter((code) => typeof code === "string") : [] };
}

/** Those that say something; an older server says none. */
function noticesOf(said: unknown): readonly Notice[] {
  if (!Array.isArray(said)) return [];
  return said.filter((one) => typeof one?.text?.ja === "string" && typeof one?.text?.en === "string");
}

/** Decodes one event; null for what this page does not understand (newer servers may say more). */
export function decode(event: string, data: string): StreamMessage | null {
  let body: unknown;
  try {
    body = data === "" ? {} : JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof body !== "object" || body === null) return null;
  const fields = body as Record<string, unknown>;
  switch (event) {
    case "reading": {
      if (Array.isArray(body)) return { kind: "readings", readings: body as StreamReading[] };
      const many = fields["readings"];
      const readings = Array.isArray(many) ? (many as StreamReading[]) : [body as StreamReading];
      return { kind: "readings", readings: readings.filter((r) => typeof r?.station_id === "string") };
    }
    case "level": {
      const rows = fields["stations"];
      if (typeof fields["as_of"] !== "string" || !Array.isArray(rows)) return null;
      const stations = (rows as StationLevel[]).filter((row) => typeof row?.station_id === "string");
      return {
        kind: "levels",
        levels: { as_of: fields["as_of"], server_behind: fields["server_behind"] === true, stations },
      };
    }
    case "alert":
      return "id" in fields ? { kind: "alert", alert: body as Alert } : null;
    case "alert_gone":
      return typeof fields["id"] === "number" ? { kind: "gone", id: fields["id"] } : null;
    case "station":
      return { kind: "station" };
    case "resync":
      return { kind: "resync" };
    case "heartbeat":
      return {
        kind: "heartbeat",
        asOf: typeof fields["as_of"] === "string" ? fields["as_of"] : null,
        alerting: alertingWord(fields["alerting"]),
        page: typeof fields["page"] === "string" ? fields["page"] : null,
        notices: noticesOf(fields["notices"]),
      };
    default:
      return null;
  }
}

export class Stream {
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wait = FIRST_WAIT_MS;

  constructor(
    readonly url: string,
    readonly heard: (message: StreamMessage) => void,
  ) {}

  open(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#source?.close();
    const source = new EventSource(this.url);
    this.#source = source;
    source.onopen = () => {
      this.#wait = FIRST_WAIT_MS;
      this.heard({ kind: "open" });
    };
    source.onerror = () => {
      this.heard({ kind: "error" });
      if (source.readyState === EventSource.CLOSED) this.#reopenLater();
    };
    for (const name of ["reading", "level", "alert", "alert_gone", "station", "heartbeat", "resync"]) {
      source.addEventListener(name, (event) => {
        const message = decode(name, (event as MessageEvent<string>).data);
        if (message) this.heard(message);
      });
    }
  }

  /** Replaces a connection that has gone silent. Does nothing while a new one is already planned. */
  replace(): void {
    if (this.#timer !== undefined) return;
    this.#source?.close();
    this.#reopenLater();
  }

  #reopenLater(): void {
    const jitter = 0.75 + Math.random() / 2;
    this.#timer = setTimeout(() => this.open(), this.#wait * jitter);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
