/** Numbers and times as people read them. Times are the site's (JST), never the browser's. */

import type { Lang } from "../i18n";

export const SITE_TIME_ZONE = "Asia/Tokyo";

const parts = new Intl.DateTimeFormat("en-CA", {
  timeZone: SITE_TIME_ZONE,
  hourCycle: "h23",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

const weekdays: Record<Lang, Intl.DateTimeFormat> = {
  ja: new Intl.DateTimeFormat("ja-JP", { timeZone: SITE_TIME_ZONE, weekday: "short" }),
  en: new Intl.DateTimeFormat("en-GB", { timeZone: SITE_TIME_ZONE, weekday: "short" }),
};

interface SiteTime {
  readonly date: string;
  readonly year: string;
  readonly month: string;
  readonly day: string;
  readonly hour: string;
  readonly minute: string;
  readonly second: string;
}

function siteTime(ms: number): SiteTime {
  const found: Record<string, string> = {};
  for (const { type, value } of parts.formatToParts(ms)) found[type] = value;
  const get = (key: string) => found[key] ?? "";
  return {
    date: `${get("year")}-${get("month")}-${get("day")}`,
    year: get("year"),
    month: String(Number(get("month"))),
    day: String(Number(get("day"))),
    hour: get("hour"),
    minute: get("minute"),
    second: get("second"),
  };
}

/** `02:14` */
export function clock(ms: number): string {
  const t = siteTime(ms);
  return `${t.hour}:${t.minute}`;
}

/** `02:14:07` */
export function clockSeconds(ms: number): string {
  const t = siteTime(ms);
  return `${t.hour}:${t.minute}:${t.second}`;
}

/** `7/14（火）` or `Tue 14/07`… written so that month and day cannot be mixed up: `Tue 2026-07-14`. */
export function calendar(ms: number, lang: Lang): string {
  const t = siteTime(ms);
  const weekday = weekdays[lang].format(ms);
  return lang === "ja" ? `${t.month}月${t.day}日（${weekday}）` : `${weekday} ${t.date}`;
}

/** `7/14` */
export function monthDay(ms: number): string {
  const t = siteTime(ms);
  return `${t.month}/${t.day}`;
}

/** `7/14`, with the year before it when it is not this one: `2019/10/12`. */
export function dayOrYear(ms: number, nowMs: number): string {
  const t = siteTime(ms);
  const day = `${t.month}/${t.day}`;
  return t.year === siteTime(nowMs).year ? day : `${t.year}/${day}`;
}

/** `02:14`, with the day before it when it is not today's: `7/13 23:50`; to the second where that tells readings apart. */
export function clockOrDay(ms: number, nowMs: number, seconds = false): string {
  const t = siteTime(ms);
  const time = `${t.hour}:${t.minute}${seconds ? `:${t.second}` : ""}`;
  return t.date === siteTime(nowMs).date ? time : `${dayOrYear(ms, nowMs)} ${time}`;
}

/** Marks on a time axis `stepS` apart: what changes, and below it the day or year where that changes too. */
export function timeLabels(splitsS: readonly number[], stepS: number): string[] {
  let before = "";
  return splitsS.map((atS) => {
    const t = siteTime(atS * 1000);
    const [text, below] =
      stepS >= 300 * 86_400
        ? [t.year, ""]
        : stepS >= 43_200
          ? [`${t.month}/${t.day}`, t.year]
          : [`${t.hour}:${t.minute}${stepS < 60 ? `:${t.second}` : ""}`, `${t.month}/${t.day}`];
    const label = below === before || below === "" ? text : `${text}\n${below}`;
    before = below;
    return label;
  });
}

/** Metres to the centimetre; the minus is a real one, and -0.00 is 0.00. */
export function metres(value: number | null, digits = 2): string {
  if (value === null || !Number.isFinite(value)) return "—";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/**
 * Whole centimetres in 10 minutes, the unit of the telephone report. Half a centimetre is rounded away from zero, as by
 * the server: both read `tests/contracts/change_per_10min.json`.
 */
export function cmPer10min(metresPerHour: number): number {
  const exact = (Math.abs(metresPerHour) * 100) / 6;
  const whole = Math.trunc(exact);
  const rounded = exact - whole >= 0.5 ? whole + 1 : whole;
  return metresPerHour < 0 && rounded > 0 ? -rounded : rounded;
}

export function signed(value: number): string {
  if (value === 0) return "0";
  return value > 0 ? `+${value}` : `−${-value}`;
}

export type Trend = "up-fast" | "up" | "level" | "down" | "down-fast";

/** 30 cm in 10 minutes is a flash flood; under 1 cm is the gauge's own noise. */
export function trend(metresPerHour: number): Trend {
  const cm = cmPer10min(metresPerHour);
  if (cm >= 30) return "up-fast";
  if (cm >= 1) return "up";
  if (cm <= -30) return "down-fast";
  return cm <= -1 ? "down" : "level";
}
