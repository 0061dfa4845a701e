/** One answer to an alert: who, and what has to be said with it. Refusals stand at their field. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Refused } from "../api/client";
import {
  type Action,
  act,
  actorName,
  actorToken,
  currentActor,
  keepName,
  keepToken,
  tokenWanted,
  unansweredBeside,
  underWay,
} from "../store/answers";
import { live } from "../store/store";
import { actionWord } from "./action-word";
import { dialogWords } from "./dialog-catalogue";

/** The text that goes with an answer, by the name the API has for it. */
const TEXT: Record<Action, "note" | "reason" | null> = {
  acknowledge: "note",
  notes: "note",
  confirm: "note",
  shelve: "reason",
  withdraw: "reason",
  unshelve: null,
};
const OPTIONAL: readonly Action[] = ["acknowledge", "confirm"];
const LONGEST_MIN = 1440;

interface Said {
  readonly name: string;
  readonly token: string;
  readonly text: string;
  readonly minutes: string;
}

type Wrong = Partial<Record<keyof Said | "all", string>>;

function Field(given: {
  id: string;
  label: string;
  hint?: string;
  wrong: string | undefined;
  children: ComponentChildren;
}) {
  return (
    <div class="field">
      <label for={given.id}>{given.label}</label>
      {given.hint && (
        <small id={`${given.id}-hint`} class="hint">
          {given.hint}
        </small>
      )}
      {given.children}
      {given.wrong && (
        <span id={`${given.id}-wrong`} class="wrong" role="alert">
          {given.wrong}
        </span>
      )}
    </div>
  );
}

function described(id: string, wrong: string | undefined, hint = true) {
  const by = [hint ? `${id}-hint` : "", wrong ? `${id}-wrong` : ""].filter(Boolean).join(" ");
  return {
    id,
    "aria-invalid": wrong !== undefined,
    ...(by ? { "aria-describedby": by } : {}),
  };
}

/** What the server will not take, said in the page's language before it is sent. */
function missing(action: Action, said: Said, asks: { name: boolean; token: boolean }): Wrong {
  const words = dialogWords.value;
  const wrong: Wrong = {};
  if (asks.name && !said.name) wrong.name = words.required;
  if (asks.token && !said.token) wrong.token = words.required;
  if (TEXT[action] && !OPTIONAL.includes(action) && !said.text) wrong.text = words.required;
  const minutes = Number(said.minutes);
  if (action === "shelve" && !(Number.isInteger(minutes) && minutes >= 1 && minutes <= LONGEST_MIN))
    wrong.minutes = words.fieldMinutesHint;
  return wrong;
}

/** A refusal, at the field it is about. */
function refusedWords(error: Refused, action: Action, hadToken: boolean): Wrong {
  const words = dialogWords.value;
  if (error.status === 401) return { token: hadToken ? words.answerTokenRefused : words.answerUnauthorized };
  if (error.status === 403) return { all: `${words.answerForbidden} (${error.detail})` };
  if (error.status === 409) return { all: `${words.answerConflict} (${error.detail})` };
  if (error.status >= 500) return { all: words.answerFailed };
  const wrong: Wrong = {};
  for (const [field, message] of error.fields) {
    if (field === "X-Kawamori-Name") wrong.name = message;
    else if (field === TEXT[action]) wrong.text = message;
    else if (field === "minutes" || field === "until") wrong.minutes = message;
    else wrong.all = `${words.answerWrong} (${field}: ${message})`;
  }
  return Object.keys(wrong).length > 0 ? wrong : { all: `${words.answerWrong} (${error.detail})` };
}

export function AnswerForm({ id, action, done }: { id: number; action: Action; done: () => void }) {
  const words = dialogWords.value;
  const form = useRef<HTMLFormElement>(null);
  const wrong = useSignal<Wrong>({});
  // What was asked when the form opened goes on being asked: a field must not vanish under the hand that fills it.
  const askedName = useRef(actorName.peek() === "").current;
  const asks = {
    name: !tokenWanted.value && (askedName || wrong.value.name !== undefined),
    token: tokenWanted.value && (actorToken.value === "" || wrong.value.token !== undefined),
  };
  const busy = underWay.value.has(`${id}/${action}`);
  const text = TEXT[action];
  const alert = live.value.alerts.find((a) => a.id === id);
  const beside = action === "acknowledge" ? unansweredBeside(alert) : 0;
  useEffect(() => {
    const first = form.current?.querySelector<HTMLElement>("input, textarea, button[type=submit]");
    first?.focus();
  }, []);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [wrong.value]);

  const submit = async () => {
    const data = new FormData(form.current ?? undefined);
    const field = (name: string) => String(data.get(name) ?? "").trim();
    const said = {
      name: field("name"),
      token: field("token"),
      text: field("text"),
      minutes: field("minutes"),
    };
    const lacking = missing(action, said, asks);
    if (Object.keys(lacking).length > 0) {
      wrong.value = lacking;
      return;
    }
    const kept = currentActor();
    const actor = { name: said.name || kept.name, token: asks.token ? said.token : kept.token };
    const body = {
      ...(text && said.text ? { [text]: said.text } : {}),
      ...(action === "shelve" ? { minutes: Number(said.minutes) } : {}),
    };
    const together = data.get("together") !== null ? (alert?.incident_id ?? null) : null;
    const outcome = await act(id, action, body, actor, together);
    if (outcome.kind === "done") {
      keepName(actor.name);
      keepToken(actor.token);
      done();
    } else if (outcome.kind === "refused") {
      wrong.value = refusedWords(outcome.error, action, actor.token !== "");
    } else if (outcome.kind === "unreachable") {
      wrong.value = { all: words.answerUnreachable };
    }
  };

  const label = action === "notes" ? words.fieldMemo : text === "note" ? words.fieldNote : words.fieldReason;
  return (
    <form
      ref={form}
      class="answer-form"
      noValidate
      data-testid="answer-form"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <p class="hint">{words.actionHints[action]}</p>
      {asks.name && (
        <Field id="answer-name" label={words.fieldName} hint={words.fieldNameHint} wrong={wrong.value.name}>
          <input
            {...described("answer-name", wrong.value.name)}
            name="name"
            maxLength={50}
            autocomplete="name"
            defaultValue={actorName.peek()}
          />
        </Field>
      )}
      {asks.token && (
        <Field
          id="answer-token"
          label={words.fieldToken}
          hint={words.fieldTokenHint}
          wrong={wrong.value.token}
        >
          <input
            {...described("answer-token", wrong.value.token)}
            name="token"
            type="password"
            autocomplete="current-password"
          />
        </Field>
      )}
      {action === "shelve" && (
        <Field
          id="answer-minutes"
          label={words.fieldMinutes}
          hint={words.fieldMinutesHint}
          wrong={wrong.value.minutes}
        >
          <input
            {...described("answer-minutes", wrong.value.minutes)}
            name="minutes"
            type="number"
            inputMode="numeric"
            min={1}
            max={LONGEST_MIN}
            defaultValue="60"
          />
        </Field>
      )}
      {text && (
        <Field id="answer-text" label={label} wrong={wrong.value.text}>
          <textarea
            {...described("answer-text", wrong.value.text, false)}
            name="text"
            rows={2}
            maxLength={2000}
          />
        </Field>
      )}
      {beside > 0 && (
        <label class="field-check">
          <input type="checkbox" name="together" />
          {words.acknowledgeTogether(beside)}
        </label>
      )}
      {wrong.value.all && (
        <p class="wrong" role="alert" data-testid="answer-wrong">
          {wrong.value.all}
        </p>
      )}
      <button type="submit" class="answer answer-first" data-testid="answer-send" aria-disabled={busy}>
        {busy ? words.sending : actionWord(action)}
      </button>
    </form>
  );
}
