import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ageWords } from "../src/domain/age";
import {
  calendar,
  clock,
  clockOrDay,
  clockSeconds,
  cmPer10min,
  dayOrYear,
  metres,
  signed,
  timeLabels,
  trend,
} from "../src/domain/format";
import { ja } from "../src/i18n/ja";

const at = Date.parse("2026-07-13T17:14:07Z");

describe("times are the site's", () => {
  test("whatever zone the browser is in", () => {
    expect(clock(at)).toBe("02:14");
    expect(clockSeconds(at)).toBe("02:14:07");
    expect(calendar(at, "ja")).toBe("7月14日（火）");
    expect(calendar(at, "en")).toBe("Tue 2026-07-14");
  });

  test("midnight is 00:00, not 24:00", () => {
    expect(clock(Date.parse("2026-07-13T15:00:00Z"))).toBe("00:00");
  });

  test("yesterday's values carry their day", () => {
    expect(clockOrDay(Date.parse("2026-07-13T14:59:00Z"), at)).toBe("7/13 23:59");
    expect(clockOrDay(Date.parse("2026-07-13T15:01:00Z"), at)).toBe("00:01");
  });
});

test("another year's values carry their year", () => {
  expect(clockOrDay(Date.parse("2019-10-12T10:00:00Z"), at)).toBe("2019/10/12 19:00");
  expect(dayOrYear(Date.parse("2026-01-01T00:00:00+09:00"), at)).toBe("1/1");
});

test("marks on the time axis say what changes, and the day or year once below", () => {
  const midnight = Date.parse("2026-07-14T00:00:00+09:00") / 1000;
  expect(timeLabels([midnight - 3_600, midnight, midnight + 3_600], 3_600)).toEqual([
    "23:00\n7/13",
    "00:00\n7/14",
    "01:00",
  ]);
  expect(timeLabels([midnight, midnight + 30], 30)).toEqual(["00:00:00\n7/14", "00:00:30"]);
  expect(timeLabels([midnight - 200 * 86_400, midnight], 20 * 86_400)).toEqual(["12/26\n2025", "7/14\n2026"]);
  expect(timeLabels([midnight], 365 * 86_400)).toEqual(["2026"]);
});

describe("numbers", () => {
  test("levels have two decimals, a real minus and no minus zero", () => {
    expect([2.134, -0.5, -0.001, null].map((m) => metres(m))).toEqual(["2.13", "−0.50", "0.00", "—"]);
  });

  test("trends are whole centimetres in ten minutes", () => {
    expect(cmPer10min(0.72)).toBe(12);
    expect(cmPer10min(-0.01)).toBe(0);
    expect([12, 0, -3].map(signed)).toEqual(["+12", "0", "−3"]);
  });

  test("trends are rounded as the server rounds them", () => {
    const file = new URL("../../tests/contracts/change_per_10min.json", import.meta.url);
    for (const given of JSON.parse(readFileSync(file, "utf8")).vectors)
      expect(cmPer10min(given.trend_m_per_h), JSON.stringify(given)).toBe(given.cm_per_10min);
  });

  test("the arrow follows the number shown beside it", () => {
    expect([4.98, 0.3, 0.02, -0.3, -4.98].map(trend)).toEqual([
      "up-fast",
      "up",
      "level",
      "down",
      "down-fast",
    ]);
  });

  test("ages tick in words", () => {
    expect([7.9, 187, 3_900, 180_000].map((s) => ageWords(s, ja))).toEqual([
      "7秒前",
      "3分07秒前",
      "1時間05分前",
      "2日2時間前",
    ]);
  });
});
