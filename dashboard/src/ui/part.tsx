/** A part of the page that comes in a file of its own, after the numbers: asked for until it is there. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { connected, t } from "../store/store";

const RETRY_MS = 3_000;
const LONGEST_WAIT_MS = 60_000;
/** Some browsers remember a file that failed for as long as the page lives: after so many tries only a reload helps. */
const TRIES = 3;

export interface Part<T> {
  /** The part, however long it takes. */
  readonly ready: () => Promise<T>;
  /** It does not come although the server speaks. */
  readonly missing: ReadonlySignal<boolean>;
}

const missingParts = signal(0);
export const incomplete = computed(() => missingParts.value > 0);

/** The build's loader asks for a style sheet once; the next try would bring the part without it. */
const lacksStyle = (error: unknown) => error instanceof Error && error.message.includes("preload CSS");

export function part<T>(load: () => Promise<T>): Part<T> {
  const missing = signal(false);
  const say = (now: boolean) => {
    if (now !== missing.peek()) missingParts.value += now ? 1 : -1;
    missing.value = now;
  };
  const untilHere = async () => {
    let ask = load;
    for (let failures = 0; ; ) {
      try {
        const found = await ask();
        say(false);
        return found;
      } catch (error) {
        if (lacksStyle(error)) ask = () => Promise.reject(error);
        // with the server away nothing comes, and nothing is learnt from it
        if (connected.peek() === "live") failures += 1;
        if (failures >= TRIES) say(true);
        const wait = Math.min(RETRY_MS * 2 ** Math.max(0, failures - 1), LONGEST_WAIT_MS);
        await new Promise((resume) => setTimeout(resume, wait));
      }
    }
  };
  let asked: Promise<T> | undefined;
  return {
    ready: () => {
      asked ??= untilHere();
      return asked;
    },
    missing,
  };
}

/** Stands where a part is missing. The wall needs no hand: see `update.ts`. */
export function Missing() {
  return (
    <p class="missing" role="status" data-testid="missing">
      {t.value.partMissing}{" "}
      <button type="button" class="answer" onClick={() => location.reload()}>
        {t.value.reload}
      </button>
    </p>
  );
}
