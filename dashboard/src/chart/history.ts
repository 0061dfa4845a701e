/** One station's readings over a stretch of time: fetched, then fed by the stream while the stretch reaches now. */
import { effect, type ReadonlySignal, type Signal, signal, untracked } from "@preact/signals";
import { getReadings } from "../api/client";
import type { Readings, Resolution } from "../api/types";
import { type Span, windowOf } from "../domain/span";
import { fromStream, historyTurn, now, stations, tick } from "../store/store";
import { type Mark, merge, STEP_S, toMark } from "./series";

export interface Asked {
  readonly station: string;
  readonly span: Span;
  /** Every single reading, where they are not too many to draw; else what fits a chart. */
  readonly all: boolean;
}

export interface History {
  readonly asked: Asked;
  readonly state: "loading" | "ready" | "failed";
  readonly resolution: Resolution;
  readonly level: readonly Mark[];
  readonly rain: readonly Mark[];
  /** There is a gauge: without a report nothing is known of the rain, which is not the same as none. */
  readonly hasRain: boolean;
  /** There is a gauge, and its rain could not be had: no bars are no dry weather. */
  readonly rainLost: boolean;
  /** There were more single readings than can be drawn, so this is a summary after all. */
  readonly tooMany: boolean;
}

/** Summaries grow at the server; fetch them anew now and then. */
const REFRESH_MS = 5 * 60_000;
const RETRY_MS = 10_000;
/** Readings from before the newest known came in: what else came with them is at the server. */
const BACKLOG_MS = 5_000;

export interface Kept {
  readonly history: ReadonlySignal<History | null>;
  readonly stop: () => void;
}

export function keepHistory(wanted: ReadonlySignal<Asked | null>): Kept {
  const history = signal<History | null>(null);
  let asking: AbortController | null = null;
  let askedMs = 0;

  async function load(asked: Asked): Promise<void> {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    askedMs = performance.now();
    begin(history, asked);
    try {
      const found = await fetchHistory(asked, now.peek(), mine.signal);
      if (!mine.signal.aborted) history.value = found;
    } catch {
      if (mine.signal.aborted) return;
      const kept = history.peek();
      // A refresh that fails leaves what was there: the banner tells of the server. Another stretch must not look empty.
      if (kept) history.value = { ...kept, state: kept.state === "ready" ? "ready" : "failed" };
      askedMs = performance.now() - REFRESH_MS + RETRY_MS;
    }
  }

  const stops = [
    effect(() => {
      const asked = wanted.value;
      historyTurn.value;
      // Registration tells whether there is rain to fetch.
      stations.value;
      if (asked !== null) untracked(() => void load(asked));
    }),
    effect(() => {
      const heard = fromStream.value;
      untracked(() => {
        const shown = history.value;
        if (shown?.asked.span.endS !== null) return;
        const mine = heard.filter((r) => r.station_id === shown.asked.station);
        const level = mine.filter((r) => r.quantity === "water_level");
        const rain = mine.filter((r) => r.quantity === "rainfall" && shown.resolution === "raw");
        if (level.length === 0 && rain.length === 0) return;
        const newest = shown.level.at(-1)?.at ?? 0;
        if (level.some((r) => Date.parse(r.time) / 1000 < newest))
          askedMs = Math.min(askedMs, performance.now() - REFRESH_MS + BACKLOG_MS);
        history.value = { ...shown, level: merge(shown.level, level), rain: merge(shown.rain, rain) };
      });
    }),
    effect(() => {
      const due = tick.value.steadyMs - askedMs > REFRESH_MS;
      const asked = wanted.peek();
      const moves = asked?.span.endS === null || history.peek()?.state === "failed";
      if (due && asked !== null && moves) untracked(() => void load(asked));
    }),
  ];
  return {
    history,
    stop: () => {
      asking?.abort();
      for (const stop of stops) stop();
    },
  };
}

/** Nothing of another station stays on the screen; of the same one what is known stands until the answer comes. */
function begin(history: Signal<History | null>, asked: Asked): void {
  const before = history.peek();
  if (before?.asked === asked) return;
  history.value =
    before?.asked.station === asked.station
      ? { ...before, asked, state: "loading" }
      : {
          asked,
          state: "loading",
          resolution: "raw",
          level: [],
          rain: [],
          hasRain: false,
          rainLost: false,
          tooMany: false,
        };
}

async function fetchHistory(asked: Asked, nowMs: number, stop: AbortSignal): Promise<History> {
  const [from, to] = windowOf(asked.span, nowMs / 1000);
  // A minute ahead of now: the newest reading may bear a time just after our idea of it.
  const end = (asked.span.endS === null ? to + 60 : to) * 1000;
  const read = (quantity: string, resolution: "auto" | Resolution) =>
    getReadings(asked.station, quantity, from * 1000, end, resolution, stop);
  let level = await read("water_level", asked.all ? "raw" : "auto");
  const tooMany = level.next !== null;
  if (tooMany) level = await read("water_level", "auto");
  const sensors = stations.peek().get(asked.station)?.sensors ?? [];
  const everyS = (quantity: string) => sensors.find((s) => s.quantity === quantity)?.report_every_s ?? 0;
  const hasRain = sensors.some((s) => s.quantity === "rainfall");
  const rain = hasRain ? await read("rainfall", level.resolution).catch(() => null) : undefined;
  const marks = (r: Readings) =>
    r.points
      .map((p) => toMark(p, STEP_S[r.resolution], nowMs / 1000, everyS(r.quantity)))
      .sort((a, b) => a.at - b.at);
  return {
    asked,
    state: "ready",
    resolution: level.resolution,
    level: marks(level),
    rain: rain ? marks(rain) : [],
    hasRain,
    rainLost: rain === null,
    tooMany,
  };
}
