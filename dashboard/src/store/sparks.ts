/** The last three hours of every station, small: fetched one after the other, most dangerous first. */
import { effect, signal, untracked } from "@preact/signals";
import { getReadings } from "../api/client";
import { endWith, type Mark, merge, STEP_S, toMark } from "../chart/series";
import { fromStream, now, order, stationLevels } from "./store";

export const SPARK_S = 10_800;
const REFRESH_MS = 10 * 60_000;

export const sparks = signal<ReadonlyMap<string, readonly Mark[]>>(new Map());

async function load(id: string, stop: AbortSignal): Promise<void> {
  const toMs = now.peek();
  const read = await getReadings(id, "water_level", toMs - SPARK_S * 1000, toMs, "10min", stop);
  const marks = read.points.map((p) => toMark(p, STEP_S[read.resolution], toMs / 1000));
  sparks.value = new Map(sparks.peek()).set(id, marks);
}

/** A round that fails midway leaves the lines it has; the next one tries again. */
async function round(stop: AbortSignal): Promise<void> {
  for (const id of order.peek()) {
    if (stop.aborted) return;
    await load(id, stop).catch(() => undefined);
  }
}

export function keepSparks(): () => void {
  const stop = new AbortController();
  let started = false;
  const stops = [
    effect(() => {
      if (started || order.value.length === 0) return;
      started = true;
      void round(stop.signal);
    }),
    effect(() => {
      const heard = fromStream.value.filter((r) => r.quantity === "water_level");
      untracked(() => {
        const next = new Map(sparks.value);
        for (const reading of heard) {
          const marks = next.get(reading.station_id);
          const newest = marks?.at(-1);
          if (!marks || !newest) continue;
          // One point a minute is all that 72 pixels can show.
          const soon = Date.parse(reading.time) / 1000 - newest.at < 60;
          next.set(reading.station_id, merge(soon ? marks.slice(0, -1) : marks, [reading]));
        }
        sparks.value = next;
      });
    }),
  ];
  const timer = setInterval(() => void round(stop.signal), REFRESH_MS);
  return () => {
    clearInterval(timer);
    stop.abort();
    for (const end of stops) end();
  };
}

/** What a row draws: its history, ended by the number the row itself shows. */
export function sparkMarks(id: string): readonly Mark[] {
  const past = sparks.value.get(id);
  if (!past) return [];
  const newest = stationLevels.value.get(id);
  if (!newest?.observed_at) return past;
  const { level_m: value, observed_at: time, flag } = newest;
  return endWith(past, { station_id: id, quantity: "water_level", time, value, flag });
}
