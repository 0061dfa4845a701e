import { describe, expect, test } from "vitest";
import { byDanger, mayResort } from "../src/domain/sort";
import { station } from "./factory";

const near = (id: string, metres_to_go: number, flood_level = 2) =>
  station({ station_id: id, flood_level, next_threshold: { level: 3, value_m: 3, metres_to_go } });
const ids = (list: ReturnType<typeof station>[]) => [...list].sort(byDanger).map((s) => s.station_id);

describe("the order of danger", () => {
  test("puts the higher flood level first, then the shorter way to the next threshold", () => {
    expect(ids([near("calm", 0.1, 0), near("far", 0.9), near("close", 0.2), near("worst", 2, 4)])).toEqual([
      "worst",
      "close",
      "far",
      "calm",
    ]);
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

  test("a station without any number stands last among its equals", () => {
    const mute = station({ station_id: "mute", level_m: null, flood_level: 0, next_threshold: null });
    expect(ids([mute, near("b", 9, 0)])).toEqual(["b", "mute"]);
  });

  test("equal stations never swap places", () => {
    expect(ids([near("b", 0.2), near("a", 0.2)])).toEqual(ids([near("a", 0.2), near("b", 0.2)]));
  });
});

describe("when rows may move", () => {
  const calm = { nowMs: 100_000, lastSortMs: 95_000, touchedMs: null, levelsChanged: false };

  test("a changed flood level sorts at once when nobody is in the table", () => {
    expect(mayResort({ ...calm, levelsChanged: true })).toBe(true);
  });

  test("small differences wait ten seconds", () => {
    expect(mayResort(calm)).toBe(false);
    expect(mayResort({ ...calm, lastSortMs: 90_000 })).toBe(true);
  });

  test("a hand in the table holds the rows even when a level changes", () => {
    expect(mayResort({ ...calm, levelsChanged: true, touchedMs: 92_000 })).toBe(false);
  });

  test("a mouse left lying on the table does not hold them for ever", () => {
    expect(mayResort({ ...calm, levelsChanged: true, touchedMs: 90_000 })).toBe(true);
  });
});
