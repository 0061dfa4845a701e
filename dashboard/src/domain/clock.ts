/** The server's clock, as far as the browser can know it. */

/** One comparison of the two clocks. */
export interface ClockSync {
  /** The server's time, ms since 1970, when the answer arrived. */
  readonly serverMs: number;
  /** The browser's clock at that moment. */
  readonly browserMs: number;
  /** The browser's steady counter at that moment. */
  readonly steadyMs: number;
}

/** Warn when the two clocks are further apart than this. */
export const CLOCKS_DIFFER_MS = 30_000;

/** The answer's `as_of` was written about half a round trip before it arrived. */
export function sync(asOf: string, roundTripMs: number, browserMs: number, steadyMs: number): ClockSync {
  return { serverMs: Date.parse(asOf) + roundTripMs / 2, browserMs, steadyMs };
}

/**
 * The server's time now. The browser's clock may be set, and its counter may stand still while the machine
 * sleeps; of the two elapsed times the longer one is believed, so that an age is never shown too young.
 */
export function serverNow(last: ClockSync | null, browserMs: number, steadyMs: number): number {
  if (last === null) return browserMs;
  return last.serverMs + Math.max(browserMs - last.browserMs, steadyMs - last.steadyMs);
}

/** Browser minus server at the last comparison, when it is too much to keep quiet about; else 0. */
export function clockError(last: ClockSync | null): number {
  if (last === null) return 0;
  const difference = last.browserMs - last.serverMs;
  return Math.abs(difference) > CLOCKS_DIFFER_MS ? difference : 0;
}
