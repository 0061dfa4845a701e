/** Looks again and again at one thing that the server says, for as long as somebody looks. */
import type { Signal } from "@preact/signals";

const EVERY_MS = 5_000;

export interface Look<T> {
  /** What was last found; null before the first answer. */
  readonly found: T | null;
  /** Whether the newest look has failed: `found` is old then. */
  readonly failed: boolean;
}

export const NOT_YET = { found: null, failed: false } as const;

/** Keeps `look` true until it is stopped; what was found goes with it, or it would be shown hours later. */
export function keepLooking<T>(look: Signal<Look<T>>, get: (stop: AbortSignal) => Promise<T>): () => void {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout>;
  const again = async () => {
    const next = await get(stop.signal).then(
      (found) => ({ found, failed: false }),
      () => ({ found: look.peek().found, failed: true }),
    );
    if (stop.signal.aborted) return;
    look.value = next;
    timer = setTimeout(again, EVERY_MS);
  };
  void again();
  return () => {
    clearTimeout(timer);
    stop.abort();
    look.value = NOT_YET;
  };
}
