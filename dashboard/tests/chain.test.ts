import { describe, expect, test } from "vitest";
import type { System } from "../src/api/types";
import { chain, type LinkName } from "../src/domain/chain";

const WELL: System = {
  as_of: "2026-07-13T17:10:00Z",
  alerting: {
    ok: true,
    why: [],
    leader: "alerts-1",
    behind_s: 0,
    oldest_unsent_s: 0,
    last_self_test: { at: "2026-07-13T17:00:00Z", ok: true },
  },
  gateways: [{ gateway_id: "west", seen_at: "2026-07-13T17:09:50Z", backlog: 0 }],
  ingest: [{ process: "ingest-1", seen_at: "2026-07-13T17:09:58Z", alive: true }],
  database: { answers_ms: 1.2, size_bytes: 1e8 },
  stations: { fresh: 12, late: 0, dead: 0 },
};

const health = (given: Partial<System>, name: LinkName, live = true) =>
  chain({ ...WELL, ...given }, live).find((link) => link.name === name)?.health;

describe("the chain", () => {
  test("is well from the sensors to the screen", () => {
    expect(chain(WELL, true).map((link) => link.health)).toEqual(Array(8).fill("ok"));
  });

  test("says which link is broken, and only that one", () => {
    const broken: [Partial<System>, LinkName][] = [
      [{ stations: { fresh: 0, late: 0, dead: 12 } }, "sensors"],
      [{ gateways: [{ gateway_id: "west", seen_at: "2026-07-13T17:00:00Z", backlog: 0 }] }, "gateway"],
      [
        { gateways: [{ gateway_id: "west", seen_at: "2026-07-13T17:09:50Z", backlog: 9, waiting: true }] },
        "ingest",
      ],
      [{ ingest: [{ process: "i", seen_at: "2026-07-13T17:00:00Z", alive: false }] }, "ingest"],
    ];
    for (const why of ["no_engine", "behind"] as const)
      broken.push([{ alerting: WELL.alerting && { ...WELL.alerting, ok: false, why: [why] } }, "judging"]);
    for (const why of ["nobody", "unsent", "given_up"] as const)
      broken.push([{ alerting: WELL.alerting && { ...WELL.alerting, ok: false, why: [why] } }, "telling"]);
    broken.push([
      { alerting: WELL.alerting && { ...WELL.alerting, ok: false, why: ["self_test"] } },
      "selfTest",
    ]);
    for (const [given, name] of broken) {
      const bad = chain({ ...WELL, ...given }, true).filter((link) => link.health === "bad");
      expect(bad.map((link) => link.name)).toEqual([name]);
    }
  });

  test("does not call well what it does not know", () => {
    for (const part of ["stations", "gateways", "ingest", "database", "alerting"] as const) {
      const names = chain({ ...WELL, [part]: null }, true).filter((link) => link.health === "unknown");
      expect(names.length).toBeGreaterThan(0);
    }
  });

  test("some silent stations ask for attention, a slow database too", () => {
    expect(health({ stations: { fresh: 11, late: 0, dead: 1 } }, "sensors")).toBe("warn");
    expect(health({ database: { answers_ms: 3000, size_bytes: 1 } }, "database")).toBe("warn");
  });

  test("a lost line is the screen's own", () => {
    expect(health({}, "screen", false)).toBe("bad");
  });
});
