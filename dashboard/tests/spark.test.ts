import { expect, test } from "vitest";
import { sparkPath } from "../src/domain/spark";

const box = { width: 60, height: 20, fromS: 0, toS: 60 };

test("a gap lifts the pen", () => {
  expect(sparkPath([0, 20, 30, 40, 60], [1, 2, null, 2, 1], box)).toBe(
    "M0.0 20.0L20.0 0.0M40.0 0.0L60.0 20.0",
  );
});

test("centimetres do not fill the picture", () => {
  expect(sparkPath([0, 60], [1, 1.05], box)).toBe("M0.0 20.0L60.0 18.0");
});

test("one point is no line", () => {
  expect(sparkPath([0], [1], box)).toBe("");
});
