import { describe, expect, test } from "vitest";
import {
  type Call,
  kept,
  LONGEST_MUTE_MS,
  type Mute,
  NOT_PLAYED,
  next,
  PATTERNS,
  type Played,
  REPEAT_MS,
  type Wanted,
  wanted,
} from "../src/domain/sound";
import { alert } from "./factory";

/** Every call of a night, second by second. */
function night(seconds: number, at: (s: number) => Wanted, mute: (s: number) => Mute | null = () => null) {
  let played: Played = NOT_PLAYED;
  const heard: [number, Call][] = [];
  for (let s = 0; s <= seconds; s++) {
    const [call, after] = next(played, at(s), mute(s), s * 1000);
    played = after;
    if (call !== null) heard.push([s, call]);
  }
  return heard;
}

const level = (n: number | null, link = false) => ({ level: n, link }) as Wanted;

describe("a level that nobody has answered", () => {
  test("is heard at once and again until somebody answers", () => {
    expect(night(40, (s) => level(s < 33 ? 3 : null))).toEqual([
      [0, 3],
      [15, 3],
      [30, 3],
    ]);
  });

  test("that rises is heard at once with its own pattern", () => {
    const heard = night(20, (s) => level(s < 7 ? 2 : 4));
    expect(heard.slice(0, 3)).toEqual([
      [0, 2],
      [7, 4],
      [15, 4],
    ]);
  });

  test("is heard anew when it comes back after an answer", () => {
    expect(night(12, (s) => level(s === 5 ? null : 1)).map(([s]) => s)).toEqual([0, 6]);
  });

  test("is heard more often the higher it is", () => {
    const often = [1, 2, 3, 4, 5].map((n) => night(120, () => level(n)).length);
    expect(often).toEqual([...often].sort((a, b) => a - b));
    expect(new Set(often).size).toBe(5);
  });
});

describe("muted", () => {
  const from3 = (s: number): Mute | null => (s >= 3 ? { untilMs: 63_000, level: 3, link: false } : null);

  test("the same and lower levels are quiet until the time is up", () => {
    expect(night(70, () => level(3), from3).map(([s]) => s)).toEqual([0, 63]);
  });

  test("a higher level is heard all the same, and goes on", () => {
    const heard = night(40, (s) => level(s < 10 ? 3 : 4), from3);
    expect(heard.slice(0, 3)).toEqual([
      [0, 3],
      [10, 4],
      [18, 4],
    ]);
  });

  test("a line that breaks afterwards is heard all the same", () => {
    expect(night(20, (s) => level(3, s >= 8), from3)).toContainEqual([8, "link"]);
  });

  test("never lasts longer than ten minutes", () => {
    expect(LONGEST_MUTE_MS).toBe(600_000);
  });
});

test("a broken line has a voice of its own beside the water's", () => {
  const heard = night(31, () => level(4, true)).map(([, call]) => call);
  expect(heard.filter((call) => call === "link").length).toBeGreaterThanOrEqual(2);
  expect(heard.filter((call) => call === 4).length).toBeGreaterThanOrEqual(3);
});

test("what is wanted is the highest level that nobody answered, and nothing learned of too late", () => {
  const firing = (id: number, flood_level: number, more = {}) =>
    alert({ id, flood_level, state: "firing", ...more });
  expect(wanted([], false).level).toBeNull();
  expect(
    wanted([firing(1, 2), firing(2, 4), alert({ id: 3, flood_level: 5, state: "acknowledged" })], false)
      .level,
  ).toBe(4);
  expect(wanted([firing(1, 5, { retroactive: true })], false).level).toBeNull();
  expect(wanted([firing(1, 0, { kind: "silent" })], false).level).toBe(0);
});

test("no two calls sound alike, each is over before it repeats, and none flickers faster than the ear can follow", () => {
  const calls = [0, 1, 2, 3, 4, 5, "link"] as const;
  expect(new Set(calls.map((c) => JSON.stringify(PATTERNS[c]))).size).toBe(calls.length);
  for (const call of calls) {
    const last = PATTERNS[call].at(-1);
    expect(((last?.at ?? 0) + (last?.seconds ?? 0)) * 1000).toBeLessThan(REPEAT_MS[call]);
    for (const { seconds, hz } of PATTERNS[call]) {
      expect(seconds).toBeGreaterThanOrEqual(0.1);
      expect(hz).toBeGreaterThanOrEqual(500);
      expect(hz).toBeLessThanOrEqual(3000);
    }
  }
});

describe("a mute", () => {
  const mute: Mute = { untilMs: 600_000, level: 4, link: true };

  test("covers what it was asked against, as long as that lasts", () => {
    expect(kept(mute, level(4, true))).toBe(mute);
    expect(kept(mute, level(5, true))).toBe(mute);
    expect(kept(null, level(4))).toBeNull();
  });

  test("does not cover a line that breaks again, nor a level that is reached again", () => {
    expect(kept(mute, level(4))).toEqual({ ...mute, link: false });
    expect(kept(mute, level(2, true))).toEqual({ ...mute, level: 2 });
    const answered = kept(mute, level(null, true));
    expect(answered).toEqual({ ...mute, level: null });
    expect(next(NOT_PLAYED, level(4), answered, 1_000)[0]).toBe(4);
  });
});
