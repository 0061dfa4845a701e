import { useSignal } from "@preact/signals";
import type { Alert } from "../api/types";
import { isOver, isUnanswered, mayWithdraw } from "../domain/alerts";
import {
  type Action,
  act,
  actorKnown,
  actorName,
  forgetActor,
  opened,
  tokenWanted,
  unanswered,
  underWay,
} from "../store/answers";
import { chosen, live, t } from "../store/store";
import { Answers, Doubt } from "./alert-facts";
import { AlertShape, DrillMark, StateMark } from "./alert-state";
import { measured, placeName, timeOf, title } from "./alert-words";

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
        opened.value = { id: alert.id, action };
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
      opened.value = { id: alert.id, action: "acknowledge" };
      return;
    }
    const outcome = await act(alert.id, "acknowledge", {});
    if (outcome.kind === "unreachable") failed.value = words.answerUnreachable;
    if (outcome.kind !== "refused") return;
    if (outcome.error.status >= 500) failed.value = words.answerFailed;
    else opened.value = { id: alert.id, action: "acknowledge" };
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

function AlertRow({ alert }: { alert: Alert }) {
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
            <button
              type="button"
              class="alert-station"
              onClick={() => {
                chosen.value = station;
              }}
            >
              {placeName(alert)}
            </button>
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

/** Each read out once when it begins, rises or proves true while the page watches; never the history it starts with. */
function Announcer() {
  const words = t.value;
  return (
    <div class="sr" role="log" aria-live="assertive" aria-relevant="additions" data-testid="announcer">
      {live.value.announced.map((alert) => {
        const text = words.alertAnnounce(placeName(alert), title(alert), timeOf(alert.started_at));
        const mark = alert.status === "exercise" ? words.drill : alert.status === "test" ? words.test : "";
        return (
          <p key={`${alert.id}/${alert.flood_level}/${alert.verified}`}>
            {mark}
            {alert.verified ? text : words.alertAnnounceDoubt(text)}
          </p>
        );
      })}
    </div>
  );
}

/** Under whose name this device answers. */
function ActingAs() {
  const words = t.value;
  if (!actorKnown.value) return null;
  return (
    <span class="panel-note acting" data-testid="acting-as">
      {tokenWanted.value ? words.actingAsToken : words.actingAs(actorName.value)}
      <button type="button" class="quiet-button" onClick={forgetActor}>
        {words.changeActor}
      </button>
    </span>
  );
}

export function AlertPanel() {
  const words = t.value;
  const { alerts } = live.value;
  return (
    <section class="panel panel-alerts" id="alerts" aria-labelledby="alerts-title" tabIndex={-1}>
      <div class="panel-head">
        <h2 id="alerts-title">{words.alerts}</h2>
        {unanswered.value > 0 && (
          <strong class="state state-firing">{words.unansweredCount(unanswered.value)}</strong>
        )}
        <ActingAs />
      </div>
      <Announcer />
      <div class="scroll">
        {alerts.length === 0 ? (
          <p class="empty">{words.alertsNone}</p>
        ) : (
          <ol class="alerts" data-testid="alert-list">
            {alerts.map((alert) => (
              <AlertRow key={alert.id} alert={alert} />
            ))}
          </ol>
        )}
      </div>
    </section>
  );
}
