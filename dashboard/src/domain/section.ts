/** The shape of the river at a station, and how far the water fills it. Pure; metres above gauge zero. */

export type Point = readonly [offsetM: number, heightM: number];

/** Where the ground is deepest; of several equally deep ones the first. */
export function deepest(points: readonly Point[]): number {
  let found = 0;
  for (const [i, point] of points.entries()) if (point[1] < (points[found]?.[1] ?? 0)) found = i;
  return found;
}

/** The highest ground on each side of the deepest: where the levees' crests are. */
export function crests(points: readonly Point[]): { readonly left: Point; readonly right: Point } | null {
  const low = deepest(points);
  const highest = (side: readonly Point[]) =>
    side.reduce<Point | undefined>((top, p) => (top === undefined || p[1] > top[1] ? p : top), undefined);
  const left = highest(points.slice(0, low));
  const right = highest(points.slice(low + 1));
  return left && right ? { left, right } : null;
}

/**
 * The water's outline at a level: its surface and the ground under it, as far as it is one with the deepest place.
 * What lies low behind a levee stays dry until the levee is overtopped. Empty while the bed is dry.
 */
export function waterAt(points: readonly Point[], levelM: number): readonly Point[] {
  const low = deepest(points);
  const bottom = points[low];
  if (!bottom || bottom[1] >= levelM) return [];
  const left = bank(points.slice(0, low + 1).reverse(), levelM);
  const right = bank(points.slice(low), levelM);
  return [...left.reverse(), ...right.slice(1)];
}

/** From the deepest point outwards until the ground reaches the surface; open water ends with the survey. */
function bank(outwards: readonly Point[], levelM: number): Point[] {
  const wet: Point[] = [];
  for (const point of outwards) {
    const before = wet.at(-1);
    if (point[1] >= levelM && before) {
      const share = (levelM - before[1]) / (point[1] - before[1]);
      wet.push([before[0] + share * (point[0] - before[0]), levelM]);
      return wet;
    }
    wet.push(point);
  }
  const last = wet.at(-1);
  if (last) wet.push([last[0], levelM]);
  return wet;
}

export interface Scale {
  readonly x: (offsetM: number) => number;
  readonly y: (heightM: number) => number;
}

/** Fits offsets and heights into a picture; the heights are drawn larger than life, as in any section. */
export function scaleFor(
  offsets: readonly number[],
  heights: readonly number[],
  box: { left: number; top: number; right: number; bottom: number },
): Scale {
  const [x0, x1] = [Math.min(...offsets), Math.max(...offsets)];
  const [y0, y1] = [Math.min(...heights), Math.max(...heights)];
  const pad = Math.max(0.06 * (y1 - y0), 0.1);
  const across = (box.right - box.left) / Math.max(x1 - x0, 1e-6);
  const up = (box.bottom - box.top) / (y1 - y0 + 2 * pad);
  return {
    x: (offsetM) => box.left + (offsetM - x0) * across,
    y: (heightM) => box.bottom - (heightM - y0 + pad) * up,
  };
}

/** Labels that would stand on each other are moved apart, downwards, keeping their order. */
export function spreadLabels(ys: readonly number[], least: number, bottom: number): readonly number[] {
  const order = ys.map((_, i) => i).sort((a, b) => (ys[a] ?? 0) - (ys[b] ?? 0));
  const placed = [...ys];
  let before = Number.NEGATIVE_INFINITY;
  for (const i of order) {
    placed[i] = Math.max(ys[i] ?? 0, before + least);
    before = placed[i] ?? before;
  }
  let below = bottom;
  for (const i of [...order].reverse()) {
    placed[i] = Math.min(placed[i] ?? 0, below);
    below = (placed[i] ?? 0) - least;
  }
  return placed;
}
