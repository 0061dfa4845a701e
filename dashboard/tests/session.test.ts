/** The session against a server that stands still, comes back, or answers late; the time is the test's own. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Alert, LevelsLatest } from "../src/api/types";
import { alert, station } from "./factory";

const BEGUN = Date.parse("2026-07-13T17:10:00Z");

/** What the page calls a server. */
class Server {
  up = true;
  alerts: Alert[] = [];
  floodLevels: unknown[] = [];
  /** How long each answer travels, by its path. */
  travels: (path: string) => number = () => 20;
  level = 2.1;
  stations = 1;
  asked: string[] = [];
  sources: Source[] = [];
  /** Whether a stream that is dialled is ever answered. */
  answersStreams = true;

  fetch = (url: string, { signal }: { signal: AbortSignal }) =>
    new Promise<Response>((answer, fail) => {
      this.asked.push(url);
      signal.addEventListener("abort", () => fail(signal.reason));
      if (!this.up) return setTimeout(() => fail(new TypeError("refused")), 5);
      const body = JSON.stringify(this.says(url));
      return setTimeout(() => answer(new Response(body)), this.travels(url));
    });

  says(url: string): unknown {
    if (url.includes("/levels/latest"))
      return {
        as_of: new Date().toISOString(),
        stations: Array.from({ length: this.stations }, (_, n) =>
          station({ station_id: `st${n + 1}`, level_m: this.level }),
        ),
      } satisfies LevelsLatest;
    const state = new URLSearchParams(url.split("?")[1]).get("state");
    if (url.includes("/alerts"))
      return { alerts: this.alerts.filter((a) => !state || a.state === state), next: null };
    if (url.includes("/flood-levels")) return { flood_levels: this.floodLevels };
    if (url.includes("/site")) return { status: "exercise" };
    return { stations: [], features: [] };
  }
}

let server: Server;

class Source extends EventTarget {
  static readonly CLOSED = 2;
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    super();
    server.sources.push(this);
    if (server.answersStreams) setTimeout(() => (server.up ? this.open() : this.breaks(2)), 10);
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
    const beat = () => {
      if (this.readyState !== 1 || !server.up) return;
      this.says("heartbeat", {
        as_of: new Date().toISOString(),
        alerting: { ok: true, why: [] },
        page: null,
      });
      setTimeout(beat, 5_000);
    };
    beat();
  }

  breaks(state: number) {
    this.readyState = state;
    this.onerror?.();
  }

  says(event: string, data: unknown) {
    this.dispatchEvent(new MessageEvent(event, { data: JSON.stringify(data) }));
  }

  close() {
    this.readyState = 2;
  }
}

async function begun() {
  const session = await import("../src/store/session");
  const store = await import("../src/store/store");
  session.startSession();
  return store;
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const shown = (store: Awaited<ReturnType<typeof begun>>) => store.levels.value?.stations[0]?.level_m;

beforeEach(() => {
  vi.resetModules();
  vi.useFakeTimers({ now: BEGUN });
  server = new Server();
  const forbidden = {
    get: () => {
      throw new DOMException("storage is forbidden here", "SecurityError");
    },
  };
  Object.defineProperty(globalThis, "localStorage", { configurable: true, ...forbidden });
  vi.stubGlobal("location", { search: "", pathname: "/" });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible" });
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("fetch", server.fetch);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a session", () => {
  test("starts where nothing may be kept", async () => {
    const store = await begun();
    await pass(1_000);
    expect(shown(store)).toBe(2.1);
    expect(store.connected.value).toBe("live");
  });

  test("knows the alerts as soon as the server is back, however long it was away, and says none before", async () => {
    server.up = false;
    server.alerts = [alert({ flood_level: 5 })];
    const store = await begun();
    await pass(124_000);
    expect(store.alertsKnown.value).toBe(false);
    server.up = true;
    await pass(7_000); // the stream is dialled anew within five seconds
    expect(store.connected.value).toBe("live");
    expect(store.alerts.value.map((a) => a.flood_level)).toEqual([5]);
    expect(store.site.value?.status).toBe("exercise");
  });

  test("hears of an alert raised while the first answer was on its way", async () => {
    server.travels = (path) => (path.includes("/alerts") ? 4_000 : 20);
    const store = await begun();
    setTimeout(() => {
      server.alerts = [alert()];
    }, 5);
    await pass(10_000);
    expect(store.alerts.value).toHaveLength(1);
  });

  test("asks for the alerts once a minute, and hears so of those that no word of the stream told", async () => {
    const store = await begun();
    await pass(5_000);
    server.alerts = [alert()];
    await pass(62_000);
    expect(store.alerts.value).toHaveLength(1);
  });

  test("dials a stream anew that hangs in its own reconnection", async () => {
    await begun();
    await pass(30_000);
    server.answersStreams = false;
    server.sources.at(-1)?.breaks(0);
    await pass(30_000);
    expect(server.sources.length).toBeGreaterThan(2);
  });

  test("asks for nothing when readings come, and shows the rows that the stream brings", async () => {
    const store = await begun();
    await pass(2_000);
    const before = server.asked.length;
    for (let s = 0; s < 50; s++) {
      server.sources[0]?.says("reading", { readings: [{ station_id: "st1", quantity: "water_level" }] });
      const as_of = new Date().toISOString();
      server.sources[0]?.says("level", { as_of, stations: [station({ station_id: "st1", level_m: 3 + s })] });
      await pass(1_000);
    }
    expect(shown(store)).toBe(52);
    expect(server.asked.length - before).toBe(0);
    await pass(15_000);
    expect(server.asked.filter((url) => url.includes("/levels/latest"))).toHaveLength(3); // start, opening, a minute later
  });

  test("takes names and colours of the levels from the server, anew when the registry changes", async () => {
    const reform = {
      level: 4,
      name: { ja: "危険水位", en: "danger" },
      colour: "#112233",
      text_colour: "#FFFFFF",
    };
    const store = await begun();
    await pass(1_000);
    expect(store.levelTable.value[4]?.name.ja).toBe("氾濫危険水位");
    server.floodLevels = [reform, { level: 5, colour: "url(evil)" }];
    server.sources[0]?.says("station", {});
    await pass(1_000);
    expect(store.levelTable.value[4]).toEqual(reform);
    expect(store.levelTable.value[5]?.colour).toBe("#0C000C");
  });

  test.each([1, 200])(
    "does not let one answer that was held up hold up the next, of %i stations",
    async (many) => {
      server.stations = many;
      const store = await begun();
      await pass(20_000);
      server.travels = () => 7_000;
      server.sources[0]?.says("station", {});
      await pass(2_000);
      server.travels = () => 20;
      server.level = 3.3;
      server.sources[0]?.says("station", {});
      await pass(7_500);
      expect(shown(store)).toBe(3.3);
    },
  );

  test.each([
    [200, 4, 8],
    [12, 15, 25],
  ])("spares a thin line the answers of %i stations where they are large", async (many, least, most) => {
    server.stations = many;
    server.travels = () => 3_000;
    await begun();
    for (let s = 0; s < 60; s++) {
      server.sources.at(-1)?.says("station", {});
      await pass(1_000);
    }
    const asked = server.asked.filter((url) => url.includes("/levels/latest")).length;
    expect(asked).toBeGreaterThanOrEqual(least);
    expect(asked).toBeLessThanOrEqual(most);
  });

  test("waits for an answer that comes slowly, and gives up one that does not come", async () => {
    const slow = (every: number, parts: number) => () =>
      Promise.resolve(
        new Response(
          new ReadableStream({
            start(controller) {
              const text = JSON.stringify(server.says("/levels/latest"));
              const size = Math.ceil(text.length / parts);
              for (let n = 0; n < parts; n++)
                setTimeout(
                  () => {
                    controller.enqueue(new TextEncoder().encode(text.slice(n * size, (n + 1) * size)));
                    if (n === parts - 1) controller.close();
                  },
                  every * (n + 1),
                );
            },
          }),
        ),
      );
    const { getLevels } = await import("../src/api/client");
    vi.stubGlobal("fetch", slow(3_000, 10));
    const got = getLevels();
    await pass(30_000);
    expect((await got).stations).toHaveLength(1);
    vi.stubGlobal("fetch", (url: string, options: { signal: AbortSignal }) => {
      server.travels = () => 9_000;
      return server.fetch(url, options);
    });
    const given = expect(getLevels()).rejects.toThrow("nothing came");
    await pass(8_500);
    await given;
  });
});
