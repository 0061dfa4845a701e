/** The large hydrograph: any stretch of time, down to the single reading, and what it says in words. */
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { noteOf } from "../chart/note";
import { mountPlot, plotFile, rainWords } from "../chart/picture";
import { extent, isGap, type Mark } from "../chart/series";
import { spanBetween, windowOf } from "../domain/span";
import { pick } from "../i18n";
import { lang, t } from "../store/store";
import { Missing } from "../ui/part";
import { query, setQuery } from "../ui/route";
import { NumbersTable } from "./numbers-table";
import { AnyRange, RangeButtons, Steps, step } from "./span-bar";
import { datum, history, name, nowS, picture, pointed, show, shown, siteNow, span, stepBack } from "./state";
import { stationWords } from "./station-catalogue";
import { heightIn, markTime, qualityOf, spanWords } from "./words";

const newest = (of: readonly Mark[]) => of.findLast((m) => m.value !== null && m.flag !== 4);

/** What somebody who does not see the picture is told of it. */
function summary(): string {
  const words = stationWords.value;
  const marks = shown.value;
  const all = extent(marks);
  const last = newest(marks);
  const here = pick(name.value, lang.value);
  const when = spanWords(span.value, nowS.value);
  if (!all || !last || !history.value) return words.summary(here, when, t.value.chartEmpty);
  const gapS = picture.value?.gapS ?? Number.POSITIVE_INFINITY;
  const gaps = marks.filter((_, i) => i > 0 && isGap(marks, i, gapS)).length;
  const ends = [heightIn(all.min, datum.value), heightIn(all.max, datum.value)];
  const text = words.summaryText(
    ends[0] ?? "",
    ends[1] ?? "",
    heightIn(last.value, datum.value),
    markTime(last.from, history.value.resolution),
  );
  const rain = rainWords(history.value, windowOf(span.value, nowS.value), nowS.value);
  return words.summary(here, when, [text, gaps > 0 ? words.gaps(gaps) : "", rain].filter(Boolean).join(" "));
}

function pointText(mark: Mark | undefined): string {
  if (!mark || !history.value) return "";
  const height = mark.value === null ? t.value.noData : heightIn(mark.value, datum.value);
  return [markTime(mark.from, history.value.resolution), height, qualityOf(mark, datum.value)]
    .filter(Boolean)
    .join(" ");
}

/** The value under the pointer or the keys, else the last of the stretch. */
function Readout() {
  const at = pointed.value;
  const mark = at === null ? newest(shown.value) : shown.value.find((m) => m.at === at);
  if (!mark || !history.value) return null;
  return (
    <p class="readout" aria-hidden="true" data-testid="readout">
      {markTime(mark.from, history.value.resolution)} <strong>{heightIn(mark.value, datum.value)}</strong>{" "}
      {mark.flag === 1 ? "" : qualityOf(mark, datum.value)}
    </p>
  );
}

function onKey(event: KeyboardEvent): void {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const marks = shown.peek();
  const i = marks.findIndex((m) => m.at === pointed.peek());
  const go = (to: number) => {
    pointed.value = marks[Math.max(0, Math.min(marks.length - 1, to))]?.at ?? null;
  };
  const keys: Record<string, () => void> = {
    ArrowLeft: () => go(i < 0 ? marks.length - 1 : i - 1),
    ArrowRight: () => go(i < 0 ? marks.length - 1 : i + 1),
    Home: () => go(0),
    End: () => go(marks.length - 1),
    PageUp: step.earlier,
    PageDown: step.later,
    "+": step.closer,
    ";": step.closer,
    "-": step.wider,
    Escape: stepBack,
  };
  const does = keys[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

/** Read as one reads a slider: the keys go from value to value, and each is spoken. */
function Plot() {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return;
    return mountPlot(
      host.current,
      picture,
      {
        pointed: (at) => {
          pointed.value = at;
        },
        zoom: (from, to) => show(spanBetween(from, to, siteNow()), true),
      },
      pointed,
    );
  }, []);
  const marks = shown.value;
  const at = useComputed(() => shown.value.findIndex((m) => m.at === pointed.value)).value;
  const index = at < 0 ? Math.max(0, marks.length - 1) : at;
  const past = history.value;
  const note = noteOf(past, marks.length === 0);
  return (
    <div class="plot-box plot-large" data-state={past?.state ?? "loading"}>
      <div
        class="plot"
        ref={host}
        role="slider"
        tabIndex={0}
        aria-label={summary()}
        aria-describedby="plot-keys"
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, marks.length - 1)}
        aria-valuenow={index}
        aria-valuetext={pointText(marks[index]) || t.value.chartEmpty}
        data-testid="hydrograph"
        onKeyDown={onKey}
        onBlur={() => {
          pointed.value = null;
        }}
      />
      {plotFile.missing.value ? (
        <Missing />
      ) : (
        note && (
          <p class="plot-note" role="status">
            {note}
          </p>
        )
      )}
    </div>
  );
}

function Legend() {
  const words = t.value;
  const past = history.value;
  const single = past?.resolution === "raw";
  return (
    <ul class="legend">
      {past && <li data-testid="resolution">{stationWords.value.resolution[past.resolution]}</li>}
      {single && <li>{words.legendSuspect}</li>}
      {single && <li>{words.legendFail}</li>}
      {single && <li>{stationWords.value.legendLate}</li>}
      {past && !single && <li>{words.legendBand}</li>}
      <li>{stationWords.value.legendGap}</li>
      {past?.hasRain && <li>{words.rainLegend}</li>}
      <li class="mouse-only">{stationWords.value.hint}</li>
    </ul>
  );
}

/** For those who see the picture as well: hatching alone is easily taken for a pattern. */
function RainKnown() {
  const past = history.value;
  const said = past ? rainWords(past, windowOf(span.value, nowS.value), nowS.value) : "";
  return said === "" ? null : (
    <p class="chart-warn" data-testid="rain-unknown">
      {said}
    </p>
  );
}

export function Hydrograph() {
  const words = stationWords.value;
  const past = history.value;
  const all = query.value.get("points") === "all";
  return (
    <section class="panel station-chart" aria-labelledby="hydrograph-title">
      <div class="panel-head">
        <h3 id="hydrograph-title">
          {words.chart} <small>{words.datumUse[datum.value.kind]}</small>
        </h3>
        <Readout />
      </div>
      <div class="chart-bar">
        <RangeButtons />
        <Steps />
        <AnyRange />
      </div>
      <Plot />
      <div class="chart-under">
        <Legend />
        {(all || (past !== null && past.resolution !== "raw")) && (
          <label class="all-readings">
            <input
              type="checkbox"
              checked={all}
              data-testid="all-readings"
              onChange={(event) => setQuery({ points: event.currentTarget.checked ? "all" : null })}
            />
            {words.allReadings}
          </label>
        )}
        {past?.tooMany && <p class="chart-warn">{words.tooMany}</p>}
        <RainKnown />
        {past?.rainLost && <p class="chart-warn">{words.rainLost}</p>}
        <p class="sr" id="plot-keys">
          {words.keys}
        </p>
        <NumbersTable />
      </div>
    </section>
  );
}
