import { describe, expect, test } from "vitest";
import {
  fromSiteText,
  nameOf,
  panned,
  parseSpan,
  RANGE_S,
  type RangeName,
  scaled,
  siteText,
  spanBetween,
  spanQuery,
  windowOf,
} from "../src/domain/span";

const NOW = Date.parse("2026-07-14T02:10:00+09:00") / 1000;
const query = (text: string) => new URLSearchParams(text);
const address = (span: ReturnType<typeof spanQuery>) =>
  query(
    Object.entries(span)
      .filter(([, v]) => v !== null)
      .map(([k, v]) => `${k}=${v}`)
      .join("&"),
  );

describe("times in the address", () => {
  test("are the site's, whatever the browser's zone", () => {
    expect(siteText(NOW)).toBe("2026-07-14T02:10");
    expect(siteText(NOW + 7)).toBe("2026-07-14T02:10:07");
    expect(fromSiteText("2026-07-14T02:10")).toBe(NOW);
  });

  test("that mean nothing are none", () => {
    for (const text of ["", "2026-07-14", "2026-13-40T02:10", "2026-07-14T02:10Z", "x"])
      expect(fromSiteText(text)).toBeNull();
  });
});

describe("a link", () => {
  test("opens the same stretch again", () => {
    for (const span of [
      ...Object.values(RANGE_S).map((lengthS) => ({ lengthS, endS: null })),
      { lengthS: 12_345, endS: null },
      { lengthS: 7_200, endS: NOW - 86_400 },
      { lengthS: 90, endS: NOW - 33 },
    ])
      expect(parseSpan(address(spanQuery(span)), "h6")).toEqual(span);
  });

  test("that is nonsense shows the usual", () => {
    for (const text of [
      "range=toString",
      "range=s1",
      "range=s99999999999",
      "from=2026-07-14T02:10&to=2026-07-14T02:10",
      "from=2026-07-14T02:10",
      "from=0001-01-01T00:00&to=2026-07-14T02:10",
    ])
      expect(parseSpan(query(text), "h24")).toEqual({ lengthS: 86_400, endS: null });
  });
});

describe("moving about", () => {
  const day = { lengthS: 86_400, endS: null };

  test("earlier stands still, and later again follows now", () => {
    const earlier = panned(day, -1, NOW);
    expect(earlier).toEqual({ lengthS: 86_400, endS: NOW - 43_200 });
    expect(panned(earlier, 1, NOW + 60)).toEqual(day);
  });

  test("closer keeps the middle; what follows now goes on following", () => {
    const past = { lengthS: 7_200, endS: NOW - 86_400 };
    const [from, to] = windowOf(scaled(past, 0.5, NOW), NOW);
    expect((from + to) / 2).toBe(NOW - 86_400 - 3_600);
    expect(to - from).toBe(3_600);
    expect(scaled(day, 0.5, NOW)).toEqual({ lengthS: 43_200, endS: null });
  });

  test("never shorter than a minute, nor longer than the gauges are old", () => {
    expect(scaled({ lengthS: 60, endS: null }, 0.5, NOW).lengthS).toBe(60);
    expect(scaled({ lengthS: 30 * 365 * 86_400, endS: null }, 2, NOW).lengthS).toBe(40 * 365 * 86_400);
    const [from] = windowOf(panned({ lengthS: 86_400, endS: -2_200_000_000 }, -1, NOW), NOW);
    expect(new Date(from * 1000).getUTCFullYear()).toBeGreaterThanOrEqual(1900);
  });

  test("a stretch drawn out into the future ends now", () => {
    expect(spanBetween(NOW - 600, NOW + 300, NOW)).toEqual({ lengthS: 900, endS: null });
  });

  test("a preset is known by its name", () => {
    for (const [name, lengthS] of Object.entries(RANGE_S))
      expect(nameOf({ lengthS, endS: null })).toBe(name as RangeName);
    expect(nameOf({ lengthS: RANGE_S.h24, endS: NOW })).toBeNull();
  });
});
