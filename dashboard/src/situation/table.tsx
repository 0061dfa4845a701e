import { computed, signal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { wantedDatum, wantedInTable } from "../store/datum";
import { keepSparks } from "../store/sparks";
import { levels, stationLevels, t } from "../store/store";
import { navigate, stationHref } from "../ui/route";
import { Segments } from "../ui/segments";
import { Filters, HiddenUnanswered, SEARCH_ID } from "./filters";
import { sortNow, touchedMs, waiting } from "./order";
import { answerFor, LevelRow } from "./row";
import { filter, shownIds } from "./shown";

/** Rows that are drawn at first, and more at a time when somebody comes near the end. */
const ROWS_AT_A_TIME = 80;
const most = signal(ROWS_AT_A_TIME);
const drawn = computed(() => shownIds.value.slice(0, most.value));

/** Moving a row in the page takes the keyboard's focus from it; give it back. */
function useKeptFocus(ids: readonly string[]) {
  const focused = useRef<HTMLElement | null>(null);
  useLayoutEffect(() => {
    const was = focused.current;
    if (was?.isConnected && document.activeElement === document.body) was.focus({ preventScroll: true });
  }, [ids]);
  return focused;
}

/** The end of what is drawn: coming near it draws more. */
function End() {
  const mark = useRef<HTMLDivElement>(null);
  const left = shownIds.value.length - most.value;
  useEffect(() => {
    const host = mark.current;
    if (!host) return;
    const near = new IntersectionObserver(
      (seen) => {
        if (seen.some((one) => one.isIntersecting)) most.value += ROWS_AT_A_TIME;
      },
      { rootMargin: "600px" },
    );
    near.observe(host);
    return () => near.disconnect();
  }, [left > 0]);
  if (left <= 0) return null;
  return (
    <div ref={mark} class="more">
      <button type="button" class="answer" onClick={() => (most.value += ROWS_AT_A_TIME)}>
        {t.value.situation.more(left)}
      </button>
    </div>
  );
}

function linkOf(id: string | undefined): HTMLElement | null {
  if (id === undefined) return null;
  return document.querySelector<HTMLElement>(`[data-station-id="${CSS.escape(id)}"] .pickrow`);
}

/** ↑ and ↓ go from row to row, Enter opens, A answers; / searches from anywhere on the page. */
function onRowKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const row = (event.target as Element).closest<HTMLElement>("[data-station-id]");
  const id = row?.dataset["stationId"];
  if (!id) return;
  const ids = drawn.peek();
  const at = ids.indexOf(id);
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step !== 0) {
    const next = linkOf(ids[at + step]);
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  } else if (event.key === "a" || event.key === "A") {
    answerFor(id);
    event.preventDefault();
  } else if (event.key === "Enter" && event.target === row) navigate(stationHref(id));
}

function useSearchKey() {
  useEffect(() => {
    const search = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if ((event.target as Element).closest?.("input, textarea, select, dialog")) return;
      document.getElementById(SEARCH_ID)?.focus();
      event.preventDefault();
    };
    document.addEventListener("keydown", search);
    return () => document.removeEventListener("keydown", search);
  }, []);
}

function Waiting() {
  const n = waiting.value;
  return (
    <span role="status" class="changes-place">
      {n > 0 && (
        <button
          type="button"
          class="answer changes"
          data-testid="changes"
          title={t.value.situation.changesHint}
          onClick={sortNow}
        >
          {t.value.situation.changes(n)}
        </button>
      )}
    </span>
  );
}

function DatumSwitch() {
  const words = t.value.situation;
  return (
    <Segments
      class="segments datum-table"
      label={words.datum}
      options={["zero", "tp"] as const}
      value={wantedInTable.value}
      text={(kind) => words.datums[kind]}
      name="table-datum"
      set={(kind) => {
        wantedDatum.value = kind;
      }}
    />
  );
}

function Head() {
  const words = t.value;
  return (
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">
          {words.colState}
        </th>
        <th role="columnheader" scope="col">
          {words.colStation}
        </th>
        <th role="columnheader" scope="col" class="num">
          {words.colLevel}{" "}
          <small>
            {words.unitM}・{words.situation.datums[wantedInTable.value]}
          </small>
        </th>
        <th role="columnheader" scope="col" class="num">
          {words.colTrend} <small>{words.unitCm10}</small>
        </th>
        <th role="columnheader" scope="col" class="c-spark">
          {words.situation.colSpark}
        </th>
        <th role="columnheader" scope="col">
          {words.colNext}
        </th>
        <th role="columnheader" scope="col" class="num">
          {words.colFreeboard} <small>{words.unitM}</small>
        </th>
        <th role="columnheader" scope="col" class="num">
          {words.colAge}
        </th>
        <th role="columnheader" scope="col" class="c-answer">
          <span class="sr">{words.situation.colAnswer}</span>
        </th>
      </tr>
    </thead>
  );
}

export function LevelTable() {
  const words = t.value;
  const ids = drawn.value;
  const known = stationLevels.value;
  const focused = useKeptFocus(ids);
  useEffect(keepSparks, []);
  useSearchKey();
  // Another question begins at its top.
  useSignalEffect(() => {
    filter.value;
    most.value = ROWS_AT_A_TIME;
  });
  const touch = () => {
    touchedMs.value = performance.now();
  };
  const leave = (event: { currentTarget: EventTarget | null }) => {
    const table = event.currentTarget;
    if (table instanceof HTMLElement && (table.matches(":hover") || table.contains(document.activeElement)))
      return;
    touchedMs.value = null;
  };
  return (
    <section class="panel panel-table" id="levels" aria-labelledby="levels-title" tabIndex={-1}>
      <div class="panel-head">
        <h2 id="levels-title">{words.table}</h2>
        <Filters />
        <DatumSwitch />
      </div>
      <HiddenUnanswered />
      <div class="scroll">
        <table
          class="levels"
          role="table"
          aria-labelledby="levels-title"
          aria-describedby="levels-keys"
          aria-rowcount={shownIds.value.length + 1}
          onPointerMove={touch}
          onPointerDown={touch}
          onKeyDown={(event) => {
            touch();
            onRowKey(event);
          }}
          onPointerLeave={leave}
          onFocusIn={(event) => {
            focused.current = event.target as HTMLElement;
            touch();
          }}
          onFocusOut={(event) => {
            if (!event.currentTarget.contains(event.relatedTarget as Node | null)) leave(event);
          }}
        >
          <Head />
          <tbody role="rowgroup">
            {ids.map((id) => {
              const station = known.get(id);
              return station ? <LevelRow key={id} station={station} /> : null;
            })}
          </tbody>
        </table>
        {ids.length === 0 && (
          <p class="empty">
            {levels.value === null
              ? words.loading
              : levels.value.stations.length === 0
                ? words.noStations
                : words.situation.noneFits}
          </p>
        )}
        <End />
        <Waiting />
      </div>
      <p class="keys">
        <span>{words.basisNote}</span>
        <span id="levels-keys">{words.situation.keys}</span>
      </p>
    </section>
  );
}
