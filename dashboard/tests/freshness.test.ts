import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { clockError, serverNow, sync } from "../src/domain/clock";
import { connection, QUIET_LIMIT_MS } from "../src/domain/connection";
import { ageSeconds, aheadSeconds, believed, freshness, freshnessNow } from "../src/domain/freshness";
import { hasThresholds } from "../src/domain/levels";
import { station } from "./factory";

const measured = Date.parse("2026-07-13T17:10:00Z");

describe("how old a number may be", () => {
  test("late after one and a half intervals, dead after three", () => {
    expect([89, 90, 91, 180, 181].map((age) => freshness(age, 60))).toEqual([
      "fresh",
      "fresh",
      "late",
      "late",
      "dead",
    ]);
  });

  test("is judged as the server judges it", () => {
    const file = new URL("../../tests/contracts/freshness.json", import.meta.url);
    for (const given of JSON.parse(readFileSync(file, "utf8")).vectors)
      expect(freshness(given.age_s, given.interval_s), JSON.stringify(given)).toBe(given.freshness);
  });

  test("what was measured in the future is never fresh, whatever the server says", () => {
    const s = station({ observed_at: "2026-07-13T18:10:00Z", freshness: "fresh" });
    expect(freshnessNow(s, measured)).toBe("dead");
    expect(aheadSeconds(s.observed_at, measured)).toBe(3_600);
  });

  test("a station that never reported is dead whatever the server says", () => {
    expect(freshnessNow(station({ observed_at: null, freshness: "fresh" }), measured)).toBe("dead");
  });

  test("a fresh number dies while nothing arrives", () => {
    const s = station({ freshness: "fresh", report_every_s: 60 });
    expect(freshnessNow(s, measured + 60_000)).toBe("fresh");
    expect(freshnessNow(s, measured + 100_000)).toBe("late");
    expect(freshnessNow(s, measured + 200_000)).toBe("dead");
  });

  test("the page never calls fresh what the server calls late", () => {
    expect(freshnessNow(station({ freshness: "late" }), measured)).toBe("late");
  });

  test("a gauge that reports once a day is fresh at noon", () => {
    expect(freshnessNow(station({ report_every_s: 86_400 }), measured + 12 * 3_600_000)).toBe("fresh");
  });

  test("an age is never negative", () => {
    expect(ageSeconds("2026-07-13T17:10:00Z", measured - 2_000)).toBe(0);
  });
});

describe("the server's clock", () => {
  const last = sync("2026-07-13T17:10:00Z", 200, 5_000_000, 1_000);

  test("counts on from the last answer", () => {
    expect(serverNow(last, 5_001_000, 2_000)).toBe(measured + 100 + 1_000);
  });

  test("a sleeping machine's counter does not make ages younger", () => {
    expect(serverNow(last, 5_600_000, 1_500)).toBe(measured + 100 + 600_000);
  });

  test("a browser clock set back does not make ages younger", () => {
    expect(serverNow(last, 4_000_000, 31_000)).toBe(measured + 100 + 30_000);
  });

  test("a difference of more than 30 s is told", () => {
    expect(clockError(sync("2026-07-13T17:10:00Z", 0, measured + 20_000, 0))).toBe(0);
    expect(clockError(sync("2026-07-13T17:10:00Z", 0, measured - 40_000, 0))).toBe(-40_000);
  });
});

describe("the connection", () => {
  const link = { startedMs: 0, heardMs: 50_000, broken: false };

  test("is lost after the silence, not before", () => {
    expect(connection(link, 50_000 + QUIET_LIMIT_MS)).toBe("live");
    expect(connection(link, 50_001 + QUIET_LIMIT_MS)).toBe("lost");
  });

  test("is lost at once when it breaks", () => {
    expect(connection({ ...link, broken: true }, 50_000)).toBe("lost");
  });

  test("that never came about is lost too", () => {
    expect(connection({ ...link, heardMs: null }, 1_000)).toBe("connecting");
    expect(connection({ ...link, heardMs: null }, QUIET_LIMIT_MS + 1)).toBe("lost");
  });
});

describe("a station whose newest reading failed", () => {
  const failing = station({ flag: 4, level_m: 99, judged_m: 3.4, judged_at: "2026-07-13T17:07:30Z" });
  const at = (minutes: number) => Date.parse("2026-07-13T17:07:30Z") + minutes * 60_000;

  test("is as old as the level it is judged by, and shows that one", () => {
    expect(believed(failing)).toBe(3.4);
    expect(freshnessNow(failing, at(1))).toBe("fresh");
    expect(freshnessNow(failing, at(3.1))).toBe("dead");
  });

  test("is what the server says where it never had a level to be judged by", () => {
    const never = station({ flag: 4, level_m: 99, judged_m: null, judged_at: null, freshness: "dead" });
    expect(believed(never)).toBeNull();
    expect(freshnessNow(never, at(3))).toBe("dead");
  });
});

describe("thresholds", () => {
  test("a level without any is not below them", () => {
    expect(hasThresholds(station())).toBe(true);
    expect(hasThresholds(station({ flood_level: 0 }))).toBe(true);
    expect(hasThresholds(station({ flood_level: 0, next_threshold: null, judged_m: 2.1 }))).toBe(false);
    expect(hasThresholds(station({ flood_level: 0, next_threshold: null, judged_m: null }))).toBe(true);
  });
});
