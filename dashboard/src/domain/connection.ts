/** Whether what is on the screen is still what the server knows. */

export type Connection = "connecting" | "live" | "lost";

/** The server says something every 5 s: two of its words are missing then. */
export const QUIET_LIMIT_MS = 10_000;

export interface Link {
  /** When the page began to connect. All times here are of the steady counter. */
  readonly startedMs: number;
  /** When anything was last heard on the stream; null before the first word. */
  readonly heardMs: number | null;
  /** Whether the stream broke, or the last request for the levels failed. */
  readonly broken: boolean;
}

export function connection(link: Link, nowMs: number): Connection {
  if (link.broken) return "lost";
  if (link.heardMs === null) return nowMs - link.startedMs > QUIET_LIMIT_MS ? "lost" : "connecting";
  return nowMs - link.heardMs > QUIET_LIMIT_MS ? "lost" : "live";
}
