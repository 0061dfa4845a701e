/** What the station view shows: which station and stretch the address names, and what was fetched for it. */
import { computed, effect, type Signal, signal, untracked } from "@preact/signals";
import { getDevices, getStation, getStationAlerts } from "../api/client";
import type { Alert, Device, Station } from "../api/types";
import { type Asked, type Kept, keepHistory } from "../chart/history";
import { inside, marksOf, pictureOf, steadyNow } from "../chart/picture";
import { type Mark, onDatum } from "../chart/series";
import { nameOf, parseSpan, type Span, spanQuery, windowOf } from "../domain/span";
import { datumFor } from "../store/datum";
import { alerts as liveAlerts, now, QUICK_S, stationLevels, stations, tick } from "../store/store";
import { query, route, setQuery } from "../ui/route";

export const id = computed(() => (route.value.view === "station" ? route.value.id : ""));
export const registered = computed(() => stations.value.get(id.value));
export const level = computed(() => stationLevels.value.get(id.value));
export const name = computed(() => (level.value ?? registered.value)?.name ?? { ja: id.value, en: id.value });

const everyS = computed(
  () => registered.value?.sensors.find((s) => s.quantity === "water_level")?.report_every_s ?? 600,
);
/** A day would squeeze all into one line. */
export const isQuick = computed(() => everyS.value <= QUICK_S);
const askedKey = computed(() => {
  const span = parseSpan(query.value, isQuick.value ? "m30" : "h24");
  return JSON.stringify({
    station: id.value,
    span,
    all: query.value.get("points") === "all",
  } satisfies Asked);
});
/** An equal address asks for nothing anew. */
export const asked = computed<Asked>(() => JSON.parse(askedKey.value));
export const span = computed(() => asked.value.span);

/** Stretches that were looked at before zooming in. */
export const before = signal<readonly Span[]>([]);

export function show(next: Span, closer = false): void {
  if (closer) before.value = [...before.peek(), span.peek()];
  else if (nameOf(next) !== null) before.value = [];
  setQuery(spanQuery(next));
}

export function stepBack(): void {
  const last = before.peek().at(-1);
  if (!last) return;
  before.value = before.peek().slice(0, -1);
  setQuery(spanQuery(last));
}

/** With the zeros of former times, which only the answer for one station has. */
export const datum = computed(() => datumFor(detail.value.value ?? registered.value));

export const kept = signal<Kept | null>(null);
export const history = computed(() => kept.value?.history.value ?? null);
export const nowS = computed(() => steadyNow(span.value));
export const marks = computed<readonly Mark[]>(() =>
  history.value ? onDatum(marksOf(history.value), datum.value) : [],
);
export const shown = computed(() => inside(marks.value, windowOf(span.value, nowS.value)));
export const picture = computed(
  () => history.value && pictureOf(history.value, marks.value, datum.value, nowS.value),
);
/** The point that a pointer or the keys are at. */
export const pointed = signal<number | null>(null);

export interface Fetched<T> {
  readonly value: T | null;
  readonly failed: boolean;
}

/** With its cross-section, which the list of stations leaves out. */
export const detail = signal<Fetched<Station>>({ value: null, failed: false });
export const devices = signal<Fetched<readonly Device[]>>({ value: null, failed: false });
const olderAlerts = signal<readonly Alert[]>([]);
/** undefined: not asked yet; null: no more. */
export const alertsNext = signal<string | null | undefined>(undefined);
export const alertsFailed = signal(false);

/** Newest first; what the stream has said of the same one is newer. */
export const alerts = computed(() => {
  const byId = new Map(olderAlerts.value.map((a) => [a.id, a]));
  for (const alert of liveAlerts.value) if (alert.station_id === id.value) byId.set(alert.id, alert);
  return [...byId.values()].sort(
    (a, b) => Date.parse(b.started_at) - Date.parse(a.started_at) || b.id - a.id,
  );
});

export async function readAlerts(): Promise<void> {
  const station = id.peek();
  try {
    const page = await getStationAlerts(station, alertsNext.peek() ?? null);
    if (id.peek() !== station) return;
    olderAlerts.value = [...olderAlerts.peek(), ...page.alerts];
    alertsNext.value = page.next;
    alertsFailed.value = false;
  } catch {
    if (id.peek() === station) alertsFailed.value = true;
  }
}

async function keepFetched<T>(into: Signal<Fetched<T>>, fetched: Promise<T>, isOurs: () => boolean) {
  try {
    const value = await fetched;
    if (isOurs()) into.value = { value, failed: false };
  } catch {
    // What was known stays: facts of the registry do not age, and each status bears its time.
    if (isOurs()) into.value = { value: into.peek().value, failed: true };
  }
}

const DEVICES_EVERY_MS = 60_000;
const RETRY_MS = 10_000;

/** Keeps what the view shows true while it is open. */
export function keepStation(): () => void {
  const mine = id.peek();
  const isOurs = () => id.peek() === mine;
  let devicesMs = Number.NEGATIVE_INFINITY;
  let detailMs = Number.NEGATIVE_INFINITY;
  before.value = [];
  pointed.value = null;
  detail.value = { value: null, failed: false };
  devices.value = { value: null, failed: false };
  olderAlerts.value = [];
  alertsNext.value = undefined;
  kept.value = keepHistory(computed(() => (asked.value.station === mine ? asked.value : null)));
  const stops = [
    effect(() => {
      stations.value;
      detailMs = performance.now();
      untracked(() => void keepFetched(detail, getStation(mine), isOurs));
    }),
    effect(() => {
      const { steadyMs } = tick.value;
      untracked(() => {
        if (detail.value.failed && steadyMs - detailMs > RETRY_MS) {
          detailMs = steadyMs;
          void keepFetched(detail, getStation(mine), isOurs);
        }
        if (steadyMs - devicesMs < (devices.value.failed ? RETRY_MS : DEVICES_EVERY_MS)) return;
        devicesMs = steadyMs;
        void keepFetched(devices, getDevices(mine), isOurs);
      });
    }),
  ];
  void readAlerts();
  return () => {
    kept.peek()?.stop();
    kept.value = null;
    for (const stop of stops) stop();
  };
}

export const isNarrowed = computed(() => before.value.length > 0);
export const siteNow = () => now.peek() / 1000;
