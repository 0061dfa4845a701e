/** Is every link between a sensor and a person alive? Pure: from what `/system` says, and when. */

import type { System } from "../api/types";
import { NOT_TOLD } from "./alerting";

export type Health = "ok" | "warn" | "bad" | "unknown";

export type LinkName =
  | "sensors"
  | "gateway"
  | "ingest"
  | "database"
  | "judging"
  | "telling"
  | "selfTest"
  | "screen";

export interface Link {
  readonly name: LinkName;
  readonly health: Health;
}

/** A gateway reports about every 10 s; older servers do not say whether that is still alive. */
const GATEWAY_SILENT_S = 60;
/** A database that needs longer than this is in trouble, whatever it answers. */
const SLOW_DATABASE_MS = 1_000;

type Gateway = NonNullable<System["gateways"]>[number];

/** One that is there but waits in vain is well itself: what is behind it is not. */
export function gatewayHealth(gateway: Gateway, asOf: string): Health {
  const alive = gateway.alive ?? Date.parse(asOf) - Date.parse(gateway.seen_at) < GATEWAY_SILENT_S * 1000;
  return !alive ? "bad" : gateway.waiting ? "warn" : "ok";
}

function sensors({ stations }: System): Health {
  if (!stations) return "unknown";
  const all = stations.fresh + stations.late + stations.dead;
  if (all > 0 && stations.dead === all) return "bad";
  return stations.dead > 0 ? "warn" : "ok";
}

function gateways({ gateways, as_of }: System): Health {
  if (!gateways) return "unknown";
  if (gateways.length === 0) return "warn";
  const found = gateways.map((g) => gatewayHealth(g, as_of));
  return found.includes("bad") ? "bad" : found.includes("warn") ? "warn" : "ok";
}

function ingest({ ingest, gateways }: System): Health {
  if (!ingest) return "unknown";
  const alive = ingest.filter((p) => p.alive).length;
  if (alive === 0 || gateways?.some((g) => g.waiting)) return "bad";
  return alive < ingest.length ? "warn" : "ok";
}

/** The links in the order of a reading's way, the screen last. */
export function chain(system: System, screenLive: boolean): readonly Link[] {
  const { alerting, database } = system;
  const why = new Set(alerting?.why ?? []);
  const judged: Health = !alerting ? "unknown" : why.has("no_engine") || why.has("behind") ? "bad" : "ok";
  const told: Health = !alerting ? "unknown" : NOT_TOLD.some((code) => why.has(code)) ? "bad" : "ok";
  const test = alerting?.last_self_test;
  return [
    { name: "sensors", health: sensors(system) },
    { name: "gateway", health: gateways(system) },
    { name: "ingest", health: ingest(system) },
    {
      name: "database",
      health: !database ? "unknown" : database.answers_ms > SLOW_DATABASE_MS ? "warn" : "ok",
    },
    { name: "judging", health: judged },
    { name: "telling", health: told },
    { name: "selfTest", health: !test ? "unknown" : test.ok && !why.has("self_test") ? "ok" : "bad" },
    { name: "screen", health: screenLive ? "ok" : "bad" },
  ];
}
