/** The chosen station's readings: fetched by range, then fed by the stream. */
import { effect, signal, untracked } from "@preact/signals";
import { getReadings } from "../api/client";
import type { Readings, Resolution } from "../api/types";
import { fromStream, historyTurn, now, type Range, range, selected, stations, tick } from "../store/store";
import { type Mark, merge, STEP_S, toMark } from "./series";

export const SPAN_S: Record<Range, number> = { m30: 1_800, h3: 10_800, h24: 86_400, d7: 604_800 };

export interface History {
  readonly station: string;
  readonly range: Range;
  readonly state: "loading" | "ready" | "failed";
  readonly resolution: Resolution;
  readonly level: readonly Mark[];
  readonly rain: readonly Mark[];
}

export const history = signal<History | null>(null);

/** Summaries grow at the server; fetch them anew now and then. */
const REFRESH_MS = 5 * 60_000;
const RETRY_MS = 10_000;

let asked: AbortController | null = null;
let askedMs = 0;

async function load(station: string, span: Range): Promise<void> {
  asked?.abort();
  const mine = new AbortController();
  asked = mine;
  askedMs = performance.now();
  const toMs = now.peek();
  const fromMs = toMs - SPAN_S[span] * 1000;
  // A minute ahead: the newest reading may bear a time just after our idea of now.
  const read = (quantity: string, resolution: "auto" | Resolution) =>
    getReadings(station, quantity, fromMs, toMs + 60_000, resolution, mine.signal);
  const same = history.peek()?.station === station && history.peek()?.range === span;
  if (!same)
    history.value = { station, range: span, state: "loading", resolution: "raw", level: [], rain: [] };
  try {
    const level = await read("water_level", "auto");
    const hasRain = stations
      .peek()
      .get(station)
      ?.sensors.some((s) => s.quantity === "rainfall");
    const rain = hasRain ? await read("rainfall", level.resolution).catch(() => null) : null;
    if (mine.signal.aborted) return;
    const marks = (r: Readings) =>
      r.points.map((p) => toMark(p, STEP_S[r.resolution], toMs / 1000)).sort((a, b) => a.at - b.at);
    history.value = {
      station,
      range: span,
      state: "ready",
      resolution: level.resolution,
      level: marks(level),
      rain: rain ? marks(rain) : [],
    };
  } catch {
    if (mine.signal.aborted) return;
    const kept = history.peek();
    if (kept) history.value = { ...kept, state: kept.level.length > 0 ? "ready" : "failed" };
    askedMs = performance.now() - REFRESH_MS + RETRY_MS;
  }
}

export function keepHistory(): () => void {
  const stops = [
    effect(() => {
      const station = selected.value;
      const span = range.value;
      historyTurn.value;
      // Registration tells whether there is rain to fetch.
      stations.value;
      if (station !== null) untracked(() => void load(station, span));
    }),
    effect(() => {
      const heard = fromStream.value;
      untracked(() => {
        const shown = history.value;
        if (!shown) return;
        const mine = heard.filter((r) => r.station_id === shown.station);
        const level = mine.filter((r) => r.quantity === "water_level");
        const rain = mine.filter((r) => r.quantity === "rainfall" && shown.resolution === "raw");
        if (level.length === 0 && rain.length === 0) return;
        history.value = { ...shown, level: merge(shown.level, level), rain: merge(shown.rain, rain) };
      });
    }),
    effect(() => {
      const due = tick.value.steadyMs - askedMs > REFRESH_MS;
      const station = selected.peek();
      if (due && station !== null) untracked(() => void load(station, range.peek()));
    }),
  ];
  return () => {
    asked?.abort();
    for (const stop of stops) stop();
  };
}
