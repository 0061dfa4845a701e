/** What happened to one alert, in order: who did what, who was told by which channel, and whether it got through. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getAlert } from "../api/client";
import type { Alert, AlertDetail, Entry, Notification } from "../api/types";
import { clockSeconds } from "../domain/format";
import { word } from "../i18n";
import { currentActor } from "../store/answers";
import { timeOf } from "../ui/alert-words";
import { dialogWords } from "./dialog-catalogue";

/** A delivery is no change of the alert, so nothing on the stream tells of it. */
const AGAIN_MS = 10_000;

function when(iso: string): string {
  const day = timeOf(iso);
  return day.length > 5
    ? `${day.slice(0, -5)}${clockSeconds(Date.parse(iso))}`
    : clockSeconds(Date.parse(iso));
}

function Done({ entry }: { entry: Entry }) {
  const words = dialogWords.value;
  return (
    <>
      <strong>{word(words.auditEvents, entry.event, words.auditEvents.changed)}</strong>{" "}
      <span class="who">{entry.who === "kawamori" ? words.bySoftware : entry.who}</span>
      {entry.note && <span class="note">{entry.note}</span>}
    </>
  );
}

function howFar(told: Notification): [state: string, text: string] {
  const words = dialogWords.value;
  if (told.delivered_at) return ["delivered", words.toldDelivered(when(told.delivered_at))];
  if (told.given_up_at) return ["failed", words.toldGivenUp(told.attempts)];
  if (told.attempts > 0) return ["failed", words.toldFailing(told.attempts)];
  return ["waiting", words.toldWaiting];
}

function Told({ told }: { told: Notification }) {
  const words = dialogWords.value;
  const who = told.contact_name ?? told.contact_id ?? words.toldSettings;
  const [state, text] = howFar(told);
  return (
    <>
      {words.told(who, word(words.channels, told.channel))}
      {told.instead_of !== null && <span class="who"> ({words.toldInstead})</span>}{" "}
      <span class={`told told-${state}`}>{text}</span>
      {told.last_error && told.last_error !== "…" && !told.delivered_at && (
        <span class="note">{told.last_error}</span>
      )}
    </>
  );
}

type Line =
  | { readonly at: string; readonly entry: Entry }
  | { readonly at: string; readonly told: Notification };

/** In order of time; what the log channel writes is nobody's news. Pure. */
export function linesOf(detail: Pick<AlertDetail, "history" | "notifications">): readonly Line[] {
  const lines: Line[] = [
    ...detail.history.map((entry) => ({ at: entry.at, entry })),
    ...detail.notifications
      .filter((told) => told.channel !== "log")
      .map((told) => ({ at: told.created_at, told })),
  ];
  return lines.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

export function Chronology({ id, version, turn }: { id: number; version: Alert | undefined; turn: number }) {
  const words = dialogWords.value;
  const found = useSignal<readonly Line[] | null>(null);
  const failed = useSignal(false);
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      try {
        found.value = linesOf(await getAlert(id, currentActor(), stop.signal));
        failed.value = false;
      } catch {
        failed.value = !stop.signal.aborted;
      }
    };
    void load();
    const timer = setInterval(() => void load(), AGAIN_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [id, version, turn]);
  const lines = found.value;
  return (
    <section class="chronology" aria-labelledby="chronology-title">
      <h3 id="chronology-title">{words.chronology}</h3>
      {failed.value && <p class="wrong">{words.chronologyFailed}</p>}
      {lines === null ? (
        !failed.value && <p class="hint">{words.chronologyLoading}</p>
      ) : lines.length === 0 ? (
        <p class="hint">{words.chronologyEmpty}</p>
      ) : (
        <ol data-testid="chronology">
          {lines.map((line) => (
            <li key={"entry" in line ? `e${line.entry.id}` : `n${line.told.id}`}>
              <time dateTime={line.at}>{when(line.at)}</time>
              <div>{"entry" in line ? <Done entry={line.entry} /> : <Told told={line.told} />}</div>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
