import { expect, test } from "vitest";
import { sides } from "../src/map/labels";
import { spread } from "../src/map/spread";

const pin = (x: number, y: number, radius = 16) => ({ x, y, radius, labelWidth: 80, labelHeight: 34 });

test("pins are pushed apart and lone ones stay where they are", () => {
  const moved = spread(
    [
      { x: 100, y: 100 },
      { x: 104, y: 100 },
      { x: 100, y: 100 },
      { x: 400, y: 300 },
    ],
    40,
  );
  for (const [i, a] of moved.entries())
    for (const [j, b] of moved.entries())
      if (i !== j) expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(39);
  expect(moved[3]).toEqual({ x: 400, y: 300 });
});

test("names keep off each other and inside the map", () => {
  expect(sides([pin(200, 100), pin(250, 100)], 500, 300)).toEqual(["left", "right"]);
  expect(sides([pin(480, 100)], 500, 300)).toEqual(["left"]);
  const buttons = [{ left: 200, right: 300, top: 50, bottom: 150 }];
  expect(sides([pin(150, 100)], 500, 300, buttons)).toEqual(["left"]);
});

test("where there is no room the less dangerous name gives way", () => {
  expect(sides([pin(50, 20), pin(50, 24)], 200, 40)).toEqual(["right", "none"]);
});

test("no name lies under its neighbour, though that is the chosen one and larger", () => {
  expect(sides([pin(100, 100), pin(220, 110)], 500, 300)).toEqual(["right", "right"]);
  expect(sides([pin(100, 100), pin(220, 110, 21)], 500, 300)).toEqual(["above", "right"]);
});
