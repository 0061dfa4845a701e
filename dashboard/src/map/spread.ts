/** Pins that lie on each other are pushed apart on the screen; a thin line shows where each belongs. */

export interface Spot {
  readonly x: number;
  readonly y: number;
}

const ROUNDS = 60;

/** Moves points until each pair is `apart` pixels away, as little as needed; lone points stay put. */
export function spread(spots: readonly Spot[], apart: number): readonly Spot[] {
  const moved = spots.map((s) => ({ x: s.x, y: s.y }));
  for (let round = 0; round < ROUNDS; round++) {
    let still = true;
    for (const [i, a] of moved.entries()) {
      for (const [j, b] of moved.entries()) {
        if (j <= i) continue;
        const distance = Math.hypot(b.x - a.x, b.y - a.y);
        if (distance >= apart - 0.01) continue;
        still = false;
        // Two stations at one place part by their order, so that the picture is the same every time.
        const angle = distance > 0.01 ? Math.atan2(b.y - a.y, b.x - a.x) : i + 2 * j;
        const push = (apart - distance) / 2 + 0.01;
        a.x -= Math.cos(angle) * push;
        a.y -= Math.sin(angle) * push;
        b.x += Math.cos(angle) * push;
        b.y += Math.sin(angle) * push;
      }
    }
    if (still) break;
  }
  return moved;
}
