/** Flood levels 0–5: shape and standing, so that colour is never the only sign. */

import type { Bilingual, FloodLevel, StationLevel } from "../api/types";
import { type Lang, pick } from "../i18n";

/** Whether it has thresholds to be judged by; below the first of them the next one stands ahead. */
export const hasThresholds = (
  s: Pick<StationLevel, "flood_level" | "next_threshold" | "judged_m" | "level_m">,
) =>
  s.flood_level > 0 ||
  s.next_threshold !== null ||
  (s.judged_m === undefined ? s.level_m : s.judged_m) === null;

/** Outlines in a 24 × 24 box. More danger, more corners pointing at you; 5 is the stop sign. */
export const SHAPES: readonly string[] = [
  "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16z",
  "M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20z",
  "M12 1.5L23.2 21.5H.8z",
  "M2.5 2.5h19v19h-19z",
  "M12 .6L23.4 12L12 23.4L.6 12z",
  "M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4z",
];

export const clampLevel = (level: number) => Math.max(0, Math.min(5, Math.trunc(level)));

/** No threshold reached has no number. */
export const digit = (level: number) => (level === 0 ? "–" : String(clampLevel(level)));

const facts = (level: number, ja: string, en: string, colour: string, text_colour: string): FloodLevel => ({
  level,
  name: { ja, en },
  colour,
  text_colour,
});

/** Until the server has said what is in force, and where what it says cannot be used; `--lv0` … in the style sheet too. */
export const USUAL: readonly FloodLevel[] = [
  facts(0, "平常", "normal", "#C8C8CB", "#000000"),
  facts(1, "水防団待機水位", "standby", "#FFFFFF", "#000000"),
  facts(2, "氾濫注意水位", "caution", "#F2E700", "#000000"),
  facts(3, "避難判断水位", "evacuation decision", "#FF2800", "#000000"),
  facts(4, "氾濫危険水位", "flood danger", "#AA00AA", "#FFFFFF"),
  facts(5, "氾濫開始水位", "overflow", "#0C000C", "#FFFFFF"),
];

const isColour = (text: unknown): text is string => typeof text === "string" && /^#[0-9a-f]{6}$/i.test(text);
const isName = (name: unknown): name is Bilingual => {
  const { ja, en } = (name ?? {}) as Record<string, unknown>;
  return typeof ja === "string" && typeof en === "string" && (ja.trim() || en.trim()) !== "";
};

/** All six levels by the server's table; what is odd in a row is replaced by the usual, so that no level disappears. */
export function levelTable(rows: readonly Partial<FloodLevel>[]): readonly FloodLevel[] {
  return USUAL.map((usual) => {
    const row = rows.find((one) => one.level === usual.level);
    if (row === undefined) return usual;
    const coloured = isColour(row.colour) && isColour(row.text_colour);
    return {
      level: usual.level,
      name: isName(row.name) ? row.name : usual.name,
      colour: coloured ? (row.colour as string) : usual.colour,
      text_colour: coloured ? (row.text_colour as string) : usual.text_colour,
    };
  });
}

/**
 * What people say for short, where there is no room for the name: 氾濫危険水位 is 氾濫危険. `known` are the short words
 * of the usual names; a name that is not one of them is shown whole.
 */
export function shortWord(level: FloodLevel, lang: Lang, known: readonly string[]): string {
  const name = pick(level.name, lang);
  if (name === USUAL[level.level]?.name[lang]) return known[level.level] ?? name;
  return lang === "ja" ? name.replace(/水位$/, "") || name : name.charAt(0).toUpperCase() + name.slice(1);
}

/** Relative luminance (WCAG 2), 0 black to 1 white, of `#RRGGBB`. */
export function luminance(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
