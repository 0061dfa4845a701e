/** When a screen that nobody touches may load its page anew. Pure. */

/** A server that says one thing and hands out another must not make the screen reload for ever. */
export const RELOAD_AT_MOST_EVERY_MS = 60_000;

/**
 * How long to wait before the next reload, from how the browser says that this page was opened and how long ago by the
 * steady counter. No storage and no clock are asked: the one may be forbidden, the other set back by hours.
 */
export function reloadWaitMs(opened: string | undefined, openSinceMs: number): number {
  return opened === "navigate" ? 0 : Math.max(0, RELOAD_AT_MOST_EVERY_MS - openSinceMs);
}
