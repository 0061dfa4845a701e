/** What the wall shows when nobody touches it. Pure. */

export const WORST = 5;
export const TURN_MS = 15_000;

/** Which of the worst stations is in the light now: each for 15 s, then the next. */
export function inTheLight(order: readonly string[], sinceMs: number): string | null {
  const worst = order.slice(0, WORST);
  return worst[Math.floor(sinceMs / TURN_MS) % Math.max(1, worst.length)] ?? null;
}

/** So that no letter burns in, the picture moves a few pixels every minute, and comes back. */
export function shift(minute: number, reachPx = 6): readonly [number, number] {
  const steps = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
    [-1, 1],
    [-1, 0],
    [-1, -1],
    [0, -1],
    [1, -1],
  ] as const;
  const [x, y] = steps[((minute % steps.length) + steps.length) % steps.length] ?? [0, 0];
  return [x * reachPx, y * reachPx];
}
