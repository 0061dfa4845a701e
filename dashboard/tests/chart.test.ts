import { describe, expect, test } from "vitest";
import { freeTop } from "../src/chart/draw";
import {
  axisRange,
  columns,
  endWith,
  extent,
  gapSeconds,
  isGap,
  lonely,
  merge,
  rainOf,
  toMark,
  unknownRain,
} from "../src/chart/series";
import { reading } from "./factory";

const T0 = Date.parse("2026-07-13T17:00:00Z");
const time = (minute: number) => new Date(T0 + minute * 60_000).toISOString();
const raw = (minute: number, value: number | null, flag: 1 | 3 | 4 | 9 = 1) =>
  toMark({ time: time(minute), value, flag });

describe("the line of the hydrograph", () => {
  test("a silence is a gap, never a line across it", () => {
    const [xs, ys] = columns([raw(0, 1), raw(1, 1.1), raw(40, 2)], 180);
    expect(ys).toEqual([1, 1.1, null, 2]);
    expect(xs).toHaveLength(4);
    expect([...xs].sort((a, b) => a - b)).toEqual(xs);
  });

  test("a failed point is not joined, a suspect one is", () => {
    expect(columns([raw(0, 1), raw(1, 9, 4), raw(2, 1.2, 3)], 180)[1]).toEqual([1, null, 1.2]);
  });

  test("a missing value is a hole", () => {
    expect(columns([raw(0, 1), raw(1, -999, 9), raw(2, 1)], 180)[1]).toEqual([1, null, 1]);
  });

  test("a point with nothing on either side is found, to be drawn as a dot", () => {
    expect(lonely(columns([raw(0, 1), raw(60, 2), raw(120, 3), raw(121, 3)], 180))).toEqual([0, 2]);
  });

  test("a gap is three missed reports, or more than a missed summary", () => {
    expect(gapSeconds("raw", 60)).toBe(180);
    expect(gapSeconds("hour", 60)).toBe(5_400);
    expect(gapSeconds("10min", 3_600)).toBe(10_800);
  });
});

describe("what a gap is depends on how often the sensor reports", () => {
  const gapsIn = (minutes: number[], gapS: number) => {
    const marks = minutes.map((minute) => raw(minute, 1));
    return marks.filter((_, i) => i > 0 && isGap(marks, i, gapS)).length;
  };
  const every = (step: number, n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

  test("hourly values are a line, whatever the sheet says of the sensor", () => {
    expect(gapsIn(every(60, 72), gapSeconds("raw", 600))).toBe(0);
    expect(
      lonely(
        columns(
          every(60, 72).map((m) => raw(m, 1)),
          gapSeconds("raw", 600),
        ),
      ),
    ).toEqual([]);
  });

  test("a silence among them is a gap still", () => {
    expect(gapsIn([...every(60, 12), ...every(60, 12, 12 * 60 + 240)], 1_800)).toBe(1);
    expect(gapsIn([...every(1, 60), ...every(1, 60, 95)], 180)).toBe(1);
    expect(gapsIn([0, 1, 40], 180)).toBe(1);
  });

  test("a record that becomes faster has no gaps before", () => {
    expect(gapsIn([...every(1, 60), ...every(0.1, 300, 60)], 30)).toBe(0);
  });
});

describe("rain that is not known", () => {
  const at = (minute: number) => T0 / 1000 + minute * 60;
  const rain = (minutes: number[]) => minutes.map((minute) => raw(minute, 0));

  test("is neither no rain nor before the first report of a gauge that goes on reporting", () => {
    const tens = Array.from({ length: 13 }, (_, i) => i * 10);
    expect(unknownRain(rain(tens), [at(0), at(125)], 600, 0)).toEqual([]);
    expect(unknownRain(rain(tens), [at(0), at(240)], 600, 0)).toEqual([[at(120), at(240)]]);
    expect(unknownRain(rain([0, 10, 20, 30, 100, 110, 120]), [at(0), at(120)], 600, 0)).toEqual([
      [at(30), at(90)],
    ]);
    expect(unknownRain([], [at(0), at(60)], 600, 0)).toEqual([[at(0), at(60)]]);
  });

  test("an hour in which the gauge died is incomplete, one that is not over yet is not", () => {
    const hour = { time: time(0), min: 0, mean: 0.5, max: 1, n: 3, sum: 1.5 };
    expect(toMark(hour, 3_600, at(300), 600).incomplete).toBe(true);
    expect(toMark({ ...hour, complete: true }, 3_600, at(300), 600).incomplete).toBe(false);
    expect(toMark(hour, 3_600, at(31), 600).incomplete).toBe(false);
    expect(rainOf(toMark(hour, 3_600))).toBe(1.5);
  });
});

test("a point that arrived late is marked so, a summary and a live one are not", () => {
  const late = toMark({ time: time(0), value: 1, flag: 1, reasons: ["late", "rate"] });
  const summary = toMark({ time: time(0), min: 1, mean: 2, max: 3, n: 60 }, 3_600);
  expect([late, raw(1, 1), summary].map((m) => m.late)).toEqual([true, false, false]);
});

describe("live points", () => {
  test("are added in order of measurement, not of arrival", () => {
    const later = merge([raw(0, 1), raw(5, 2)], [reading({ time: time(3), value: 1.5 })]);
    expect(later.map((m) => m.value)).toEqual([1, 1.5, 2]);
  });

  test("a correction replaces the reading of its time", () => {
    const corrected = merge([raw(0, 1)], [reading({ time: time(0), value: 7, flag: 4 })]);
    expect(corrected).toMatchObject([{ value: 7, flag: 4 }]);
  });

  test("the newest reading ends a history of means", () => {
    const hour = toMark({ time: time(0), min: 1, mean: 2, max: 3, n: 60 }, 3_600, T0 / 1000 + 3_000);
    const ended = endWith([hour], reading({ time: time(10), value: 2.9 }));
    expect(ended.map((m) => m.value)).toEqual([2, 2.9]);
  });
});

describe("the scale", () => {
  test("reaches the next threshold, so that calm looks calm", () => {
    const [low, high] = axisRange({ min: 0.3, max: 0.4 }, [1.5, 2.2, 3]);
    expect(low).toBeLessThan(0.3);
    expect(high).toBeGreaterThan(1.5);
    expect(high).toBeLessThan(2.2);
  });

  test("is not squashed by a failed value", () => {
    expect(extent([raw(0, 1), raw(1, 741_878, 4), raw(2, 2)])).toEqual({ min: 1, max: 2 });
  });
});

test("a summary is drawn in the middle of its bucket and called by its start", () => {
  const mark = toMark({ time: time(0), min: 1, mean: 2, max: 3, n: 6 }, 3_600);
  expect(mark.at - mark.from).toBe(1_800);
});

test("the rain of a bucket is all that fell in it", () => {
  expect(rainOf(toMark({ time: time(0), min: 0, mean: 1.5, max: 4, n: 6 }))).toBe(9);
});

describe("the scale of the rain", () => {
  const label = (top: number, left = 0, right = 100) => ({ left, right, top, bottom: top + 16 });
  const room = { top: 4, bottom: 100 };

  test("stands at the top where nothing is in its way", () => {
    expect(freeTop(290, 150, 14, room, [])).toBe(4);
    expect(freeTop(290, 150, 14, room, [label(4)])).toBe(4);
    expect(freeTop(240, 150, 14, room, [label(40)])).toBe(4);
  });

  test("goes under the labels that it would cover", () => {
    expect(freeTop(240, 150, 14, room, [label(4)])).toBe(20);
    expect(freeTop(240, 150, 14, room, [label(22), label(0)])).toBe(38);
    expect(freeTop(240, 150, 14, room, [label(0), label(50)])).toBe(16);
  });

  test("is left out where there is no room", () => {
    expect(
      freeTop(240, 150, 14, room, [label(0), label(16), label(32), label(48), label(64), label(80)]),
    ).toBeNull();
  });
});
