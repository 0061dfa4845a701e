/** A sparkline's path. Gaps stay gaps; a ripple of centimetres is not drawn as a flood. */

/** The least height, in metres, that fills the picture. */
const LEAST_RANGE_M = 0.5;

export interface SparkBox {
  readonly width: number;
  readonly height: number;
  readonly fromS: number;
  readonly toS: number;
}

export function sparkPath(
  times: readonly number[],
  values: readonly (number | null)[],
  box: SparkBox,
): string {
  const inside = values.filter((v, i) => v !== null && (times[i] ?? 0) >= box.fromS) as number[];
  if (inside.length < 2) return "";
  const low = Math.min(...inside);
  const span = Math.max(Math.max(...inside) - low, LEAST_RANGE_M);
  let path = "";
  let pen = "M";
  for (const [i, at] of times.entries()) {
    const value = values[i] ?? null;
    if (value === null || at < box.fromS) {
      pen = "M";
      continue;
    }
    const x = ((at - box.fromS) / (box.toS - box.fromS)) * box.width;
    const y = box.height - ((value - low) / span) * box.height;
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return path;
}
