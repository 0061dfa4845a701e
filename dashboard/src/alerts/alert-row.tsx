/** One alert in a list, with its answers at hand. */
import { useSignal } from "@preact/signals";
import type { Alert } from "../api/types";
import { isOver, isUnanswered, mayWithdraw } from "../domain/alerts";
import { type Action, act, actorKnown, opened, underWay } from "../store/answers";
import { t } from "../store/store";
import { measured, placeName, timeOf, title } from "../ui/alert-words";
import { stationHref } from "../ui/route";
import { Answers, Doubt } from "./alert-facts";
import { AlertShape, DrillMark, StateMark } from "./alert-state";

function Times({ alert }: { alert: Alert }) {
  const words = t.value;
  return (
    <p class="alert-times">
      <time dateTime={alert.started_at}>{timeOf(alert.started_at)}</time>
      {" → "}
      {alert.ended_at === null ? (
        <strong class="ending ongoing">{words.alertOngoing}</strong>
      ) : (
        <span class="ending">{timeOf(alert.ended_at)}</span>
      )}
      {alert.retroactive && (
        <span class="flag flag-retro" title={words.alertRetroHint}>
          {words.alertRetro}
        </span>
      )}
      {!alert.verified && (
        <span class="flag flag-suspect" title={words.alertUnverifiedHint}>
          {words.alertUnverified}
        </span>
      )}
    </p>
  );
}

function Open({ alert, action, text }: { alert: Alert; action: Action | null; text: string }) {
  return (
    <button
      type="button"
      class="answer"
      data-testid={`answer-${action ?? "details"}`}
      aria-label={`${text}: ${placeName(alert)} ${title(alert)}`}
      aria-haspopup="dialog"
      onClick={() => {
        opened.value = { id: alert.id, action, alert };
      }}
    >
      {text}
    </button>
  );
}

/** One press where it is known who presses; else, or where it is refused, the dialog asks. */
function Acknowledge({ alert }: { alert: Alert }) {
  const words = t.value;
  const busy = underWay.value.has(`${alert.id}/acknowledge`);
  const failed = useSignal("");
  const press = async () => {
    failed.value = "";
    if (!actorKnown.peek()) {
      opened.value = { id: alert.id, action: "acknowledge", alert };
      return;
    }
    const outcome = await act(alert.id, "acknowledge", {});
    if (outcome.kind === "unreachable") failed.value = words.answerUnreachable;
    if (outcome.kind !== "refused") return;
    if (outcome.error.status >= 500) failed.value = words.answerFailed;
    else opened.value = { id: alert.id, action: "acknowledge", alert };
  };
  return (
    <>
      <button
        type="button"
        class="answer answer-first"
        data-testid="answer-acknowledge"
        aria-label={`${words.acknowledge}: ${placeName(alert)} ${title(alert)}`}
        aria-disabled={busy}
        onClick={() => void press()}
      >
        {busy ? words.sending : words.acknowledge}
      </button>
      {failed.value && (
        <span class="wrong" role="alert">
          {failed.value}
        </span>
      )}
    </>
  );
}

export function AlertRow({ alert }: { alert: Alert }) {
  const words = t.value;
  const station = alert.station_id;
  const says = measured(alert);
  return (
    <li
      class={`alert${isOver(alert) ? " alert-over" : ""}${isUnanswered(alert) ? " alert-unanswered" : ""}`}
      data-testid="alert-row"
      data-alert-id={alert.id}
      data-station-id={station ?? ""}
      data-kind={alert.kind}
    >
      <AlertShape alert={alert} />
      <div class="alert-body">
        <p class="alert-line">
          <DrillMark status={alert.status} />
          {station === null ? (
            <strong>{placeName(alert)}</strong>
          ) : (
            <a class="alert-station" href={stationHref(station)}>
              {placeName(alert)}
            </a>
          )}
          <span>{title(alert)}</span>
          <StateMark alert={alert} />
        </p>
        <div class="alert-when">
          <Times alert={alert} />
          {says && <p class="alert-says">{says}</p>}
          {alert.notes ? <span class="alert-answer">{words.notesCount(alert.notes)}</span> : null}
        </div>
        <Doubt alert={alert} />
        <Answers alert={alert} />
      </div>
      <div class="alert-answers">
        {isUnanswered(alert) && <Acknowledge alert={alert} />}
        {!alert.verified && mayWithdraw(alert) && (
          <>
            <Open alert={alert} action="confirm" text={words.confirmTrue} />
            <Open alert={alert} action="withdraw" text={words.withdrawFalse} />
          </>
        )}
        <Open alert={alert} action={null} text={words.details} />
      </div>
    </li>
  );
}
