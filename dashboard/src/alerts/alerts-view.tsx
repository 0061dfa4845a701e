/** Every alert: what happened, who answered, what is still open. */
import { computed, signal, useComputed, useSignal } from "@preact/signals";
import { getOlderAlerts } from "../api/client";
import type { Alert } from "../api/types";
import { type AlertFilter, byUrgency, isShown, isUnanswered, matches, type Show } from "../domain/alerts";
import { alerts, alertsKnown, stationLevels, stations, t } from "../store/store";
import { placeName } from "../ui/alert-words";
import { query, setQuery } from "../ui/route";
import { Segments } from "../ui/segments";
import { ActingAs } from "./acting-as";
import { AlertRow } from "./alert-row";

const SHOWS: readonly Show[] = ["open", "ongoing", "all"];

const filter = computed<AlertFilter>(() => {
  const asked = query.value.get("show");
  return {
    show: SHOWS.includes(asked as Show) ? (asked as Show) : "all",
    least: Math.max(0, Math.min(5, Number(query.value.get("level")) || 0)),
    text: query.value.get("q") ?? "",
  };
});

/** Pages that somebody asked for. What the stream says of the same alert is newer. */
const older = signal<readonly Alert[]>([]);
const cursor = signal<string | null | undefined>(undefined);

const known = computed(() => {
  const byId = new Map(older.value.map((a) => [a.id, a]));
  for (const alert of alerts.value) byId.set(alert.id, alert);
  return [...byId.values()].filter(isShown).sort(byUrgency);
});

function namesOf(alert: Alert): readonly string[] {
  const station = alert.station_id === null ? undefined : stations.value.get(alert.station_id);
  const level = alert.station_id === null ? undefined : stationLevels.value.get(alert.station_id);
  const found = [station?.name, station?.river.name, level?.name, level?.river_name].flatMap((n) =>
    n ? [n.ja, n.en] : [],
  );
  return [...found, alert.station_id ?? "", placeName(alert)];
}

function Filters() {
  const words = t.value.alertsView;
  const { show, least, text } = filter.value;
  return (
    <div class="filters">
      <Segments
        label={words.show}
        options={SHOWS}
        value={show}
        text={(one) => words.shows[one]}
        name="show"
        set={(one) => setQuery({ show: one === "all" ? null : one })}
      />
      <label class="filter">
        <span>{words.least}</span>
        <select
          value={least === 0 ? "" : String(least)}
          data-testid="least"
          onChange={(event) => setQuery({ level: event.currentTarget.value })}
        >
          <option value="">{words.any}</option>
          {[1, 2, 3, 4, 5].map((n) => (
            <option key={n} value={String(n)}>
              {words.atLeast(n)}
            </option>
          ))}
        </select>
      </label>
      <label class="filter filter-text">
        <span class="sr">{words.search}</span>
        <input
          type="search"
          value={text}
          placeholder={words.search}
          data-testid="alert-search"
          onInput={(event) => setQuery({ q: event.currentTarget.value })}
        />
      </label>
    </div>
  );
}

function Older() {
  const words = t.value.alertsView;
  const busy = useSignal(false);
  const failed = useSignal(false);
  if (cursor.value === null) return <p class="empty">{words.olderNone}</p>;
  const more = async () => {
    if (busy.peek()) return;
    busy.value = true;
    failed.value = false;
    try {
      const page = await getOlderAlerts(cursor.peek() ?? null, 0);
      older.value = [...older.peek(), ...page.alerts];
      cursor.value = page.next;
    } catch {
      failed.value = true;
    } finally {
      busy.value = false;
    }
  };
  return (
    <p class="more">
      <button
        type="button"
        class="answer"
        data-testid="older"
        aria-disabled={busy}
        onClick={() => void more()}
      >
        {busy.value ? t.value.loading : words.older}
      </button>
      {failed.value && (
        <span class="wrong" role="alert">
          {words.olderFailed}
        </span>
      )}
    </p>
  );
}

/** Hundreds of rows at once would hold the page up; the most urgent stand first. */
const ROWS_AT_A_TIME = 200;

/** The station's chronology leaves the page: it is a document of its own. */
const CHRONOLOGY = "/api/v1/chronology";

export function AlertsView() {
  const words = t.value;
  const shown = useComputed(() => known.value.filter((a) => matches(a, filter.value, namesOf(a)))).value;
  const most = useSignal(ROWS_AT_A_TIME);
  const hidden = known.value.filter((a) => isUnanswered(a) && !shown.includes(a)).length;
  return (
    <main class="view view-alerts" id="view" tabIndex={-1} data-testid="alerts-view">
      <section class="panel" id="alerts" aria-labelledby="alerts-title" tabIndex={-1}>
        <div class="panel-head">
          <h2 id="alerts-title">{words.alerts}</h2>
          <ActingAs />
          <a class="button-link" href={`${CHRONOLOGY}?format=html`} target="_blank" rel="noreferrer">
            {words.alertsView.print}
          </a>
          <a class="button-link" href={`${CHRONOLOGY}?format=csv`} download>
            {words.alertsView.csv}
          </a>
        </div>
        <Filters />
        {hidden > 0 && (
          <p class="hidden-open" role="status" data-testid="hidden-open">
            {words.alertsView.hiddenOpen(hidden)}
            <button
              type="button"
              class="answer"
              onClick={() => setQuery({ show: "open", level: null, q: null })}
            >
              {words.alertsView.showThem}
            </button>
          </p>
        )}
        {shown.length === 0 ? (
          <p class="empty">
            {!alertsKnown.value
              ? words.loading
              : known.value.length === 0
                ? words.alertsNone
                : words.alertsView.none}
          </p>
        ) : (
          <ol class="alerts" data-testid="alert-list">
            {shown.slice(0, most.value).map((alert) => (
              <AlertRow key={alert.id} alert={alert} />
            ))}
          </ol>
        )}
        {shown.length > most.value && (
          <p class="more">
            <button type="button" class="answer" onClick={() => (most.value += ROWS_AT_A_TIME)}>
              {words.alertsMore(shown.length - most.value)}
            </button>
          </p>
        )}
        <Older />
      </section>
    </main>
  );
}
