/** One alert: what is known of it, what can be answered, and what happened so far. */
import "../styles/alert-dialog.css";
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Alert } from "../api/types";
import { mayAcknowledge, mayShelve, mayWithdraw, stateOf } from "../domain/alerts";
import { type Action, opened } from "../store/answers";
import { live } from "../store/store";
import { measured, placeName, timeOf, title } from "../ui/alert-words";
import { actionWord } from "./action-word";
import { Answers, Doubt } from "./alert-facts";
import { AlertShape, DrillMark, StateMark } from "./alert-state";
import { AnswerForm } from "./answer-form";
import { Chronology } from "./chronology";
import { dialogWords } from "./dialog-catalogue";

/** What can be done with it now, in the order of the buttons. */
function actionsOf(alert: Alert): readonly Action[] {
  const may: Action[] = [];
  if (mayAcknowledge(alert)) may.push("acknowledge");
  if (!alert.verified && mayWithdraw(alert)) may.push("confirm");
  if (mayWithdraw(alert)) may.push("withdraw");
  may.push("notes");
  if (stateOf(alert) === "shelved") may.push("unshelve");
  else if (mayShelve(alert)) may.push("shelve");
  return may;
}

const close = () => {
  opened.value = null;
};

/** The browser's own dialog: it keeps the focus inside, closes on Esc, and gives the focus back. */
export function AlertDialog({ id, listed }: { id: number; listed: Alert | undefined }) {
  const words = dialogWords.value;
  const box = useRef<HTMLDialogElement>(null);
  const last = useRef<Alert | undefined>(undefined);
  // Once heard of on the stream, only the stream's silence about it counts.
  const unheard = last.current === undefined || last.current === listed;
  const known = live.value.alerts.find((a) => a.id === id) ?? (unheard ? listed : undefined);
  if (known) last.current = known;
  const turn = useSignal(0);
  const done = useSignal(false);
  // At once, not after the next picture: what is typed meanwhile belongs to the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = box.current;
    dialog?.showModal();
    // The browser goes to the first button; whoever came to say something goes to where it is said.
    dialog?.querySelector<HTMLElement>(".answer-form :is(input, textarea)")?.focus();
    return () => {
      dialog?.close();
      // Its row may have moved or lost its button: then the list is where to go on.
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      else document.getElementById("alerts")?.focus();
    };
  }, []);
  const alert = last.current;
  const action = opened.value?.action ?? null;
  const may = alert && known ? actionsOf(alert) : [];
  const says = alert ? measured(alert) : "";
  return (
    <dialog
      ref={box}
      class="dialog"
      aria-labelledby="dialog-title"
      data-testid="alert-dialog"
      onCancel={close}
      onClose={close}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          {alert && <AlertShape alert={alert} />}
          <h2 id="dialog-title" tabIndex={-1}>
            {alert && <DrillMark status={alert.status} />}
            {alert && `${placeName(alert)} ${title(alert)}`}
          </h2>
          <button type="button" class="answer" data-testid="dialog-close" onClick={close}>
            {words.close}
          </button>
        </div>
        {alert && (
          <div class="dialog-facts">
            <p>
              <StateMark alert={alert} />
              {!alert.verified && <span class="flag flag-suspect">{words.alertUnverified}</span>}
              {alert.retroactive && <span class="flag flag-retro">{words.alertRetro}</span>}
            </p>
            <p>
              {timeOf(alert.started_at)} → {alert.ended_at ? timeOf(alert.ended_at) : words.alertOngoing}
            </p>
            {says && <p>{says}</p>}
            <Doubt alert={alert} />
            <Answers alert={alert} />
          </div>
        )}
        {!known && <p role="alert">{words.alertGone}</p>}
        {may.length > 0 && (
          <fieldset class="actions">
            <legend class="sr">{words.actionsLabel}</legend>
            {may.map((one) => (
              <button
                key={one}
                type="button"
                class="answer"
                data-testid={`do-${one}`}
                aria-pressed={action === one}
                onClick={() => {
                  done.value = false;
                  opened.value = { ...opened.peek(), id, action: action === one ? null : one };
                }}
              >
                {actionWord(one)}
              </button>
            ))}
          </fieldset>
        )}
        {action && may.includes(action) && (
          <AnswerForm
            key={action}
            id={id}
            action={action}
            done={() => {
              done.value = true;
              turn.value++;
              opened.value = { ...opened.peek(), id, action: null };
              box.current?.querySelector<HTMLElement>("#dialog-title")?.focus();
            }}
          />
        )}
        <p class="done" role="status" data-testid="answer-done">
          {done.value && words.answerDone}
        </p>
        <Chronology id={id} version={known} turn={turn.value} />
      </div>
    </dialog>
  );
}
