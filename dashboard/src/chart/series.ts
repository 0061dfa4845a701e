/** From the API's points to what the plot draws. Pure; nothing here ever fills a gap with a guess. */
import type { Flag, Point, Resolution, StreamReading } from "../api/types";
import { type Datum, offsetAt } from "../domain/datum";

/** One point on the chart. A summary has a lowest and highest; a single reading has its flag. */
export interface Mark {
  /** Where it is drawn, in seconds since 1970: a reading at its time, a summary in the middle of its bucket. */
  readonly at: number;
  /** The time it is called by: a summary's is the start of its bucket. */
  readonly from: number;
  readonly value: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly flag: Flag | null;
  /** Readings summarised; 1 for a single one. */
  readonly n: number;
  /** Of a summary of amounts: what fell in it. */
  readonly sum?: number | undefined;
  /** Of a summary: readings are missing in it. */
  readonly incomplete?: boolean;
  /** Arrived long after it was measured: people could not see it then. */
  readonly late: boolean;
}

/**
 * `stepS` is the bucket's length, 0 for single readings; an open bucket ends now. `everyS`: how often the sensor reports,
 * for a server that does not say whether a summary is complete.
 */
export function toMark(point: Point, stepS = 0, nowS = Number.POSITIVE_INFINITY, everyS = 0): Mark {
  const from = Date.parse(point.time) / 1000;
  if ("value" in point)
    return {
      at: from,
      from,
      value: point.flag === 9 ? null : point.value,
      min: null,
      max: null,
      flag: point.flag,
      n: 1,
      late: point.reasons?.includes("late") ?? false,
    };
  const at = from + Math.max(0, Math.min(stepS, nowS - from)) / 2;
  // A bucket that is not over yet lacks nothing that has not been due; two reports may be on their way.
  const due = everyS > 0 ? Math.floor(Math.min(stepS, nowS - from) / everyS) : 0;
  const open = from + stepS > nowS;
  const incomplete = open
    ? point.n < due - 2
    : point.complete === undefined
      ? point.n < due
      : !point.complete;
  return {
    at,
    from,
    value: point.mean,
    min: point.min,
    max: point.max,
    flag: null,
    n: point.n,
    sum: point.sum ?? undefined,
    incomplete,
    late: false,
  };
}

const ofStream = ({ time, value, flag }: StreamReading): Mark => toMark({ time, value, flag });

/** Adds what the stream brought. A reading heard again under its time replaces the old one (correction). */
export function merge(marks: readonly Mark[], readings: readonly StreamReading[]): readonly Mark[] {
  if (readings.length === 0) return marks;
  const newest = marks.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  const only = readings.length === 1 ? readings[0] : undefined;
  // The usual case, and the chart may hold tens of thousands.
  if (only && Date.parse(only.time) / 1000 > newest) return [...marks, ofStream(only)];
  const byTime = new Map(marks.map((m) => [m.at, m]));
  for (const r of readings) {
    const mark = ofStream(r);
    // A summary covers its whole bucket; the single reading at its start must not take its place.
    const there = byTime.get(mark.at);
    if (there && there.min !== null) continue;
    byTime.set(mark.at, mark);
  }
  return [...byTime.values()].sort((a, b) => a.at - b.at);
}

/** Ends the history with the newest reading: a mean must never stand where people look for the level now. */
export function endWith(marks: readonly Mark[], newest: StreamReading): readonly Mark[] {
  const end = Date.parse(newest.time) / 1000;
  const before = marks.map((m) =>
    m.min !== null && m.at >= end && m.from < end ? { ...m, at: (m.from + end) / 2 } : m,
  );
  return merge(before, [newest]);
}

/** The length of a bucket; single readings have none. */
export const STEP_S: Record<Resolution, number> = {
  raw: 0,
  "10min": 600,
  hour: 3_600,
  day: 86_400,
  week: 604_800,
};

/** A silence longer than this, in seconds, is a gap: three missed reports, or one missed summary. */
export function gapSeconds(resolution: Resolution, reportEveryS: number): number {
  return resolution === "raw" ? 3 * reportEveryS : Math.max(1.5 * STEP_S[resolution], 3 * reportEveryS);
}

/** So many intervals on either side tell how often the sensor reports there; of fewer than three nothing is learned. */
const LOOK_ASIDE = 12;
const LEAST_ASIDE = 3;

/**
 * Whether nothing came for too long before the mark `i`. What is too long is what was registered (`gapS`), or three times
 * what is usual around it, where that is longer: a record that is played back may be of a slower logger than the sheet says.
 */
export function isGap(marks: readonly { readonly at: number }[], i: number, gapS: number): boolean {
  const at = (n: number) => marks[n]?.at ?? Number.NaN;
  const silence = at(i) - at(i - 1);
  if (!(silence > gapS)) return false;
  const around: number[] = [];
  for (let n = Math.max(1, i - LOOK_ASIDE); n <= Math.min(marks.length - 1, i + LOOK_ASIDE); n++)
    if (n !== i) around.push(at(n) - at(n - 1));
  if (around.length < LEAST_ASIDE) return true;
  around.sort((a, b) => a - b);
  return silence > 3 * (around[around.length >> 1] as number);
}

/** From when to when, in seconds. */
export type Stretch = readonly [from: number, to: number];

/**
 * When nothing is known of the rain between two times. No report and no rain must not look alike: a report tells of the
 * `everyS` before it, a summary of its bucket of `stepS` (0: single reports).
 */
export function unknownRain(
  rain: readonly Mark[],
  [from, to]: Stretch,
  everyS: number,
  stepS: number,
): readonly Stretch[] {
  const gapS = stepS > 0 ? 1.5 * stepS : 3 * everyS;
  const begin = (m: Mark) => (stepS > 0 ? m.from : m.at - everyS);
  const end = (m: Mark) => (stepS > 0 ? m.from + stepS : m.at);
  const found: Stretch[] = [];
  const add = (a: number, b: number) => {
    const [left, right] = [Math.max(a, from), Math.min(b, to)];
    if (right > left) found.push([left, right]);
  };
  const [first, last] = [rain[0], rain.at(-1)];
  if (!first || !last) return to > from ? [[from, to]] : [];
  if (begin(first) - from > gapS) add(from, begin(first));
  for (let i = 1; i < rain.length; i++)
    if (isGap(rain, i, gapS)) add(end(rain[i - 1] as Mark), begin(rain[i] as Mark));
  if (to - end(last) > gapS) add(end(last), to);
  return found;
}

export type Columns = [number[], (number | null)[], (number | null)[], (number | null)[]];

const raised = (value: number | null, by: number) => (value === null ? null : value + by);

/** Columns for the plot: time, value, lowest, highest, raised by a datum. Failed points are not part of the line. */
export function columns(marks: readonly Mark[], gapS: number, raiseM = 0): Columns {
  const out: Columns = [[], [], [], []];
  const push = (at: number, value: number | null, min: number | null, max: number | null) => {
    out[0].push(at);
    out[1].push(value);
    out[2].push(min);
    out[3].push(max);
  };
  for (const [i, m] of marks.entries()) {
    if (i > 0 && isGap(marks, i, gapS)) push((m.at + (marks[i - 1]?.at ?? 0)) / 2, null, null, null);
    push(m.at, m.flag === 4 ? null : raised(m.value, raiseM), raised(m.min, raiseM), raised(m.max, raiseM));
  }
  return out;
}

/** Points of the line with nothing on either side: a line cannot show them, a dot must. */
export function lonely(cols: Columns): number[] {
  const values = cols[1];
  const found: number[] = [];
  for (let i = 0; i < values.length; i++)
    if (values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null)
      found.push(i);
  return found;
}

export interface Extent {
  readonly min: number;
  readonly max: number;
}

/** Lowest and highest believable value among the marks; failed ones would squash the rest. */
export function extent(marks: readonly Mark[]): Extent | null {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const m of marks) {
    if (m.flag === 4 || m.value === null) continue;
    min = Math.min(min, m.min ?? m.value);
    max = Math.max(max, m.max ?? m.value);
  }
  return min <= max ? { min, max } : null;
}

/** The axis reaches to the next line above the water, so that small ripples do not look like floods. */
export function axisRange(data: Extent | null, lines: readonly number[]): [number, number] {
  const sorted = [...lines].sort((a, b) => a - b);
  const low = data?.min ?? 0;
  const high = data?.max ?? 0;
  const above = sorted.find((value) => value > high) ?? high;
  const top = Math.max(above, high);
  const pad = Math.max(0.08 * (top - low), 0.05);
  // Twice the room above, for the labels of the highest lines.
  return [low - pad, top + 2 * pad];
}

/** Rain of one bar in its unit: what fell in the bucket is the mean report times their number. */
export function rainOf(mark: Mark): number {
  return mark.sum ?? (mark.value === null ? 0 : mark.value * mark.n);
}

/** Heights of history, each lifted so that the datum of now tells them by the datum of their own time. */
export function onDatum(marks: readonly Mark[], datum: Datum): readonly Mark[] {
  if (!datum.dated) return marks;
  return marks.map((m) => {
    const by = offsetAt(datum, m.at) - datum.offset;
    return by === 0
      ? m
      : { ...m, value: raised(m.value, by), min: raised(m.min, by), max: raised(m.max, by) };
  });
}
