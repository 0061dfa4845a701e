import { describe, expect, test } from "vitest";
import { crests, deepest, type Point, scaleFor, spreadLabels, waterAt } from "../src/domain/section";

/** A low channel, a flood plain on the right, levees, and low land behind them. */
const RIVER: readonly Point[] = [
  [0, 1],
  [10, 6],
  [20, 0],
  [30, 0],
  [40, 2],
  [60, 2],
  [70, 5],
  [80, 0.5],
];

const area = (outline: readonly Point[]) =>
  Math.abs(
    outline.reduce((sum, [x, z], i) => {
      const [nx, nz] = outline[(i + 1) % outline.length] ?? [0, 0];
      return sum + x * nz - nx * z;
    }, 0) / 2,
  );

describe("the water in the river", () => {
  test("fills the channel to its level, bank to bank", () => {
    const water = waterAt(RIVER, 1);
    expect(water[0]?.[0]).toBeCloseTo(10 + (10 * 5) / 6, 9);
    expect(water[0]?.[1]).toBe(1);
    expect(water.at(-1)).toEqual([35, 1]);
    expect(water).toContainEqual([20, 0]);
  });

  test("does not stand behind the levee, however low the land there", () => {
    for (const [x] of waterAt(RIVER, 4.9)) {
      expect(x).toBeGreaterThan(10);
      expect(x).toBeLessThan(70);
    }
  });

  test("overtops the lower levee first", () => {
    const outline = waterAt(RIVER, 5.5);
    expect(Math.max(...outline.map(([x]) => x))).toBe(80);
    expect(Math.min(...outline.map(([x]) => x))).toBeGreaterThan(10);
  });

  test("is none below the bed, and never less when it rises", () => {
    expect(waterAt(RIVER, -0.5)).toEqual([]);
    expect(waterAt(RIVER, 0)).toEqual([]);
    expect(waterAt([], 3)).toEqual([]);
    const areas = Array.from({ length: 40 }, (_, i) => area(waterAt(RIVER, i * 0.2)));
    for (const [i, one] of areas.entries()) expect(one).toBeGreaterThanOrEqual(areas[i - 1] ?? 0);
  });

  test("keeps its surface level", () => {
    for (const level of [0.5, 1.9, 2.1, 5.5, 7]) {
      const outline = waterAt(RIVER, level);
      expect(Math.max(...outline.map(([, z]) => z))).toBe(level);
    }
  });
});

test("a levee's crest is the highest ground on its side of the deepest place", () => {
  expect(deepest(RIVER)).toBe(2);
  expect(crests(RIVER)).toEqual({ left: [10, 6], right: [70, 5] });
});

test("higher ground is drawn higher, and all of it within the picture", () => {
  const { x, y } = scaleFor([0, 80], [0, 6], { left: 10, right: 210, top: 5, bottom: 105 });
  expect([x(0), x(80)]).toEqual([10, 210]);
  expect(y(6)).toBeGreaterThanOrEqual(5);
  expect(y(0)).toBeLessThanOrEqual(105);
  expect(y(3)).toBeGreaterThan(y(4));
});

test("labels that stand on each other are moved apart in their order, and stay inside", () => {
  const placed = spreadLabels([100, 98, 20, 99], 15, 110);
  const sorted = [...placed].sort((a, b) => a - b);
  for (const [i, y] of sorted.entries())
    if (i > 0) expect(y - (sorted[i - 1] ?? 0)).toBeGreaterThanOrEqual(15);
  expect(Math.max(...placed)).toBeLessThanOrEqual(110);
  expect(placed.indexOf(Math.min(...placed))).toBe(2);
  expect((placed[1] ?? 0) < (placed[3] ?? 0) && (placed[3] ?? 0) < (placed[0] ?? 0)).toBe(true);
});
