/** The chart's numbers as a table, a page at a time, and as a file. */
import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { csvHref } from "../api/client";
import { reportEveryS } from "../chart/picture";
import { type Mark, rainOf, STEP_S } from "../chart/series";
import { read } from "../domain/datum";
import { metres } from "../domain/format";
import { windowOf } from "../domain/span";
import { t } from "../store/store";
import { asked, datum, history, id, nowS, registered, shown, span } from "./state";
import { stationWords } from "./station-catalogue";
import { markTime, qualityOf } from "./words";

const ROWS = 48;

const opened = signal(false);
/** Pages from the newest; a new stretch begins at its newest. */
const page = signal(0);

interface Row {
  readonly fromS: number;
  readonly level?: Mark;
  readonly rain?: Mark;
}

/** Newest first; a gauge's rain has a row of its own where it reports at another time. */
const rows = computed<readonly Row[]>(() => {
  const [from, to] = windowOf(span.value, nowS.value);
  const byTime = new Map<number, Row>(shown.value.map((level) => [level.from, { fromS: level.from, level }]));
  for (const rain of history.value?.rain ?? [])
    if (rain.from >= from && rain.from <= to)
      byTime.set(rain.from, { ...byTime.get(rain.from), fromS: rain.from, rain });
  return [...byTime.values()].sort((a, b) => b.fromS - a.fromS);
});

function Numbers({ marks }: { marks: readonly Row[] }) {
  const words = t.value;
  const past = history.value;
  if (!past) return null;
  const hasRain = past.rain.length > 0;
  const rainMinutes = (STEP_S[past.resolution] || reportEveryS(past.asked.station, "rainfall")) / 60;
  return (
    <div class="numbers">
      <table data-testid="numbers">
        <thead>
          <tr>
            <th scope="col">{words.tableTime}</th>
            <th scope="col" class="num">
              {stationWords.value.datumUse[datum.value.kind]}
            </th>
            {hasRain && (
              <th scope="col" class="num">
                {stationWords.value.tableRain(words.perReport(rainMinutes))}
              </th>
            )}
            <th scope="col">{words.tableNote}</th>
          </tr>
        </thead>
        <tbody>
          {marks.map(({ fromS, level, rain }) => (
            <tr key={fromS}>
              <th scope="row">{markTime(fromS, past.resolution)}</th>
              <td class="num">
                {typeof level?.value === "number" ? metres(read(level.value, datum.value)) : "—"}
              </td>
              {hasRain && <td class="num">{rain ? rainOf(rain).toFixed(1) : "—"}</td>}
              <td>{level && qualityOf(level, datum.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Pages() {
  const words = stationWords.value;
  const all = rows.value;
  const pages = Math.max(1, Math.ceil(all.length / ROWS));
  const at = Math.min(page.value, pages - 1);
  const marks = all.slice(at * ROWS, (at + 1) * ROWS);
  if (all.length === 0) return <p class="empty">{t.value.chartEmpty}</p>;
  const turn = (to: number) => {
    page.value = Math.max(0, Math.min(pages - 1, to));
  };
  return (
    <>
      <div class="pager">
        <button
          type="button"
          class="answer"
          aria-disabled={at === 0}
          data-testid="page-newer"
          onClick={() => turn(at - 1)}
        >
          {words.newer}
        </button>
        <span role="status" data-testid="page-of">
          {words.tableOf(at * ROWS + 1, at * ROWS + marks.length, all.length)}
        </span>
        <button
          type="button"
          class="answer"
          aria-disabled={at === pages - 1}
          data-testid="page-older"
          onClick={() => turn(at + 1)}
        >
          {words.older}
        </button>
      </div>
      <Numbers marks={marks} />
    </>
  );
}

/** The file is what was measured, above the gauge's zero; how to come to the datum in use is said beside it. */
function Csv() {
  const words = stationWords.value;
  const past = history.value;
  const station = registered.value;
  const [from, to] = windowOf(span.value, nowS.value);
  const href = (resolution: "raw" | NonNullable<typeof past>["resolution"]) =>
    csvHref(id.value, from * 1000, (span.value.endS === null ? to + 60 : to) * 1000, resolution);
  const { kind } = datum.value;
  return (
    <div class="csv">
      {past && past.resolution !== "raw" && (
        <a class="button-link" href={href(past.resolution)} download data-testid="csv-shown">
          {words.csv}（{words.resolution[past.resolution]}）
        </a>
      )}
      <a class="button-link" href={href("raw")} download data-testid="csv">
        {past?.resolution === "raw" ? words.csv : words.csvAll}
      </a>
      <small>
        {words.csvNote}
        {kind === "tp" && ` ${words.csvTp(metres(station?.gauge_zero_tp_m ?? null, 3))}`}
        {kind === "crest" && ` ${words.csvCrest(metres(station?.crest_m ?? null, 3))}`}
      </small>
    </div>
  );
}

export function NumbersTable() {
  const stretch = asked.value;
  useEffect(() => {
    page.value = 0;
  }, [stretch]);
  return (
    <>
      <Csv />
      <details
        class="numbers-box"
        open={opened.value}
        onToggle={(event) => {
          opened.value = event.currentTarget.open;
        }}
      >
        <summary data-testid="as-table">{stationWords.value.table}</summary>
        {opened.value && <Pages />}
      </details>
    </>
  );
}
