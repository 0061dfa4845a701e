import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { actorHeaders, refusal } from "../src/api/client";
import { heardWord, impairments, judgingStopped } from "../src/domain/alerting";
import {
  byUrgency,
  doubts,
  isDoubtful,
  mayAcknowledge,
  mayShelve,
  mayWithdraw,
  mustBeSaid,
  neighbours,
  place,
  shownState,
  stateOf,
} from "../src/domain/alerts";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";
import { alert } from "./factory";

const ids = (list: ReturnType<typeof alert>[]) => [...list].sort(byUrgency).map((a) => a.id);
const ACK = { state: "acknowledged", acknowledged_at: "2026-07-13T17:11:00Z", acknowledged_by: "山田" };
const OVER = { state: "resolved", ended_at: "2026-07-13T18:00:00Z" };

describe("the order of urgency", () => {
  test("what nobody has answered stands first, even below a higher level that somebody has", () => {
    expect(ids([alert({ id: 1, flood_level: 5, ...ACK }), alert({ id: 2, flood_level: 1 })])).toEqual([2, 1]);
  });

  test("among equals the higher level, then the newest", () => {
    const at = (id: number, flood_level: number, started_at: string) =>
      alert({ id, flood_level, started_at });
    expect(
      ids([
        at(1, 3, "2026-07-13T17:00:00Z"),
        at(2, 3, "2026-07-13T17:20:00Z"),
        at(3, 4, "2026-07-13T16:00:00Z"),
      ]),
    ).toEqual([3, 2, 1]);
  });

  test("answered, shelved, pending, over: in this order", () => {
    const list = [
      alert({ id: 1, flood_level: 5, ...OVER }),
      alert({ id: 2, flood_level: 1, state: "pending" }),
      alert({ id: 3, flood_level: 1, state: "shelved" }),
      alert({ id: 4, flood_level: 1, ...ACK }),
      alert({ id: 5, flood_level: 1 }),
    ];
    expect(ids(list)).toEqual([5, 4, 3, 2, 1]);
  });

  test("what is over stands by time alone", () => {
    const old = alert({ id: 1, flood_level: 5, ...OVER, started_at: "2026-07-13T10:00:00Z" });
    expect(ids([old, alert({ id: 2, flood_level: 1, ...OVER })])).toEqual([2, 1]);
  });

  test("a machine's trouble without a level stands below any water", () => {
    expect(ids([alert({ id: 1, kind: "silent", flood_level: 0 }), alert({ id: 2, flood_level: 1 })])).toEqual(
      [2, 1],
    );
  });
});

describe("what may be done", () => {
  test("acknowledge once, also when it is over, never when it was withdrawn", () => {
    expect(mayAcknowledge(alert())).toBe(true);
    expect(mayAcknowledge(alert(OVER))).toBe(true);
    expect(mayAcknowledge(alert(ACK))).toBe(false);
    expect(mayAcknowledge(alert({ state: "withdrawn" }))).toBe(false);
  });

  test("withdraw only what is unverified or was raised by hand, while it lasts", () => {
    expect(mayWithdraw(alert())).toBe(false);
    expect(mayWithdraw(alert({ verified: false }))).toBe(true);
    expect(mayWithdraw(alert({ kind: "manual" }))).toBe(true);
    expect(mayWithdraw(alert({ verified: false, ...OVER }))).toBe(false);
  });

  test("shelve only what lasts", () => {
    expect(mayShelve(alert())).toBe(true);
    expect(mayShelve(alert(OVER))).toBe(false);
  });

  test("a state that a newer server has is judged by the times", () => {
    expect(stateOf(alert({ state: "flowing" }))).toBe("firing");
    expect(stateOf(alert({ state: "flowing", ended_at: "2026-07-13T18:00:00Z" }))).toBe("resolved");
  });
});

describe("what is read out", () => {
  test("a new one, a higher level, one that begins again, one that proves true", () => {
    expect(mustBeSaid(undefined, alert())).toBe(true);
    expect(mustBeSaid(alert({ flood_level: 2 }), alert({ flood_level: 3 }))).toBe(true);
    expect(mustBeSaid(alert(OVER), alert())).toBe(true);
    expect(mustBeSaid(alert(ACK), alert())).toBe(true);
    expect(mustBeSaid(alert({ state: "pending" }), alert())).toBe(true);
    expect(mustBeSaid(alert({ verified: false }), alert())).toBe(true);
  });

  test("an unverified one too", () => {
    expect(mustBeSaid(undefined, alert({ verified: false }))).toBe(true);
  });

  test("not what somebody has answered, shelved, or what has only changed", () => {
    expect(mustBeSaid(undefined, alert(ACK))).toBe(false);
    expect(mustBeSaid(alert(), alert(ACK))).toBe(false);
    expect(mustBeSaid(undefined, alert({ state: "shelved" }))).toBe(false);
    expect(mustBeSaid(undefined, alert({ state: "pending" }))).toBe(false);
    expect(mustBeSaid(undefined, alert(OVER))).toBe(false);
    expect(mustBeSaid(alert(), alert({ value_m: 9 }))).toBe(false);
  });
});

describe("what an alert is of", () => {
  test("a gateway, a river, the site", () => {
    const of = (subject: string) => place(alert({ station_id: null, subject }));
    expect(of("gateway:west:2")).toEqual({ kind: "gateway", name: "west:2" });
    expect(of("river:kita")).toEqual({ kind: "river", name: "kita" });
    expect(of("")).toEqual({ kind: "site", name: "" });
  });

  test("why it is doubted, and what its neighbours say", () => {
    const near = { station_id: "st2", value_m: 1.2, observed_at: "2026-07-13T17:09:00Z" };
    const doubtful = alert({ verified: false, detail: { reasons: ["rate"], neighbours: [near] } });
    expect(isDoubtful(doubtful)).toBe(true);
    expect(doubts(doubtful)).toEqual(["rate"]);
    expect(neighbours(doubtful)).toEqual([near]);
    expect(neighbours(alert({ detail: { neighbours: "none" } }))).toEqual([]);
  });

  test("every kind has a name in both languages", () => {
    const kinds =
      "level rise forecast silent stuck spike battery clock gateway outage unfit limits conflict counting manual".split(
        " ",
      );
    expect(Object.keys(ja.alertKinds).sort()).toEqual(kinds.sort());
    expect(Object.keys(en.alertKinds).sort()).toEqual(kinds.sort());
  });
});

describe("whether people are told", () => {
  const asOf = "2026-07-13T17:10:00Z";
  const at = Date.parse(asOf);
  const beat = (alerting: { ok: boolean; why: string[] } | null) => ({
    heardMs: 1_000,
    asOf,
    alerting,
    page: null,
  });

  test("the server's own word counts", () => {
    expect(impairments(beat({ ok: true, why: [] }), 2_000, at + 1_000)).toEqual([]);
    expect(impairments(beat({ ok: false, why: ["no_engine"] }), 2_000, at + 1_000)).toEqual(["no_engine"]);
  });

  test("a server that has not read its database for 15 s is impaired, whatever it says", () => {
    expect(impairments(beat({ ok: true, why: [] }), 1_000, at + 14_000)).toEqual([]);
    expect(impairments(beat({ ok: true, why: [] }), 1_000, at + 16_000)).toEqual(["database"]);
  });

  test("without a heartbeat nothing is known: the connection is what is wrong then", () => {
    expect(impairments(null, 60_000, at)).toEqual([]);
    expect(impairments(beat({ ok: false, why: ["no_engine"] }), 17_000, at + 16_000)).toEqual([]);
  });

  test("a server that has just started has not looked yet, which says nothing", () => {
    const bad = { ok: false, why: ["no_engine"] };
    expect(heardWord(bad, { ok: false, why: ["unknown"] })).toBe(bad);
    expect(heardWord(bad, { ok: true, why: [] })).toEqual({ ok: true, why: [] });
  });

  test("a message that waits is another trouble than a judgement that does not happen", () => {
    expect(judgingStopped(["unsent", "nobody", "given_up", "self_test"])).toBe(false);
    expect(judgingStopped(["unsent", "behind"])).toBe(true);
  });
});

describe("acting over HTTP", () => {
  test("a name is percent-encoded; a token takes its place", () => {
    expect(actorHeaders({ name: "山田", token: "" })).toEqual({ "X-Kawamori-Name": "%E5%B1%B1%E7%94%B0" });
    expect(actorHeaders({ name: "山田", token: "abc" })).toEqual({ Authorization: "Bearer abc" });
    expect(actorHeaders({ name: "", token: "" })).toEqual({});
  });

  test("a refusal names its fields", () => {
    const body = { detail: "not understood: reason", errors: [{ field: "reason", message: "too short" }] };
    const refused = refusal("/alerts/1/shelve", 422, body);
    expect([refused.status, refused.detail, refused.fields.get("reason")]).toEqual([
      422,
      "not understood: reason",
      "too short",
    ]);
    expect(refusal("/alerts/1/shelve", 502, null).fields.size).toBe(0);
  });
});

test("the state that people see is the server's", () => {
  const file = new URL("../../tests/contracts/shown_state.json", import.meta.url);
  for (const { state, acknowledged, shelved_for_s, shown } of JSON.parse(readFileSync(file, "utf8")).vectors)
    expect(shownState(state, acknowledged, shelved_for_s), `${state} ${acknowledged} ${shelved_for_s}`).toBe(
      shown,
    );
});
