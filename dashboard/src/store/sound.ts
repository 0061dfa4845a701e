/** The loudspeaker: armed by a person who heard it, played until somebody answers. */
import { computed, effect, signal } from "@preact/signals";
import {
  type Call,
  kept,
  LINK_AFTER_MS,
  LONGEST_MUTE_MS,
  type Mute,
  muteHolds,
  NOT_PLAYED,
  next,
  PATTERNS,
  wanted,
} from "../domain/sound";
import { alerts, lost, remembered, tick } from "./store";

/** `off`: nobody has tried it here. `blocked`: the browser keeps it quiet until somebody presses. */
export type Speaker = "off" | "blocked" | "armed";

const before = remembered<"no" | "yes">("kawamori.sound", ["no", "yes"], "no");
const loudness = remembered<"3" | "6" | "10">("kawamori.loudness", ["3", "6", "10"], "6");
export const volume = loudness;

const running = signal(false);
export const speaker = computed<Speaker>(() =>
  before.value === "no" ? "off" : running.value ? "armed" : "blocked",
);
/** What is being played, or was last; with the moment, so that a repetition is news. */
export const lastCall = signal<{ readonly call: Call; readonly atMs: number } | null>(null);
export const mute = signal<Mute | null>(null);
export const mutedForMs = computed(() =>
  muteHolds(mute.value, tick.value.steadyMs) ? (mute.value?.untilMs ?? 0) - tick.value.steadyMs : 0,
);

let context: AudioContext | null = null;

function speak(): AudioContext {
  if (context === null) {
    context = new AudioContext();
    context.onstatechange = () => {
      running.value = context?.state === "running";
    };
  }
  return context;
}

/** Resolves when the loudspeaker runs; only a person's press may start it in most browsers. */
export async function start(): Promise<void> {
  const audio = speak();
  await audio.resume();
  running.value = audio.state === "running";
}

export function play(call: Call): void {
  const audio = speak();
  const begin = audio.currentTime + 0.02;
  for (const { at, seconds, hz } of PATTERNS[call]) {
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    tone.type = "triangle";
    tone.frequency.value = hz;
    // A few milliseconds of rise and fall: a click is not a note.
    const top = Number(loudness.peek()) / 10;
    gain.gain.setValueAtTime(0, begin + at);
    gain.gain.linearRampToValueAtTime(top, begin + at + 0.012);
    gain.gain.setValueAtTime(top, begin + at + seconds - 0.02);
    gain.gain.linearRampToValueAtTime(0, begin + at + seconds);
    tone.connect(gain).connect(audio.destination);
    tone.start(begin + at);
    tone.stop(begin + at + seconds);
  }
  lastCall.value = { call, atMs: performance.now() };
}

/** Somebody says that they have heard it. */
export function arm(heard: boolean): void {
  before.value = heard ? "yes" : "no";
}

const lostSinceMs = signal<number | null>(null);
effect(() => {
  lostSinceMs.value = lost.value ? performance.now() : null;
});
const linkBroken = computed(
  () => lostSinceMs.value !== null && tick.value.steadyMs - lostSinceMs.value > LINK_AFTER_MS,
);
/** What ought to be heard now, armed or not. */
export const sounding = computed(() => wanted(alerts.value, linkBroken.value));

export function muteFor(ms: number): void {
  const { level, link } = sounding.peek();
  mute.value = { untilMs: performance.now() + Math.min(ms, LONGEST_MUTE_MS), level, link };
}

export function unmute(): void {
  mute.value = null;
}

/** Once for the page. A screen that was armed before its reload tries to be so again, and says so where it may not. */
export function keepSounding(): void {
  if (before.peek() === "yes") void start();
  // Where the browser kept it quiet after a reload, the first press of anything will do.
  for (const press of ["pointerdown", "keydown"])
    addEventListener(press, () => {
      if (speaker.peek() === "blocked") void start();
    });
  let played = NOT_PLAYED;
  effect(() => {
    const nowMs = tick.value.steadyMs;
    mute.value = kept(mute.value, sounding.value);
    const [call, after] = next(played, sounding.value, mute.value, nowMs);
    if (speaker.value !== "armed") return;
    played = after;
    if (call !== null) play(call);
  });
}
