/** Which stretch of time a chart shows, in the address and under the hand. Pure; times are the site's. */

export type RangeName = "m30" | "h6" | "h24" | "d3" | "d30" | "y1" | "y10";

const DAY = 86_400;
export const RANGE_S: Record<RangeName, number> = {
  m30: 1_800,
  h6: 21_600,
  h24: DAY,
  d3: 3 * DAY,
  d30: 30 * DAY,
  y1: 365 * DAY,
  y10: 3_652 * DAY,
};

export interface Span {
  readonly lengthS: number;
  /** null: ends now, and moves with it. */
  readonly endS: number | null;
}

export type Window = readonly [fromS: number, toS: number];

/** Shorter than this there is nothing more to see. */
const LEAST_S = 60;
const MOST_S = 40 * 365 * DAY;
const EARLIEST_S = Date.parse("1900-01-02T00:00:00Z") / 1000;
/** Japan has kept nine hours before Greenwich since 1951. */
const JST_S = 9 * 3_600;

export const windowOf = (span: Span, nowS: number): Window => {
  const end = span.endS ?? nowS;
  return [end - span.lengthS, end];
};

/** `2026-07-14T02:10` in the site's time, as a date-time input holds it; seconds only where there are any. */
export function siteText(atS: number): string {
  const text = new Date((Math.round(atS) + JST_S) * 1000).toISOString().slice(0, 19);
  return text.endsWith(":00") ? text.slice(0, 16) : text;
}

export function fromSiteText(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return null;
  const ms = Date.parse(`${text}Z`);
  return Number.isNaN(ms) ? null : ms / 1000 - JST_S;
}

/** A stretch within what can be asked for; one that reaches now follows it. */
export function spanBetween(fromS: number, toS: number, nowS: number): Span {
  const lengthS = Math.max(LEAST_S, Math.min(MOST_S, Math.round(toS - fromS)));
  if (toS >= nowS) return { lengthS, endS: null };
  return { lengthS, endS: Math.max(Math.round(toS), EARLIEST_S + lengthS) };
}

/** What an address means: `range=d3` ends now, `from=…&to=…` stands still. Nonsense is as if it were not there. */
export function parseSpan(query: URLSearchParams, otherwise: RangeName): Span {
  const from = fromSiteText(query.get("from") ?? "");
  const to = fromSiteText(query.get("to") ?? "");
  if (from !== null && to !== null && from < to && from >= EARLIEST_S)
    return { lengthS: Math.min(MOST_S, to - from), endS: to };
  const asked = query.get("range") ?? "";
  if (Object.hasOwn(RANGE_S, asked)) return { lengthS: RANGE_S[asked as RangeName], endS: null };
  const length = /^s(\d{2,10})$/.exec(asked)?.[1];
  if (length) return { lengthS: Math.max(LEAST_S, Math.min(MOST_S, Number(length))), endS: null };
  return { lengthS: RANGE_S[otherwise], endS: null };
}

/** The preset it is, if it is one. */
export function nameOf(span: Span): RangeName | null {
  if (span.endS !== null) return null;
  return (Object.keys(RANGE_S) as RangeName[]).find((name) => RANGE_S[name] === span.lengthS) ?? null;
}

/** What goes into the address, so that a link opens the same stretch. */
export function spanQuery(span: Span): { range: string | null; from: string | null; to: string | null } {
  if (span.endS === null) return { range: nameOf(span) ?? `s${span.lengthS}`, from: null, to: null };
  return { range: null, from: siteText(span.endS - span.lengthS), to: siteText(span.endS) };
}

/** Half a picture to the left (−1) or right (1); at the right edge, or a hair's breadth from it, it follows again. */
export function panned(span: Span, way: -1 | 1, nowS: number): Span {
  const [from, to] = windowOf(span, nowS);
  const step = (way * span.lengthS) / 2;
  return spanBetween(from + step, to + step, nowS - span.lengthS / 50);
}

/** Closer or further around its middle; what follows now goes on following. */
export function scaled(span: Span, factor: number, nowS: number): Span {
  const lengthS = Math.max(LEAST_S, Math.min(MOST_S, Math.round(span.lengthS * factor)));
  if (span.endS === null) return { lengthS, endS: null };
  const [from, to] = windowOf(span, nowS);
  const middle = (from + to) / 2;
  return spanBetween(middle - lengthS / 2, middle + lengthS / 2, nowS);
}
