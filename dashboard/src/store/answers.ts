/** Answering alerts: who does it, what is under way, and what the server said. Nothing changes before it said yes. */
import { computed, signal } from "@preact/signals";
import { type Actor, ApiError, postAnswer, postIncident, Refused } from "../api/client";
import type { Alert } from "../api/types";
import { impairments } from "../domain/alerting";
import { isUnanswered } from "../domain/alerts";
import { answered } from "./live";
import { alerts, heartbeat, live, now, tick } from "./store";

export type Action = "acknowledge" | "notes" | "shelve" | "unshelve" | "confirm" | "withdraw";

function kept(key: string) {
  let start = "";
  try {
    start = localStorage.getItem(key) ?? "";
  } catch {
    // Storage may be forbidden on a locked-down terminal: the page then asks again after a reload.
  }
  const value = signal(start);
  const keep = (text: string) => {
    value.value = text;
    try {
      if (text) localStorage.setItem(key, text);
      else localStorage.removeItem(key);
    } catch {
      // As above.
    }
  };
  return [value, keep] as const;
}

export const [actorName, keepName] = kept("kawamori.name");
export const [actorToken, keepToken] = kept("kawamori.token");
/** The server has said that a name is not enough here. */
export const tokenWanted = signal(actorToken.peek() !== "");
export const actorKnown = computed(() => (tokenWanted.value ? actorToken.value : actorName.value) !== "");

export function forgetActor(): void {
  keepName("");
  keepToken("");
  tokenWanted.value = false;
}

export interface Opened {
  readonly id: number;
  readonly action: Action | null;
  /** As the list had it: an old alert is not among the live ones. */
  readonly alert?: Alert;
}

/** The alert whose dialog is open, and what is to be done with it. */
export const opened = signal<Opened | null>(null);

/** `id/action` of what has been sent and not been answered. */
export const underWay = signal<ReadonlySet<string>>(new Set());

export type Outcome =
  | { readonly kind: "done" }
  /** The same is under way already: a double click. */
  | { readonly kind: "busy" }
  | { readonly kind: "refused"; readonly error: Refused }
  | { readonly kind: "unreachable" };

export const currentActor = (): Actor => ({ name: actorName.peek(), token: actorToken.peek() });

/** `incident`: acknowledge with it everything of its flood wave that nobody has answered. */
export async function act(
  id: number,
  action: Action,
  body: object,
  actor = currentActor(),
  incident: number | null = null,
): Promise<Outcome> {
  const key = `${id}/${action}`;
  if (underWay.peek().has(key)) return { kind: "busy" };
  underWay.value = new Set(underWay.peek()).add(key);
  const asked = new Map(live.peek().alerts.map((a) => [a.id, a]));
  try {
    const answers: readonly Alert[] =
      incident === null
        ? [await postAnswer(id, action, body, actor)]
        : await postIncident(incident, body, actor);
    live.value = answers.reduce((known, one) => answered(known, asked.get(one.id), one), live.peek());
    return { kind: "done" };
  } catch (error) {
    if (error instanceof Refused) {
      if (error.status === 401) tokenWanted.value = true;
      return { kind: "refused", error };
    }
    if (error instanceof ApiError || error instanceof TypeError || error instanceof DOMException)
      return { kind: "unreachable" };
    throw error;
  } finally {
    const rest = new Set(underWay.peek());
    rest.delete(key);
    underWay.value = rest;
  }
}

/** How many others of its flood wave nobody has answered. */
export function unansweredBeside(alert: Alert | undefined): number {
  const incident = alert?.incident_id ?? null;
  if (incident === null) return 0;
  return alerts.value.filter((a) => a.incident_id === incident && a.id !== alert?.id && isUnanswered(a))
    .length;
}

export const unanswered = computed(() => alerts.value.filter(isUnanswered).length);

/** Codes of why people may not be told, as one text: an equal text redraws nothing. */
const impairedKey = computed(() => impairments(heartbeat.value, tick.value.steadyMs, now.value).join(" "));
export const impaired = computed(() => impairedKey.value.split(" ").filter(Boolean));
