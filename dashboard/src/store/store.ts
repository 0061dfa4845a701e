/** The one store: everything the page shows hangs on these signals; only `session.ts` and the views write. */
import { computed, effect, signal } from "@preact/signals";
import type { FloodLevel, GeoCollection, LevelsLatest, Site, Station, StreamReading } from "../api/types";
import { type ClockSync, clockError, serverNow } from "../domain/clock";
import { connection, type Link } from "../domain/connection";
import { USUAL } from "../domain/levels";
import type { Catalogue, Lang } from "../i18n";
import { type Live, START } from "./live";

export type Range = "m30" | "h3" | "h24" | "d7";
export type Theme = "dark" | "light";

export function remembered<T extends string>(key: string, allowed: readonly T[], otherwise: T) {
  let start = otherwise;
  try {
    const found = localStorage.getItem(key);
    if (allowed.includes(found as T)) start = found as T;
  } catch {
    // Storage may be forbidden on a locked-down terminal; the page then forgets, and works.
  }
  const value = signal<T>(start);
  effect(() => {
    const keep = value.value;
    try {
      localStorage.setItem(key, keep);
    } catch {
      // As above.
    }
  });
  return value;
}

export const wantedLang = remembered<Lang>("kawamori.lang", ["ja", "en"], "ja");
const askedLang = new URLSearchParams(location.search).get("lang");
if (askedLang === "ja" || askedLang === "en") wantedLang.value = askedLang;
/** The language on screen and its words, as soon as they are loaded: only `ui/language.ts` writes it. */
export const spoken = signal<{ readonly lang: Lang; readonly words: Catalogue } | null>(null);
export const lang = computed(() => spoken.value?.lang ?? wantedLang.value);
export const theme = remembered<Theme>("kawamori.theme", ["dark", "light"], "dark");
/** `auto`: nobody has chosen a range on this screen yet. */
const chosenRange = remembered<Range | "auto">("kawamori.range", ["auto", "m30", "h3", "h24", "d7"], "auto");
/** Nothing is drawn before the first catalogue is there. */
export const t = computed(() => {
  if (spoken.value === null) throw new Error("no catalogue is loaded yet");
  return spoken.value.words;
});

export const site = signal<Site | null>(null);
/** Names and colours of the flood levels in force, by their number. */
export const levelTable = signal<readonly FloodLevel[]>(USUAL);
export const levels = signal<LevelsLatest | null>(null);
/** What is shown is what this device knew before it was switched on. */
export const recalled = signal(false);
export const stations = signal<ReadonlyMap<string, Station>>(new Map());
export const geo = signal<GeoCollection | null>(null);
export const live = signal<Live>(START);
/** Every word of the stream makes a new `live`; these change only when they do. */
export const alerts = computed(() => live.value.alerts);
/** Before the first answer nobody may read "none" anywhere. */
export const alertsKnown = computed(() => live.value.fetched);
export const heartbeat = computed(() => live.value.heartbeat);

/** Sensors that report as often as this tell of a river that goes faster than water does. */
export const QUICK_S = 5;

/** Where sensors report every few seconds (a drill at many times its pace), three hours would squeeze all into one line. */
const quick = computed(() => {
  const every = [...stations.value.values()].flatMap((s) =>
    s.sensors.map((sensor) => sensor.report_every_s ?? Number.POSITIVE_INFINITY),
  );
  return every.length > 0 && Math.max(...every) <= QUICK_S;
});
export const range = computed<Range>(() =>
  chosenRange.value === "auto" ? (quick.value ? "m30" : "h3") : chosenRange.value,
);
export const chooseRange = (wanted: Range) => {
  chosenRange.value = wanted;
};

/** The station whose hydrograph is shown: the chosen one, else the most dangerous. */
export const chosen = signal<string | null>(null);
/** Station ids in the order of the table. */
export const order = signal<readonly string[]>([]);
export const selected = computed(() => chosen.value ?? order.value[0] ?? null);

/** Counts up when the history on screen must be fetched again. */
export const historyTurn = signal(0);
/** The last readings heard on the stream, for the chart. */
export const fromStream = signal<readonly StreamReading[]>([]);

export const clockSync = signal<ClockSync | null>(null);
export const link = signal<Link>({ startedMs: performance.now(), heardMs: null, broken: false });
/** Ticks once a second; whatever shows an age reads it. */
export const tick = signal({ browserMs: Date.now(), steadyMs: performance.now() });

/** The server's time, to the second of the last tick. What is recalled makes nobody younger whose clock is slow. */
export const now = computed(() => {
  const told = serverNow(clockSync.value, tick.value.browserMs, tick.value.steadyMs);
  return recalled.value ? Math.max(told, Date.parse(levels.value?.as_of ?? "") || told) : told;
});
export const clockOff = computed(() => clockError(clockSync.value));
export const connected = computed(() => connection(link.value, tick.value.steadyMs));
export const lost = computed(() => connected.value === "lost" || recalled.value);

/** How many stations are quiet because of us, and whether we are behind at all. */
export const quietByUs = computed(
  () => (levels.value?.stations ?? []).filter((s) => s.silence === "server").length,
);
export const serverBehind = computed(() => levels.value?.server_behind === true || quietByUs.value > 0);

export const stationLevels = computed(
  () => new Map((levels.value?.stations ?? []).map((s) => [s.station_id, s])),
);
