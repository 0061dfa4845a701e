import { beforeEach, describe, expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/", search: "", hash: "" });
const { incomplete, part } = await import("../src/ui/part");
const { link, tick } = await import("../src/store/store");

/** The server speaks, or the stream is broken. */
const speaks = (yes: boolean) => {
  tick.value = { browserMs: 0, steadyMs: 1_000 };
  link.value = { startedMs: 0, heardMs: 1_000, broken: !yes };
};
const MINUTE_MS = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
  speaks(true);
});

describe("a part in a file of its own", () => {
  test("is asked for again when it failed once, and only once when it is there", async () => {
    const load = vi.fn(async () => "map").mockRejectedValueOnce(new TypeError("Failed to fetch"));
    const { ready, missing } = part(load);
    const both = Promise.all([ready(), ready()]);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(await both).toEqual(["map", "map"]);
    expect(load).toHaveBeenCalledTimes(2);
    expect([missing.value, incomplete.value]).toEqual([false, false]);
  });

  test("is missing when it does not come in sight of the server, until it comes", async () => {
    let there = false;
    const { ready, missing } = part(async () => {
      if (!there) throw new TypeError("Failed to fetch");
      return "map";
    });
    const found = ready();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(missing.value).toBe(false);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect([missing.value, incomplete.value]).toEqual([true, true]);
    there = true;
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(await found).toBe("map");
    expect([missing.value, incomplete.value]).toEqual([false, false]);
  });

  test("is not called missing while the server is away, and comes soon after it is back", async () => {
    speaks(false);
    const load = vi.fn(async () => {
      throw new TypeError("Failed to fetch");
    });
    const { ready, missing } = part<string>(load);
    const found = ready();
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(missing.value).toBe(false);
    speaks(true);
    load.mockImplementation(async () => "map" as never);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await found).toBe("map");
  });

  test("is missing, not without its style, when its style sheet failed", async () => {
    const load = vi
      .fn(async () => "map without its style")
      .mockRejectedValueOnce(new Error("Unable to preload CSS for /assets/river-map.css"));
    const { ready, missing } = part(load);
    void ready();
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(missing.value).toBe(true);
    expect(load).toHaveBeenCalledTimes(1);
  });
});
