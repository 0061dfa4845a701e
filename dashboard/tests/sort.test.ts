import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { StationLevel } from "../src/api/types";
import { HAND_RESTS_MS, mayResort, moves, openLevels, ranked } from "../src/domain/sort";
import { station } from "./factory";

const near = (id: string, metres_to_go: number, flood_level = 2, more: Partial<StationLevel> = {}) =>
  station({
    station_id: id,
    flood_level,
    next_threshold: { level: 3, value_m: 3, metres_to_go },
    ...more,
  });
const ids = (list: StationLevel[], unanswered: Record<string, number> = {}) =>
  ranked(list, new Map(Object.entries(unanswered)));

describe("the order of danger", () => {
  test("puts what nobody has answered first, the higher level before the lower", () => {
    const list = [near("over", 1, 5), near("two", 1, 2), near("four", 1, 4), near("calm", 1, 0)];
    expect(ids(list, { two: 2, four: 4 })).toEqual(["four", "two", "over", "calm"]);
  });

  test("never lets water that somebody has answered for sink below calmer water", () => {
    expect(ids([near("calm", 0.01, 0), near("answered", 5, 4), near("low", 0.1, 1)])).toEqual([
      "answered",
      "low",
      "calm",
    ]);
  });

  test("then puts first who reaches the next threshold first, then who is further on the way to level 4", () => {
    const arrival = (likely: string) => ({ earliest: likely, likely, latest: likely });
    const list = [
      near("far", 0.2, 1, { level_share: 0.1 }),
      near("further", 0.4, 1, { level_share: 0.3 }),
      near("later", 0.1, 1, { arrival: arrival("2026-07-14T03:00:00Z") }),
      near("sooner", 0.9, 1, { arrival: arrival("2026-07-14T02:30:00Z") }),
    ];
    expect(ids(list)).toEqual(["sooner", "later", "further", "far"]);
  });

  test("without either, the shorter way to the next threshold, then the faster rise", () => {
    const list = [near("slow", 0.3, 2, { trend_m_per_h: 0.1 }), near("fast", 0.3), near("close", 0.2)];
    expect(ids(list)).toEqual(["close", "fast", "slow"]);
  });

  test("keeps a silent station at its last known level", () => {
    const silent = station({ station_id: "silent", flood_level: 4, freshness: "dead" });
    expect(ids([near("a", 0.1, 3), silent])).toEqual(["silent", "a"]);
  });

  test("above the last threshold, less freeboard comes first", () => {
    const over = (id: string, freeboard_m: number) =>
      station({ station_id: id, flood_level: 5, next_threshold: null, freeboard_m });
    expect(ids([over("dry", 0.4), over("spilling", -0.1)])).toEqual(["spilling", "dry"]);
  });

  test("is the light page's too: tests/api/test_lite.py reads the same file", () => {
    const file = new URL("../../tests/contracts/danger.json", import.meta.url);
    const { stations, unanswered, answered, order } = JSON.parse(readFileSync(file, "utf8"));
    const list = stations.map(station);
    const open = openLevels(list, new Map(Object.entries(unanswered)), new Map(Object.entries(answered)));
    expect(ranked(list, open)).toEqual(order);
  });

  test("a station without any number stands last among its equals", () => {
    const mute = station({ station_id: "mute", level_m: null, flood_level: 0, next_threshold: null });
    expect(ids([mute, near("b", 9, 0)])).toEqual(["b", "mute"]);
  });

  test("is one order, however the stations come, and no unanswered level stands below a lower one", () => {
    let seed = 7;
    const random = (n: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    for (let round = 0; round < 200; round++) {
      const list = Array.from({ length: 12 }, (_, i) =>
        near(`s${i}`, random(3) / 10, random(6), {
          trend_m_per_h: random(3) === 0 ? null : random(4) / 10,
          level_share: random(3) === 0 ? null : random(3) / 2,
        }),
      );
      const unanswered: Record<string, number> = {};
      for (let i = 0; i < 4; i++) unanswered[`s${random(12)}`] = random(6);
      const order = ids(list, unanswered);
      expect(ids([...list].reverse(), unanswered)).toEqual(order);
      expect([...order].sort()).toEqual(list.map((s) => s.station_id).sort());
      const levels = order.map((id) => unanswered[id] ?? 0);
      expect(levels).toEqual([...levels].sort((a, b) => b - a));
    }
  });
});

describe("the level that waits for an answer", () => {
  const at = (id: string, flood_level: number) => station({ station_id: id, flood_level });
  const open = (list: StationLevel[], unanswered = {}, answered = {}) =>
    Object.fromEntries(
      openLevels(list, new Map(Object.entries(unanswered)), new Map(Object.entries(answered))),
    );

  test("is the flood's own where no alert has been raised: the engine may be away", () => {
    expect(open([at("over", 5), at("low", 1)], { low: 1 })).toEqual({ over: 5, low: 1 });
    expect(ids([at("low", 1), at("over", 5)], open([at("over", 5), at("low", 1)], { low: 1 }))).toEqual([
      "over",
      "low",
    ]);
  });

  test("is none once an alert as high is answered, and the flood's again when it rises above it", () => {
    expect(open([at("a", 3)], {}, { a: 3 })).toEqual({ a: 0 });
    expect(open([at("a", 4)], {}, { a: 3 })).toEqual({ a: 4 });
  });
});

describe("how many rows would move", () => {
  test("is the least that a hand would have to move", () => {
    expect(moves(["a", "b", "c", "d"], ["a", "b", "c", "d"])).toBe(0);
    expect(moves(["a", "b", "c", "d"], ["d", "a", "b", "c"])).toBe(1);
    expect(moves(["a", "b", "c", "d"], ["b", "c", "d", "a"])).toBe(1);
    expect(moves(["a", "b", "c", "d"], ["d", "c", "b", "a"])).toBe(3);
  });
});

describe("when rows may move", () => {
  const calm = { nowMs: 100_000, lastSortMs: 90_000, touchedMs: null };

  test("at most every ten seconds", () => {
    expect(mayResort(calm)).toBe(true);
    expect(mayResort({ ...calm, lastSortMs: 90_001 })).toBe(false);
  });

  test("never under a hand", () => {
    expect(mayResort({ ...calm, lastSortMs: 0, touchedMs: 70_000 })).toBe(false);
  });

  test("a mouse left lying on the table does not hold them for ever", () => {
    expect(mayResort({ ...calm, touchedMs: 100_000 - HAND_RESTS_MS })).toBe(true);
  });
});
