/** The loudspeaker's state, always in sight; its dialog arms, tries and mutes it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Call } from "../domain/sound";
import {
  arm,
  lastCall,
  mutedForMs,
  muteFor,
  play,
  sounding,
  speaker,
  start,
  unmute,
  volume,
} from "../store/sound";
import { t } from "../store/store";
import { levelWord } from "../ui/level-chip";

const MUTES_MIN = [1, 5, 10] as const;

function countdown(ms: number): string {
  const s = Math.ceil(ms / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

function callWord(call: Call): string {
  const words = t.value.sound;
  if (call === "link") return words.link;
  return call === 0 ? words.machine : `${call} ${levelWord(call)}`;
}

const opened = { box: null as HTMLDialogElement | null };

export function SoundControl() {
  const words = t.value.sound;
  const state = speaker.value;
  const muted = mutedForMs.value;
  const { level, link } = sounding.value;
  const called = level !== null || link;
  const text =
    state === "off"
      ? words.off
      : state === "blocked"
        ? words.blocked
        : muted > 0
          ? words.mutedFor(countdown(muted))
          : called
            ? words.sounding
            : words.armed;
  const shown = state !== "armed" ? state : muted > 0 ? "muted" : called ? "sounding" : "armed";
  return (
    <>
      <button
        type="button"
        class={`sound sound-${shown}`}
        data-testid="sound"
        data-state={shown}
        data-last-call={lastCall.value?.call ?? ""}
        aria-haspopup="dialog"
        onClick={() => {
          if (state === "blocked") void start();
          opened.box?.showModal();
        }}
      >
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
          <path d="M4 9v6h4l6 5V4L8 9z" />
          <path
            d={shown === "armed" || shown === "sounding" ? "M17 8a5 5 0 0 1 0 8" : "M17 9l5 6M22 9l-5 6"}
          />
        </svg>
        <span>{text}</span>
      </button>
      <SoundDialog />
    </>
  );
}

function SoundDialog() {
  const words = t.value.sound;
  const box = useRef<HTMLDialogElement>(null);
  const tried = useSignal(false);
  useEffect(() => {
    opened.box = box.current;
  }, []);
  const state = speaker.value;
  const muted = mutedForMs.value;
  const attempt = async (call: Call) => {
    await start();
    play(call);
    tried.value = true;
  };
  return (
    <dialog ref={box} class="dialog dialog-sound" aria-labelledby="sound-title" data-testid="sound-dialog">
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id="sound-title">{words.title}</h2>
          <button type="button" class="answer" onClick={() => box.current?.close()}>
            {t.value.close}
          </button>
        </div>
        <p>{words.why}</p>
        <section aria-label={words.arm}>
          <button
            type="button"
            class="answer answer-first"
            data-testid="sound-test"
            onClick={() => void attempt(3)}
          >
            {words.test}
          </button>
          <div role="status">
            {tried.value && (
              <p class="sound-asks">
                <span>{words.heard}</span>
                <button
                  type="button"
                  class="answer"
                  data-testid="sound-heard"
                  onClick={() => {
                    arm(true);
                    tried.value = false;
                  }}
                >
                  {words.yes}
                </button>
                <button
                  type="button"
                  class="answer"
                  onClick={() => {
                    arm(false);
                    tried.value = false;
                  }}
                >
                  {words.no}
                </button>
              </p>
            )}
            {!tried.value && <p>{words.states[state]}</p>}
          </div>
        </section>
        <fieldset class="sound-volume">
          <legend>{words.volume}</legend>
          {(["3", "6", "10"] as const).map((one) => (
            <button
              key={one}
              type="button"
              class="answer"
              aria-pressed={volume.value === one}
              onClick={() => {
                volume.value = one;
                void attempt(1);
              }}
            >
              {words.volumes[one]}
            </button>
          ))}
        </fieldset>
        <fieldset class="sound-mute">
          <legend>{words.mute}</legend>
          {MUTES_MIN.map((minutes) => (
            <button
              key={minutes}
              type="button"
              class="answer"
              data-testid={`mute-${minutes}`}
              onClick={() => muteFor(minutes * 60_000)}
            >
              {words.minutes(minutes)}
            </button>
          ))}
          {muted > 0 && (
            <button type="button" class="answer answer-first" data-testid="unmute" onClick={unmute}>
              {words.unmute(countdown(muted))}
            </button>
          )}
          <p class="hint">{words.muteHint}</p>
        </fieldset>
        <fieldset class="sound-patterns">
          <legend>{words.patterns}</legend>
          {([5, 4, 3, 2, 1, 0, "link"] as const).map((call) => (
            <button key={call} type="button" class="answer" onClick={() => void attempt(call)}>
              {callWord(call)}
            </button>
          ))}
        </fieldset>
      </div>
    </dialog>
  );
}
