import { computed, effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { clockOrDay, metres } from "../domain/format";
import { clampLevel, LEVEL_COLOURS } from "../domain/levels";
import { pick } from "../i18n";
import { lang, now, type Range, range, selected, stationLevels, stations, t, theme } from "../store/store";
import type { Line } from "./draw";
import { history, keepHistory, SPAN_S } from "./history";
import type { Plot } from "./plot";
import { endWith, extent, gapSeconds, type Mark, STEP_S, thinned } from "./series";

const RANGES: readonly Range[] = ["m30", "h3", "h24", "d7"];
const TABLE_ROWS = 48;

const pointed = signal<{ at: number; value: number | null } | null>(null);

/** One redraw for about each pixel that time moves, and never more than one a second. */
const drawnNow = computed(() => {
  const every = Math.max(1_000, SPAN_S[range.value]);
  return Math.floor(now.value / every) * every;
});

const lines = computed<readonly Line[]>(() => {
  const station = stations.value.get(selected.value ?? "");
  if (!station) return [];
  const found: Line[] = station.thresholds.map((th) => {
    const colour = LEVEL_COLOURS[clampLevel(th.level)] ?? "#888888";
    return {
      value: th.value_m,
      label: `${th.level} ${pick(th.name, lang.value)} ${metres(th.value_m)}`,
      // Black on the dark screen, white on the light one would vanish; the line takes the other.
      colour:
        th.level >= 5 && theme.value === "dark"
          ? "#FFFFFF"
          : th.level === 1 && theme.value === "light"
            ? "#555555"
            : colour,
      band: th.level >= 5 ? "#80808040" : `${colour}1f`,
    };
  });
  if (station.crest_m !== null)
    found.push({
      value: station.crest_m,
      label: `${t.value.crest} ${metres(station.crest_m)}`,
      colour: theme.value === "dark" ? "#d8b08c" : "#7a4a1e",
      band: "",
    });
  return found;
});

/** The history up to the number in the table: a summary's mean must never stand as the newest level. */
const marks = computed<readonly Mark[]>(() => {
  const past = history.value;
  if (!past) return [];
  const newest = stationLevels.value.get(past.station);
  if (!newest?.observed_at) return past.level;
  const { station_id, level_m: value, observed_at: time, flag } = newest;
  return endWith(past.level, { station_id, quantity: "water_level", time, value, flag });
});

/** The stream may lag behind the range's left edge; only what is inside is spoken of. */
const shown = computed<readonly Mark[]>(() => {
  const from = drawnNow.value / 1000 - SPAN_S[range.value];
  return marks.value.filter((m) => m.at >= from);
});

function mountPlot(host: HTMLElement): () => void {
  const plot = signal<Plot | null>(null);
  let gone = false;
  const stops: (() => void)[] = [];
  import("./plot").then(({ createPlot }) => {
    if (gone) return;
    stops.push(
      effect(() => {
        theme.value;
        const words = { now: t.value.now, rain: t.value.rain };
        plot.peek()?.destroy();
        plot.value = createPlot(host, words, (mark) => {
          pointed.value = mark;
        });
      }),
      effect(() => {
        const data = history.value;
        if (!data) return;
        const every = stationLevels.value.get(data.station)?.report_every_s ?? 600;
        const rainSensor = stations.value.get(data.station)?.sensors.find((s) => s.quantity === "rainfall");
        const rainEvery = rainSensor?.report_every_s ?? every;
        const step = STEP_S[data.resolution] || rainEvery;
        plot.value?.show({
          level: marks.value,
          rain: data.rain,
          rainWidthS: step,
          rainUnit: t.value.perReport(step / 60),
          gapS: gapSeconds(data.resolution, every),
          lines: lines.value,
          nowS: drawnNow.value / 1000,
          spanS: SPAN_S[range.value],
        });
      }),
    );
  });
  return () => {
    gone = true;
    for (const stop of stops) stop();
    plot.peek()?.destroy();
  };
}

function RangeButtons() {
  return (
    <fieldset class="ranges">
      <legend class="sr">{t.value.rangeLabel}</legend>
      {RANGES.map((r) => (
        <button
          key={r}
          type="button"
          aria-pressed={range.value === r}
          data-testid={`range-${r}`}
          onClick={() => {
            range.value = r;
          }}
        >
          {t.value.ranges[r]}
        </button>
      ))}
    </fieldset>
  );
}

/** The value under the pointer, else the newest. */
function Readout() {
  const under = pointed.value;
  const mark = under ?? marks.value.findLast((m) => m.value !== null && m.flag !== 4);
  if (!mark) return null;
  return (
    <span class="readout" aria-hidden="true">
      {clockOrDay(mark.at * 1000, drawnNow.value)} <strong>{metres(mark.value)}</strong> m
    </span>
  );
}

function quality(mark: Mark): string {
  const words = t.value;
  if (mark.min !== null) return words.minMax(metres(mark.min), metres(mark.max));
  return mark.flag === null ? "" : words.flagWords[mark.flag];
}

function NumbersTable() {
  const words = t.value;
  const rows = [...thinned(shown.value, TABLE_ROWS)].reverse();
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{words.tableTime}</th>
          <th scope="col" class="num">
            {words.tableValue}
          </th>
          <th scope="col">{words.tableNote}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((m) => (
          <tr key={m.at}>
            <td>{clockOrDay(m.from * 1000, drawnNow.value)}</td>
            <td class="num">{metres(m.value)}</td>
            <td>{quality(m)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const opened = signal(false);

function summary(name: string): string {
  const words = t.value;
  const range_ = words.ranges[range.value];
  const all = extent(shown.value);
  const last = shown.value.findLast((m) => m.value !== null && m.flag !== 4);
  if (!all || !last) return `${name} ${range_} – ${words.chartEmpty}`;
  const at = clockOrDay(last.at * 1000, drawnNow.value);
  return words.chartSummary(name, range_, metres(all.min), metres(all.max), metres(last.value), at);
}

export function ChartPanel() {
  const words = t.value;
  const host = useRef<HTMLDivElement>(null);
  const id = selected.value;
  const named = id === null ? undefined : (stationLevels.value.get(id) ?? stations.value.get(id));
  const name = named ? pick(named.name, lang.value) : "";
  useEffect(() => keepHistory(), []);
  useEffect(() => (host.current ? mountPlot(host.current) : undefined), []);
  const data = history.value;
  const empty = data?.state === "ready" && shown.value.length === 0;
  const note =
    id === null
      ? words.chartChoose
      : data?.state === "loading"
        ? words.loading
        : data?.state === "failed"
          ? words.chartFailed
          : empty
            ? words.chartEmpty
            : "";
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
        {note && <p class="plot-note">{note}</p>}
      </div>
      <div class="chart-foot">
        <span>{words.legendSuspect}</span>
        <span>{words.legendFail}</span>
        {data && data.resolution !== "raw" && <span>{words.legendBand}</span>}
        <details
          open={opened.value}
          onToggle={(event) => {
            opened.value = event.currentTarget.open;
          }}
        >
          <summary>{words.asTable}</summary>
          {opened.value && <NumbersTable />}
        </details>
      </div>
    </section>
  );
}
