/** Heights and times of the station view in words; every height says what it is counted from. */

import type { Resolution } from "../api/types";
import type { Mark } from "../chart/series";
import { type Datum, read } from "../domain/datum";
import { clockOrDay, dayOrYear, metres } from "../domain/format";
import { nameOf, type Span, windowOf } from "../domain/span";
import { now, t } from "../store/store";
import { isQuick } from "./state";
import { stationWords } from "./station-catalogue";

/** `T.P. 14.65 m` */
export function heightIn(levelM: number | null, datum: Datum): string {
  if (levelM === null) return "—";
  const { height } = t.value;
  const value = read(levelM, datum);
  return datum.kind === "crest" && value < 0
    ? height.over(metres(-value))
    : height[datum.kind](metres(value));
}

/** When a mark is from; a summary of days has no hour. */
export function markTime(fromS: number, resolution: Resolution): string {
  const ms = fromS * 1000;
  if (resolution === "day" || resolution === "week") return dayOrYear(ms, now.value);
  return clockOrDay(ms, now.value, resolution === "raw" && isQuick.value);
}

/** What is to be said of a mark beside its height: its flag, that it came late, the ends of a summary. */
export function qualityOf(mark: Mark, datum: Datum): string {
  const words = t.value;
  if (mark.min !== null && mark.max !== null) {
    const [low, high] = [read(mark.min, datum), read(mark.max, datum)].sort((a, b) => a - b);
    return words.minMax(metres(low ?? null), metres(high ?? null));
  }
  const said = [
    mark.flag === null ? "" : words.flagWords[mark.flag],
    mark.late ? stationWords.value.late : "",
  ];
  return said.filter(Boolean).join("・");
}

export function spanWords(span: Span, nowS: number): string {
  const words = stationWords.value;
  const name = nameOf(span);
  if (name !== null) return words.spanFollows(words.ranges[name]);
  const [from, to] = windowOf(span, nowS);
  return words.spanFixed(clockOrDay(from * 1000, now.value), clockOrDay(to * 1000, now.value));
}
