import { describe, expect, test } from "vitest";
import { decode } from "../src/api/stream";
import { others } from "../src/domain/others";
import { START, step } from "../src/store/live";

describe("what a newer server says of itself", () => {
  test("is shown whatever it is, and what is empty is not", () => {
    const at = {
      as_of: "2026-07-14T02:00:00Z",
      alerting: null,
      problems: ["contact 7: a kind this version does not know"],
      unknown_gateways: [{ gateway_id: "gw-x" }, { gateway_id: "gw-y", messages: 3 }],
      clock: { host_ahead_s: 7.5, ok: false },
      set_aside: 4,
      registry: null,
      restarts: [],
      unknown: ["database"],
    };
    expect(others(at).map((part) => [part.name, part.kind])).toEqual([
      ["problems", "lines"],
      ["unknown_gateways", "rows"],
      ["clock", "lines"],
      ["set_aside", "lines"],
      ["unknown", "lines"],
    ]);
    expect(others(at)[1]).toMatchObject({ columns: ["gateway_id", "messages"] });
  });
});

test("what keeps people from being told comes with each heartbeat, and an older server says none", () => {
  const one = {
    kind: "silenced",
    key: "1",
    since: "2026-07-14T01:00:00Z",
    until: null,
    by: "a",
    text: { ja: "あ", en: "a" },
  };
  const beat = (more: object) =>
    decode("heartbeat", JSON.stringify({ as_of: "2026-07-14T02:00:00Z", ...more }));
  const heard = (more: object) => {
    const message = beat(more);
    return message && step(START, message, 1)[0].heartbeat?.notices;
  };
  expect(heard({ notices: [one, { kind: "silenced" }, 7] })).toEqual([one]);
  expect(heard({})).toEqual([]);
});
