/** The small hydrograph beside the table: the chosen station up to now. */
import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { read } from "../domain/datum";
import { clockOrDay, metres } from "../domain/format";
import { pick } from "../i18n";
import { tableDatum } from "../store/datum";
import { chooseRange, lang, type Range, range, selected, stationLevels, stations, t } from "../store/store";
import { Missing } from "../ui/part";
import { stationHref } from "../ui/route";
import { Segments } from "../ui/segments";
import { type History, type Kept, keepHistory } from "./history";
import { noteOf } from "./note";
import { inside, marksOf, mountPlot, pictureOf, plotFile, rainWords, steadyNow } from "./picture";
import { extent, type Mark, onDatum } from "./series";

const RANGES: readonly Range[] = ["m30", "h3", "h24", "d7"];
const SPAN_S: Record<Range, number> = { m30: 1_800, h3: 10_800, h24: 86_400, d7: 604_800 };

const asked = computed(() =>
  selected.value === null
    ? null
    : { station: selected.value, span: { lengthS: SPAN_S[range.value], endS: null }, all: false },
);
const kept = signal<Kept | null>(null);
const history = computed<History | null>(() => kept.value?.history.value ?? null);
const drawnNow = computed(() => steadyNow({ lengthS: SPAN_S[range.value], endS: null }));
/** As in the table beside it. */
const datum = computed(() => tableDatum(stations.value.get(selected.value ?? "")));
const marks = computed(() => (history.value ? onDatum(marksOf(history.value), datum.value) : []));
/** The stream may lag behind the range's left edge; only what is inside is spoken of. */
const shown = computed(() => inside(marks.value, [drawnNow.value - SPAN_S[range.value], drawnNow.value]));
const picture = computed(
  () => history.value && pictureOf(history.value, marks.value, datum.value, drawnNow.value),
);
const height = (levelM: number | null) =>
  levelM === null ? "—" : t.value.height[datum.value.kind](metres(read(levelM, datum.value)));
const pointed = signal<number | null>(null);
const newest = (of: readonly Mark[]) => of.findLast((m) => m.value !== null && m.flag !== 4);

function RangeButtons() {
  return (
    <Segments
      class="ranges"
      label={t.value.rangeLabel}
      options={RANGES}
      value={range.value}
      text={(r) => t.value.ranges[r]}
      name="range"
      set={(r) => {
        chooseRange(r);
      }}
    />
  );
}

/** The value under the pointer, else the newest. */
function Readout() {
  const at = pointed.value;
  const mark = at === null ? newest(marks.value) : marks.value.find((m) => m.at === at);
  if (!mark) return null;
  return (
    <span class="readout" aria-hidden="true">
      {clockOrDay(mark.at * 1000, drawnNow.value * 1000)} <strong>{height(mark.value)}</strong>
    </span>
  );
}

function summary(name: string): string {
  const words = t.value;
  const span = words.ranges[range.value];
  const all = extent(shown.value);
  const last = newest(shown.value);
  if (!all || !last) return `${name} ${span} – ${words.chartEmpty}`;
  const at = clockOrDay(last.at * 1000, drawnNow.value * 1000);
  const text = words.chartSummary(name, span, height(all.min), height(all.max), height(last.value), at);
  const window = [drawnNow.value - SPAN_S[range.value], drawnNow.value] as const;
  return [text, history.value ? rainWords(history.value, window, drawnNow.value) : ""]
    .filter(Boolean)
    .join(" ");
}

export function ChartPanel() {
  const words = t.value;
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const mine = keepHistory(asked);
    kept.value = mine;
    const unmount = host.current
      ? mountPlot(host.current, picture, { pointed: (at) => (pointed.value = at) })
      : null;
    return () => {
      unmount?.();
      mine.stop();
      kept.value = null;
    };
  }, []);
  const id = selected.value;
  const named = id === null ? undefined : (stationLevels.value.get(id) ?? stations.value.get(id));
  const name = named ? pick(named.name, lang.value) : "";
  const note = noteOf(history.value, shown.value.length === 0);
  return (
    <section class="panel panel-chart" id="chart" aria-labelledby="chart-title" data-testid="chart">
      <div class="panel-head">
        <h2 id="chart-title">
          {words.chart} {name && <span class="chart-station">{name}</span>}
        </h2>
        <Readout />
        <RangeButtons />
      </div>
      <div class="plot-box">
        <div class="plot" ref={host} role="img" aria-label={summary(name)} />
        {plotFile.missing.value ? <Missing /> : note && <p class="plot-note">{note}</p>}
      </div>
      <div class="chart-foot">
        <span>{words.legendSuspect}</span>
        <span>{words.legendFail}</span>
        {history.value && history.value.resolution !== "raw" && <span>{words.legendBand}</span>}
        {id !== null && (
          <a class="chart-more" href={stationHref(id)}>
            {words.chartMore}
          </a>
        )}
      </div>
    </section>
  );
}
