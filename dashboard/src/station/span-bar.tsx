/** Which stretch of time: presets, any two times of the site's clock, and steps around them. */
import { useSignal } from "@preact/signals";
import { clockOrDay } from "../domain/format";
import {
  fromSiteText,
  nameOf,
  panned,
  RANGE_S,
  type RangeName,
  scaled,
  siteText,
  spanBetween,
  windowOf,
} from "../domain/span";
import { t } from "../store/store";
import { Segments } from "../ui/segments";
import { isNarrowed, isQuick, nowS, show, siteNow, span, stepBack } from "./state";
import { stationWords } from "./station-catalogue";

const RANGES: readonly RangeName[] = ["h6", "h24", "d3", "d30", "y1", "y10"];

const SIGNS: Record<string, string> = {
  earlier: "M13 4L7 10l6 6",
  later: "M7 4l6 6-6 6",
  closer: "M10 4v12M4 10h12",
  wider: "M4 10h12",
};

function Step({ name, does }: { name: "earlier" | "later" | "closer" | "wider"; does: () => void }) {
  const word = stationWords.value[name];
  return (
    <button
      type="button"
      class="step"
      aria-label={word}
      title={word}
      data-testid={`step-${name}`}
      onClick={does}
    >
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        <path d={SIGNS[name]} />
      </svg>
    </button>
  );
}

export const step = {
  earlier: () => show(panned(span.peek(), -1, siteNow())),
  later: () => show(panned(span.peek(), 1, siteNow())),
  closer: () => show(scaled(span.peek(), 0.5, siteNow()), true),
  wider: () => show(scaled(span.peek(), 2, siteNow())),
  toNow: () => show({ ...span.peek(), endS: null }),
};

export function RangeButtons() {
  const words = stationWords.value;
  const names = isQuick.value ? (["m30", ...RANGES] as const) : RANGES;
  return (
    <Segments
      class="segments ranges-long"
      label={t.value.rangeLabel}
      options={names}
      value={nameOf(span.value)}
      text={(name) => words.ranges[name]}
      name="range"
      set={(name) => show({ lengthS: RANGE_S[name], endS: null })}
    />
  );
}

export function Steps() {
  const words = stationWords.value;
  return (
    <div class="steps">
      <Step name="earlier" does={step.earlier} />
      <Step name="later" does={step.later} />
      <Step name="closer" does={step.closer} />
      <Step name="wider" does={step.wider} />
      {span.value.endS !== null && (
        <button type="button" class="step step-word" data-testid="step-now" onClick={step.toNow}>
          {words.toNow}
        </button>
      )}
      {isNarrowed.value && (
        <button type="button" class="step step-word" data-testid="step-back" onClick={stepBack}>
          {words.stepBack}
        </button>
      )}
    </div>
  );
}

/** Two times of the site's clock; the browser's own zone never enters. */
export function AnyRange() {
  const words = stationWords.value;
  const open = useSignal(false);
  const wrong = useSignal(false);
  const [from, to] = windowOf(span.value, nowS.value);
  return (
    <details
      class="any-range"
      open={open}
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary data-testid="any-range">
        {span.value.endS === null
          ? words.anyRange
          : words.spanFixed(
              clockOrDay(from * 1000, siteNow() * 1000),
              clockOrDay(to * 1000, siteNow() * 1000),
            )}
      </summary>
      {open.value && (
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            const given = new FormData(event.currentTarget);
            const start = fromSiteText(String(given.get("from")));
            const end = fromSiteText(String(given.get("to")));
            wrong.value = start === null || end === null || start >= end;
            if (start !== null && end !== null && start < end) show(spanBetween(start, end, siteNow()));
          }}
        >
          <label>
            <span>{words.from}</span>
            <input
              type="datetime-local"
              name="from"
              defaultValue={siteText(from).slice(0, 16)}
              data-testid="range-from"
            />
          </label>
          <label>
            <span>{words.to}</span>
            <input
              type="datetime-local"
              name="to"
              defaultValue={siteText(to).slice(0, 16)}
              data-testid="range-to"
            />
          </label>
          <span class="zone">JST</span>
          <button type="submit" class="answer answer-first" data-testid="range-show">
            {words.show}
          </button>
          <p role="alert" class="wrong">
            {wrong.value && words.rangeWrong}
          </p>
        </form>
      )}
    </details>
  );
}
