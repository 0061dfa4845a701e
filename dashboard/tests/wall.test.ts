import { expect, test } from "vitest";
import { inTheLight, shift, TURN_MS, WORST } from "../src/domain/wall";

const order = ["a", "b", "c", "d", "e", "f"];

test("each of the worst five is in the light for its turn, the sixth never", () => {
  const turns = Array.from({ length: 7 }, (_, i) => inTheLight(order, i * TURN_MS + 1));
  expect(turns).toEqual(["a", "b", "c", "d", "e", "a", "b"]);
  expect(inTheLight(order, TURN_MS - 1)).toBe("a");
  expect(new Set(turns).size).toBe(WORST);
});

test("fewer stations take shorter rounds, none leaves it dark", () => {
  expect([0, 1, 2].map((i) => inTheLight(["a", "b"], i * TURN_MS))).toEqual(["a", "b", "a"]);
  expect(inTheLight([], 1e6)).toBeNull();
});

test("the picture moves every minute, a few pixels, and comes back", () => {
  const places = Array.from({ length: 9 }, (_, i) => shift(i));
  expect(new Set(places.map(String)).size).toBe(9);
  expect(Math.max(...places.flat().map(Math.abs))).toBeLessThanOrEqual(6);
  expect(shift(9)).toEqual(shift(0));
});
