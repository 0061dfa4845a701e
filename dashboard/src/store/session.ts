/** Keeps the store true: fetches, listens, ticks. Started once by `main.tsx`. */
import { batch } from "@preact/signals";
import { ApiError, getAlerts, getGeo, getLevels, getLevelTable, getSite, getStations } from "../api/client";
import { Stream, type StreamMessage } from "../api/stream";
import type { LevelsLatest } from "../api/types";
import { sync } from "../domain/clock";
import { levelTable } from "../domain/levels";
import { fetched, step, unshelved, withRows, withSince } from "./live";
import { keepSnapshot, lastSnapshot } from "./snapshot";
import * as store from "./store";

/** Registrations come in bursts: one request for the levels. */
const LEVELS_AT_MOST_EVERY_MS = 1_000;
/** On a thin line the next large answer waits so many times as long as the last ones took: others need the line too. */
const REST_TIMES = 3;
/** An answer of fewer stations than this is small. */
const FEW = 60;
/** The stream brings every row that changes; all of them are asked for anyway now and then. So are the alerts. */
const LEVELS_AT_LEAST_EVERY_MS = 60_000;
const ALERTS_AT_LEAST_EVERY_MS = 60_000;
const LONGEST_REST_MS = 30_000;
const RETRY_AFTER_MS = 3_000;

const SNAPSHOT_EVERY_MS = 30_000;

let levelsTimer: ReturnType<typeof setTimeout> | undefined;
let levelsAskedMs = Number.NEGATIVE_INFINITY;
/** The last two answers: a slow one alone is a server that stood still, and no reason to wait with the next. */
let tookMs: readonly [number, number] = [Number.POSITIVE_INFINITY, 0];
/** What the stream has brought while an answer with all rows is on its way. */
let broughtMeanwhile: LevelsLatest[] = [];
let levelsBusy = false;
let levelsAgain = false;
let levelsFailed = false;

function updateLink(): void {
  const { broken, heardMs } = store.live.value;
  store.link.value = { ...store.link.peek(), heardMs, broken: broken || levelsFailed };
}

async function fetchLevels(): Promise<void> {
  if (levelsBusy) {
    levelsAgain = true;
    return;
  }
  levelsBusy = true;
  levelsAskedMs = performance.now();
  broughtMeanwhile = [];
  try {
    const answer = await getLevels();
    const steadyMs = performance.now();
    tookMs = [steadyMs - levelsAskedMs, tookMs[0]];
    batch(() => {
      store.clockSync.value = sync(answer.as_of, steadyMs - levelsAskedMs, Date.now(), steadyMs);
      store.levels.value = withSince(answer, broughtMeanwhile);
      store.recalled.value = false;
      levelsFailed = false;
      updateLink();
      beat();
    });
  } catch {
    levelsFailed = true;
    updateLink();
    setTimeout(wantLevels, RETRY_AFTER_MS);
    void recall();
  } finally {
    levelsBusy = false;
    broughtMeanwhile = [];
  }
  if (levelsAgain) {
    levelsAgain = false;
    wantLevels();
  }
}

function wantLevels(): void {
  if (levelsTimer !== undefined) return;
  const large = (store.levels.peek()?.stations.length ?? 0) > FEW;
  const rested = Math.min((1 + REST_TIMES) * Math.min(...tookMs), LONGEST_REST_MS);
  const least = Math.max(LEVELS_AT_MOST_EVERY_MS, large ? rested : 0);
  const wait = levelsAskedMs + least - performance.now();
  levelsTimer = setTimeout(
    () => {
      levelsTimer = undefined;
      void fetchLevels();
    },
    Math.max(0, wait),
  );
}

type Task = () => Promise<void>;
/** What is being fetched; asked for once more meanwhile, the answer under way may be older than what was asked after. */
const underWay = new Map<Task, () => void>();

/** Repeats `task` until it succeeds, once at a time; a 404 is final (an older server without that page). */
async function untilDone(task: Task): Promise<void> {
  const again = underWay.get(task);
  if (again) return again();
  let wanted = true;
  let hurry = () => {};
  underWay.set(task, () => {
    wanted = true;
    hurry();
  });
  for (let wait = RETRY_AFTER_MS; wanted; ) {
    wanted = false;
    try {
      await task();
    } catch (error) {
      if (wanted || (error instanceof ApiError && error.status === 404)) continue;
      wanted = true;
      await new Promise<void>((resume) => {
        const timer = setTimeout(resume, wait);
        hurry = () => {
          clearTimeout(timer);
          wait = RETRY_AFTER_MS;
          resume();
        };
      });
      wait = Math.min(wait * 2, 60_000);
    }
  }
  underWay.delete(task);
}

async function fetchSite(): Promise<void> {
  store.site.value = await getSite();
}

async function fetchLevelTable(): Promise<void> {
  store.levelTable.value = levelTable(await getLevelTable());
}

async function fetchStations(): Promise<void> {
  const list = await getStations();
  store.stations.value = new Map(list.map((s) => [s.station_id, s]));
}

async function fetchGeo(): Promise<void> {
  store.geo.value = await getGeo();
}

let alertsAskedMs = Number.NEGATIVE_INFINITY;

async function fetchAlerts(): Promise<void> {
  alertsAskedMs = performance.now();
  const asked = store.live.peek().alerts;
  const answer = await getAlerts();
  store.live.value = fetched(store.live.peek(), asked, answer);
}

function heard(message: StreamMessage): void {
  const [next, wanted] = step(store.live.peek(), message, performance.now());
  batch(() => {
    store.live.value = next;
    updateLink();
    if (message.kind === "open" || message.kind === "error") beat();
    if (wanted.readings.length > 0) store.fromStream.value = wanted.readings;
    if (wanted.history) store.historyTurn.value++;
    // What is recalled is of another day: a few rows of now among it would look like all of them.
    if (wanted.rows && !store.recalled.peek())
      store.levels.value = withRows(store.levels.peek(), wanted.rows);
  });
  if (wanted.rows && levelsBusy) broughtMeanwhile.push(wanted.rows);
  if (wanted.levels) wantLevels();
  if (wanted.alerts) {
    void untilDone(fetchAlerts);
    void untilDone(fetchSite);
  }
  if (wanted.stations || message.kind === "open") void untilDone(fetchLevelTable);
  if (wanted.stations) {
    void untilDone(fetchStations);
    void untilDone(fetchGeo);
  }
}

let keptMs = Number.NEGATIVE_INFINITY;

function remember(): void {
  const levels = store.levels.peek();
  if (levels === null || store.lost.peek() || performance.now() - keptMs < SNAPSHOT_EVERY_MS) return;
  keptMs = performance.now();
  const { site, stations, geo } = store;
  void keepSnapshot({ site: site.peek(), levels, stations: [...stations.peek().values()], geo: geo.peek() });
}

/** Shown until the server speaks; every age on it counts on, and the banner says that it is old. */
async function recall(): Promise<void> {
  const last = await lastSnapshot();
  if (last === null || store.levels.peek() !== null) return;
  batch(() => {
    store.levels.value = last.levels;
    store.recalled.value = true;
    store.site.value ??= last.site;
    store.geo.value ??= last.geo;
    if (store.stations.peek().size === 0)
      store.stations.value = new Map(last.stations.map((s) => [s.station_id, s]));
  });
}

function beat(): void {
  store.tick.value = { browserMs: Date.now(), steadyMs: performance.now() };
}

export function startSession(): void {
  const stream = new Stream("/api/v1/stream", heard);
  void untilDone(fetchSite);
  void untilDone(fetchLevelTable);
  void untilDone(fetchStations);
  void untilDone(fetchGeo);
  void fetchLevels();
  void untilDone(fetchAlerts);
  stream.open();

  let silentSinceMs = performance.now();
  setInterval(() => {
    const before = store.connected.peek();
    beat();
    const { steadyMs } = store.tick.peek();
    remember();
    store.live.value = unshelved(store.live.peek(), store.now.peek());
    if (steadyMs - alertsAskedMs > ALERTS_AT_LEAST_EVERY_MS) void untilDone(fetchAlerts);
    if (steadyMs - levelsAskedMs > LEVELS_AT_LEAST_EVERY_MS) wantLevels();
    // Half-open connections never raise an error, and the browser may dial in vain: hang up, and dial again.
    if (store.connected.peek() !== "lost") silentSinceMs = steadyMs;
    else if (before === "lost" && steadyMs - silentSinceMs > 5_000) {
      silentSinceMs = steadyMs;
      stream.replace();
    }
  }, 1000);

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    beat();
    wantLevels();
  });
}
