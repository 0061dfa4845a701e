import { describe, expect, test } from "vitest";
import { sparkPath } from "../src/domain/spark";
import { sparkOf } from "../src/store/sparks";

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

describe("a station's glance", () => {
  const from = "2026-07-13T12:00:00Z";
  const at = (minutes: number) => Date.parse(from) / 1000 + minutes * 60;
  const found = { from, step_s: 600, levels: { st1: [1, null, 1.2, 1.3] } };
  const newest = (minutes: number, level_m: number) => ({
    station_id: "st1",
    observed_at: new Date(at(minutes) * 1000).toISOString(),
    level_m,
    flag: 1 as const,
  });

  test("ends with the number that the row shows, whatever the running mean is", () => {
    const [times, values] = sparkOf(found, newest(33, 1.9));
    expect(values).toEqual([1, null, 1.2, 1.9]);
    expect(times.at(-1)).toBe(at(33));
  });

  test("leaves a silence since the means were fetched open", () => {
    const [, values] = sparkOf(found, newest(120, 2.5));
    expect(values).toEqual([1, null, 1.2, 1.3, null, 2.5]);
  });

  test("is nothing without a history, and does not end in a failed value", () => {
    expect(sparkOf(found, { ...newest(33, 1), station_id: "other" })).toEqual([[], []]);
    expect(sparkOf(found, { ...newest(33, 9), flag: 4 })[1]).toEqual([1, null, 1.2]);
  });

  test("of a gauge that reports once an hour is a line, and breaks where hours are missing", () => {
    const hourly = (...v: (number | null)[]) => v.flatMap((value) => [value, null, null, null, null, null]);
    const glance = { from, step_s: 600, levels: { st1: hourly(1, 1.1, 1.2, null, null, null, 1.6) } };
    const slow = { ...newest(364, 1.6), report_every_s: 3_600 };
    expect(sparkOf(glance, slow)[1]).toEqual([1, 1.1, 1.2, null, 1.6]);
    const whole = { from, step_s: 600, levels: { st1: hourly(1, 1.1, 1.2, 1.3, 1.4, 1.5) } };
    expect(sparkOf(whole, { ...newest(361, 1.6), report_every_s: 3_600 })[1]).not.toContain(null);
    expect(sparkOf(whole, { ...newest(361, 1.6), report_every_s: 600 })[1]).not.toContain(null);
  });
});
