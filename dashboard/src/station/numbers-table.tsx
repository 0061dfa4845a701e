/** The chart's numbers as a table, a page at a time, and as a file. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { csvHref } from "../api/client";
import { reportEveryS } from "../chart/picture";
import { type Mark, rainOf, STEP_S } from "../chart/series";
import { read } from "../domain/datum";
import { metres } from "../domain/format";
import { windowOf } from "../domain/span";
import { t } from "../store/store";
import { qualityOf } from "./hydrograph";
import { asked, datum, history, id, nowS, registered, shown, span } from "./state";
import { markTime } from "./words";

const ROWS = 48;

const opened = signal(false);
/** Pages from the newest; a new stretch begins at its newest. */
const page = signal(0);

function Rows({ marks }: { marks: readonly Mark[] }) {
  const words = t.value;
  const past = history.value;
  if (!past) return null;
  const rain = new Map(past.rain.map((m) => [m.from, m]));
  const rainMinutes = (STEP_S[past.resolution] || reportEveryS(past.asked.station, "rainfall")) / 60;
  return (
    <div class="numbers">
      <table data-testid="numbers">
        <thead>
          <tr>
            <th scope="col">{words.tableTime}</th>
            <th scope="col" class="num">
              {words.station.datumUse[datum.value.kind]}
            </th>
            {rain.size > 0 && (
              <th scope="col" class="num">
                {words.station.tableRain(words.perReport(rainMinutes))}
              </th>
            )}
            <th scope="col">{words.tableNote}</th>
          </tr>
        </thead>
        <tbody>
          {marks.map((m) => {
            const fell = rain.get(m.from);
            return (
              <tr key={m.at}>
                <th scope="row">{markTime(m.from, past.resolution)}</th>
                <td class="num">{m.value === null ? "—" : metres(read(m.value, datum.value))}</td>
                {rain.size > 0 && <td class="num">{fell ? rainOf(fell).toFixed(1) : "—"}</td>}
                <td>{qualityOf(m)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Pages() {
  const words = t.value.station;
  const newestFirst = [...shown.value].reverse();
  const pages = Math.max(1, Math.ceil(newestFirst.length / ROWS));
  const at = Math.min(page.value, pages - 1);
  const marks = newestFirst.slice(at * ROWS, (at + 1) * ROWS);
  if (newestFirst.length === 0) return <p class="empty">{t.value.chartEmpty}</p>;
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
          {words.tableOf(at * ROWS + 1, at * ROWS + marks.length, newestFirst.length)}
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
      <Rows marks={marks} />
    </>
  );
}

/** The file is what was measured, above the gauge's zero; how to come to the datum in use is said beside it. */
function Csv() {
  const words = t.value.station;
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
        <summary data-testid="as-table">{t.value.station.table}</summary>
        {opened.value && <Pages />}
      </details>
    </>
  );
}
