/** What an alert asks of people, and in which order they should see it. Pure. */

import type { Alert, AlertState } from "../api/types";

const STATES: readonly AlertState[] = [
  "pending",
  "firing",
  "acknowledged",
  "shelved",
  "resolved",
  "withdrawn",
];

/** The state as the server says it; a newer server's unknown word is judged by the times. */
export function stateOf(alert: Alert): AlertState {
  if (STATES.includes(alert.state as AlertState)) return alert.state as AlertState;
  return alert.ended_at === null ? "firing" : "resolved";
}

/**
 * The stored state as people see it, as the server says it: both read `tests/contracts/shown_state.json`.
 * `shelvedForS`: how long a silence covers it yet, seconds; null where none does.
 */
export function shownState(state: AlertState, acknowledged: boolean, shelvedForS: number | null): AlertState {
  if (state !== "firing") return state;
  if (shelvedForS !== null && shelvedForS > 0) return "shelved";
  return acknowledged ? "acknowledged" : "firing";
}

export function isOver(alert: Alert): boolean {
  const state = stateOf(alert);
  return state === "resolved" || state === "withdrawn";
}

/** Nobody has said yet that they have seen it. */
export const isUnanswered = (alert: Alert) => stateOf(alert) === "firing";

/** Raised by readings that are doubted, and nobody has looked yet. */
export const isDoubtful = (alert: Alert) => !alert.verified && !isOver(alert);

/** A person may take back what no sure reading has shown. */
export const mayWithdraw = (alert: Alert) => !isOver(alert) && (!alert.verified || alert.kind === "manual");

/** It closes nothing, so it may be said of what is over too. */
export const mayAcknowledge = (alert: Alert) =>
  !alert.acknowledged_at && stateOf(alert) !== "withdrawn" && stateOf(alert) !== "pending";

export const mayShelve = (alert: Alert) => !isOver(alert);

/** Those of the chain's own self-test are nobody's business. */
export const isShown = (alert: Alert) => alert.kind !== "self_test";

const RANK: Record<AlertState, number> = {
  firing: 0,
  acknowledged: 1,
  shelved: 2,
  pending: 3,
  resolved: 4,
  withdrawn: 4,
};

/** Unanswered first, the higher level first, the newest first; what is over, by time alone. */
export function byUrgency(a: Alert, b: Alert): number {
  const rank = RANK[stateOf(a)];
  return (
    rank - RANK[stateOf(b)] ||
    (rank < 4 ? (b.flood_level ?? 0) - (a.flood_level ?? 0) : 0) ||
    Date.parse(b.started_at) - Date.parse(a.started_at) ||
    String(b.id).localeCompare(String(a.id), "en", { numeric: true })
  );
}

/** Whether it must be read out: it begins, begins again, is no longer shelved, rises, or turns out to be true. */
export function mustBeSaid(before: Alert | undefined, after: Alert): boolean {
  if (!isUnanswered(after) || !isShown(after)) return false;
  if (before === undefined) return true;
  const state = stateOf(before);
  if (state !== "firing") return true; // an answer that is gone: it was raised again
  if ((after.flood_level ?? 0) > (before.flood_level ?? 0)) return true;
  return after.verified && !before.verified;
}

/** What a place's own name would say, where the alert is of no station. */
export function place(alert: Alert): { readonly kind: "gateway" | "river" | "site"; readonly name: string } {
  const [kind, name = ""] = (alert.subject ?? "").split(/:(.*)/s);
  if (kind === "gateway") return { kind, name };
  if (kind === "river") return { kind, name };
  return alert.river ? { kind: "river", name: alert.river } : { kind: "site", name: "" };
}

export interface Neighbour {
  readonly station_id: string;
  readonly value_m: number;
  readonly observed_at: string;
}

/** What the next stations up and down the river said when a doubtful value crossed. */
export function neighbours(alert: Alert): readonly Neighbour[] {
  const found = alert.detail?.["neighbours"];
  if (!Array.isArray(found)) return [];
  return found.filter((n) => typeof n?.station_id === "string" && typeof n?.value_m === "number");
}

/** Why the value is doubted: names of quality checks. */
export function doubts(alert: Alert): readonly string[] {
  const found = alert.detail?.["reasons"];
  return Array.isArray(found) ? found.filter((r) => typeof r === "string") : [];
}

export type Show = "open" | "ongoing" | "all";

export interface AlertFilter {
  readonly show: Show;
  /** The least flood level; 0 shows machines' troubles too. */
  readonly least: number;
  /** Any part of a place's name, in either language. */
  readonly text: string;
}

export function matches(alert: Alert, filter: AlertFilter, names: readonly string[]): boolean {
  if (filter.show === "open" && !isUnanswered(alert)) return false;
  if (filter.show === "ongoing" && isOver(alert)) return false;
  if ((alert.flood_level ?? 0) < filter.least) return false;
  const asked = filter.text.normalize("NFKC").toLowerCase().trim();
  return asked === "" || names.some((name) => name.normalize("NFKC").toLowerCase().includes(asked));
}
