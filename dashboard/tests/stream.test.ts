import { describe, expect, test } from "vitest";
import { decode } from "../src/api/stream";
import {
  answered,
  fetched,
  mergeAlerts,
  START,
  step,
  unshelved,
  withRows,
  withSince,
} from "../src/store/live";
import { alert, reading, station } from "./factory";

describe("decoding an event", () => {
  test("takes one reading or many", () => {
    const one = decode("reading", JSON.stringify(reading()));
    const many = decode("reading", JSON.stringify({ readings: [reading(), reading()] }));
    expect(one).toEqual({ kind: "readings", readings: [reading()] });
    expect(many?.kind === "readings" && many.readings.length).toBe(2);
  });

  test("a broken or unknown event is passed over", () => {
    expect(decode("reading", "{")).toBeNull();
    expect(decode("reading", "7")).toBeNull();
    expect(decode("weather", "{}")).toBeNull();
  });
});

describe("a step of the stream", () => {
  test("readings feed the chart and ask for nothing", () => {
    const [live, wanted] = step(START, { kind: "readings", readings: [reading()] }, 7_000);
    expect(wanted).toMatchObject({ levels: false, readings: [reading()], stations: false });
    expect(live.heardMs).toBe(7_000);
  });

  test("a heartbeat is a sign of life and asks for nothing", () => {
    const [live, wanted] = step(
      { ...START, broken: true },
      { kind: "heartbeat", asOf: null, alerting: null, page: null },
      7_000,
    );
    expect(live).toMatchObject({ heardMs: 7_000, broken: false });
    expect(wanted).toMatchObject({ levels: false, alerts: false, history: false });
  });

  test("a heartbeat that repeats itself is no sign of life", () => {
    const [first] = step(
      START,
      { kind: "heartbeat", asOf: "2026-07-13T17:10:00Z", alerting: null, page: null },
      7_000,
    );
    const [second] = step(
      first,
      { kind: "heartbeat", asOf: "2026-07-13T17:10:00Z", alerting: null, page: null },
      12_000,
    );
    const [third] = step(
      second,
      { kind: "heartbeat", asOf: "2026-07-13T17:10:05Z", alerting: null, page: null },
      17_000,
    );
    expect([first, second, third].map((live) => live.heardMs)).toEqual([7_000, 7_000, 17_000]);
  });

  test("when the server cannot tell what was missed, everything is asked for", () => {
    expect(step(START, { kind: "resync" }, 1)[1]).toMatchObject({
      levels: true,
      alerts: true,
      history: true,
    });
  });

  test("an error breaks the link and keeps everything else", () => {
    const before = { ...START, alerts: [alert()], heardMs: 5_000 };
    const [live] = step(before, { kind: "error" }, 9_000);
    expect(live).toEqual({ ...before, broken: true });
  });

  test("after an opening, everything that may have been missed is asked for", () => {
    const [, wanted] = step({ ...START, broken: true }, { kind: "open" }, 9_000);
    expect(wanted).toMatchObject({ levels: true, alerts: true, history: true });
  });

  test("a changed registration fetches the stations", () => {
    expect(step(START, { kind: "station" }, 1)[1]).toMatchObject({ stations: true, levels: true });
  });

  test("a new alert is listed and read out", () => {
    const [live, wanted] = step(START, { kind: "alert", alert: alert({ id: 9 }) }, 1);
    expect(live.alerts.map((a) => a.id)).toEqual([9]);
    expect(live.announced.map((a) => a.id)).toEqual([9]);
    expect(wanted.levels).toBe(false);
  });

  test("the end of a known alert replaces it and is not read out again", () => {
    const ended = alert({ id: 9, ended_at: "2026-07-13T18:00:00Z", state: "resolved" });
    const [live] = step({ ...START, alerts: [alert({ id: 9 })] }, { kind: "alert", alert: ended }, 1);
    expect(live.alerts).toEqual([ended]);
    expect(live.announced).toEqual([]);
  });
});

test("an alert that is gone leaves the list", () => {
  const gone = decode("alert_gone", JSON.stringify({ id: 9 }));
  expect(gone).toEqual({ kind: "gone", id: 9 });
  const known = { ...START, alerts: [alert({ id: 9 }), alert({ id: 8 })] };
  const [live, wanted] = step(known, { kind: "gone", id: 9 }, 1);
  expect(live.alerts.map((a) => a.id)).toEqual([8]);
  expect(wanted.levels).toBe(false);
});

test("what arrives replaces what was known under its id", () => {
  const list = mergeAlerts([alert({ id: 1 }), alert({ id: 2 })], [alert({ id: 1, verified: false })]);
  expect(list.map((a) => [a.id, a.verified])).toEqual([
    [2, true],
    [1, false],
  ]);
});

test("the self-test's own alerts are never listed", () => {
  expect(mergeAlerts([], [alert({ kind: "self_test" })])).toEqual([]);
});

describe("the list fetched anew", () => {
  const known = [alert({ id: 1 }), alert({ id: 2 })];

  test("drops what the server no longer has", () => {
    const live = fetched({ ...START, alerts: known, fetched: true }, known, [alert({ id: 2 })]);
    expect(live.alerts.map((a) => a.id)).toEqual([2]);
  });

  test("does not undo what the stream said while it was on its way", () => {
    const newer = alert({ id: 1, state: "acknowledged", acknowledged_at: "2026-07-13T17:12:00Z" });
    const [meanwhile] = step({ ...START, alerts: known, fetched: true }, { kind: "alert", alert: newer }, 1);
    const live = fetched(meanwhile, known, [alert({ id: 1 }), alert({ id: 2 })]);
    expect(live.alerts.find((a) => a.id === 1)).toBe(newer);
  });

  test("is no news the first time, and is read out after an interruption", () => {
    const first = fetched(START, [], known);
    expect(first.announced).toEqual([]);
    const later = fetched(first, first.alerts, [...known, alert({ id: 3 })]);
    expect(later.announced.map((a) => a.id)).toEqual([3]);
  });
});

test("the answer to an action gives way to what the stream has said since", () => {
  const before = alert({ id: 1 });
  const answer = alert({ id: 1, state: "acknowledged" });
  const later = alert({ id: 1, state: "shelved" });
  expect(answered({ ...START, alerts: [before] }, before, answer).alerts).toEqual([answer]);
  expect(answered({ ...START, alerts: [later] }, before, answer).alerts).toEqual([later]);
});

describe("a list that was fetched", () => {
  test("does not bring back what the stream has called gone meanwhile", () => {
    const asked = [alert({ id: 7 })];
    const [gone] = step({ ...START, alerts: asked }, { kind: "gone", id: 7 }, 1);
    expect(fetched(gone, asked, [alert({ id: 7 }), alert({ id: 8 })]).alerts.map((a) => a.id)).toEqual([8]);
  });
});

describe("a shelving that runs out", () => {
  const shelved = alert({ state: "shelved", shelved_until: "2026-07-13T18:00:00Z" });
  const at = Date.parse("2026-07-13T18:00:00Z");

  test("asks for an answer again, and is read out", () => {
    const live = { ...START, fetched: true, alerts: [shelved] };
    expect(unshelved(live, at - 1)).toBe(live);
    const after = unshelved(live, at);
    expect(after.alerts.map((a) => a.state)).toEqual(["firing"]);
    expect(after.announced).toHaveLength(1);
  });

  test("leaves an answered one answered", () => {
    const live = { ...START, alerts: [{ ...shelved, acknowledged_at: "2026-07-13T17:30:00Z" }] };
    expect(unshelved(live, at).alerts.map((a) => a.state)).toEqual(["acknowledged"]);
  });
});

describe("rows of the stream", () => {
  const of = (as_of: string, ...rows: [string, number][]) => ({
    as_of,
    server_behind: false,
    stations: rows.map(([station_id, level_m]) => station({ station_id, level_m })),
  });
  const heights = (
    levels: ReturnType<typeof of> | { stations: readonly { level_m: number | null }[] } | null,
  ) => levels?.stations.map((s) => s.level_m);
  const known = of("2026-07-13T17:10:00Z", ["a", 1], ["b", 2]);

  test("are decoded, and what is none is passed over", () => {
    const found = decode("level", JSON.stringify({ ...of("2026-07-13T17:10:01Z", ["b", 3]), extra: 1 }));
    expect(found?.kind === "levels" && heights(found.levels)).toEqual([3]);
    expect(decode("level", JSON.stringify({ stations: [] }))).toBeNull();
    expect(step(START, { kind: "levels", levels: known }, 1)[1]).toMatchObject({
      rows: known,
      levels: false,
    });
  });

  test("replace the rows of their stations, and tell whether the server is behind", () => {
    const news = { ...of("2026-07-13T17:10:01Z", ["b", 3]), server_behind: true };
    const after = withRows(known, news);
    expect(heights(after)).toEqual([1, 3]);
    expect(after).toMatchObject({ as_of: "2026-07-13T17:10:01Z", server_behind: true });
    expect(withRows(null, news)).toBeNull();
  });

  test("stand, where a whole answer that was judged before them arrives after them", () => {
    const since = [of("2026-07-13T17:09:59Z", ["a", 8]), of("2026-07-13T17:10:02Z", ["b", 9])];
    expect(heights(withSince(known, since))).toEqual([1, 9]);
  });
});
