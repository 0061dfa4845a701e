/** Flood levels 0–5: shape and standing, so that colour is never the only sign. */

import type { StationLevel } from "../api/types";

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

/** The table of colours; the style sheet holds the same ones as `--lv0` … `--lv5`. */
export const LEVEL_COLOURS: readonly string[] = [
  "#C8C8CB",
  "#FFFFFF",
  "#F2E700",
  "#FF2800",
  "#AA00AA",
  "#0C000C",
];
