/** Whether people are being told of what happens, as far as this page can know. Pure. */
import type { AlertingWord, Notice } from "../api/types";

export interface Heartbeat {
  /** When it was heard, by the steady counter. */
  readonly heardMs: number;
  readonly asOf: string | null;
  readonly alerting: AlertingWord | null;
  /** The build of the page that the server hands out now. */
  readonly page: string | null;
  readonly notices?: readonly Notice[];
}

/** A heartbeat comes every 5 s; after three missing ones, whatever it said is of the past. */
export const WORD_LASTS_MS = 15_000;
/** The server has not read its own database for so long. */
export const STALE_MS = 15_000;

/** Codes of what is wrong, empty while all is well or while nothing is heard: then the connection is what is wrong. */
export function impairments(last: Heartbeat | null, steadyMs: number, serverMs: number): readonly string[] {
  if (last === null) return [];
  const since = steadyMs - last.heardMs;
  if (since > WORD_LASTS_MS) return [];
  if (last.alerting && !last.alerting.ok)
    return last.alerting.why.length > 0 ? last.alerting.why : ["unknown"];
  const age = last.asOf === null ? 0 : serverMs - since - Date.parse(last.asOf);
  return age > STALE_MS ? ["database"] : [];
}

/** The word kept after a new one: right after its start the server has not looked yet, which says nothing. */
export function heardWord(before: AlertingWord | null, word: AlertingWord | null): AlertingWord | null {
  if (word && !word.ok && word.why.length === 1 && word.why[0] === "unknown") return before;
  return word;
}

/** Nobody has been or would be told of a level, though it is judged. */
export const NOT_TOLD: readonly string[] = ["nobody", "unsent", "given_up", "silenced", "thresholds"];
/** These say nothing of whether levels are judged. */
const ASIDE: readonly string[] = ["self_test", "restarting"];

/** Nothing is judged any more; otherwise only the way to the people is in doubt. */
export const judgingStopped = (why: readonly string[]) =>
  why.some((code) => !NOT_TOLD.includes(code) && !ASIDE.includes(code));
