/** What must be heard, and when: a pattern a level, another for a broken line. Pure; times are of the steady counter. */

import type { Alert } from "../api/types";
import { isUnanswered } from "./alerts";

/** Flood level 1–5, 0 for machines alone, or the line itself. */
export type Call = 0 | 1 | 2 | 3 | 4 | 5 | "link";

export interface Note {
  /** Seconds from the start of the pattern. */
  readonly at: number;
  readonly seconds: number;
  readonly hz: number;
}

const notes = (seconds: number, gap: number, ...hz: readonly number[]): readonly Note[] =>
  hz.map((one, i) => ({ at: i * (seconds + gap), seconds, hz: one }));

/**
 * As many rising notes as the level has; 5 never rests. Frequencies lie between 500 and 3,000 Hz, where ISO 7731 asks for the
 * strength of danger signals. The broken line falls, so that nobody takes it for water.
 */
export const PATTERNS: Readonly<Record<Call, readonly Note[]>> = {
  0: notes(0.18, 0.12, 520, 520),
  1: notes(0.3, 0.1, 660),
  2: notes(0.25, 0.1, 660, 880),
  3: notes(0.2, 0.08, 660, 880, 1100),
  4: notes(0.16, 0.06, 880, 1175, 880, 1175, 880, 1175, 880, 1175),
  5: notes(0.12, 0.03, ...Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 1000 : 1600))),
  link: notes(0.35, 0.05, 900, 700, 500),
};

/** Until somebody answers, it is heard again after so long. */
export const REPEAT_MS: Readonly<Record<Call, number>> = {
  0: 120_000,
  1: 60_000,
  2: 30_000,
  3: 15_000,
  4: 8_000,
  5: 4_000,
  link: 15_000,
};

export const LONGEST_MUTE_MS = 10 * 60_000;

export interface Mute {
  readonly untilMs: number;
  /** The highest level that was sounding when it was asked for: anything above it is heard all the same. */
  readonly level: number | null;
  /** Whether the line was broken then: a line that breaks later is heard all the same. */
  readonly link: boolean;
}

export interface Wanted {
  readonly level: 0 | 1 | 2 | 3 | 4 | 5 | null;
  readonly link: boolean;
}

/** The highest level that nobody has answered; what was learned of too late to act on is for the eyes only. */
export function wanted(alerts: readonly Alert[], link: boolean): Wanted {
  let level: number | null = null;
  for (const alert of alerts)
    if (isUnanswered(alert) && !alert.retroactive) level = Math.max(level ?? 0, alert.flood_level ?? 0);
  return { level: level === null ? null : (Math.max(0, Math.min(5, level)) as 0), link };
}

/** A line that comes and goes within this is not worth waking somebody. */
export const LINK_AFTER_MS = 10_000;

export interface Played {
  /** The last alert's call, as long as one is wanted. */
  readonly level: number | null;
  readonly levelMs: number;
  readonly linkMs: number;
}

export const NOT_PLAYED: Played = {
  level: null,
  levelMs: Number.NEGATIVE_INFINITY,
  linkMs: Number.NEGATIVE_INFINITY,
};

/** What it was asked against and is over, it no longer covers: whatever begins later is heard. */
export function kept(mute: Mute | null, { level, link }: Wanted): Mute | null {
  if (mute === null) return null;
  const covers = level === null || mute.level === null ? null : Math.min(mute.level, level);
  if (covers === mute.level && (link || !mute.link)) return mute;
  return { ...mute, level: covers, link: mute.link && link };
}

export const muteHolds = (mute: Mute | null, nowMs: number): mute is Mute =>
  mute !== null && nowMs < mute.untilMs;

/** What to play now, if anything, and what has been played then. A higher level is heard at once, muted or not. */
export function next(
  played: Played,
  { level, link }: Wanted,
  mute: Mute | null,
  nowMs: number,
): readonly [Call | null, Played] {
  const muted = muteHolds(mute, nowMs) ? mute : null;
  const known = level === null ? { ...played, level: null } : played;
  if (level !== null) {
    const risen = level > (known.level ?? -1);
    const silenced = muted !== null && level <= (muted.level ?? -1);
    if (!silenced && (risen || nowMs - known.levelMs >= REPEAT_MS[level]))
      return [level, { ...known, level, levelMs: nowMs }];
  }
  // Water that falls to a lower unanswered level speaks with that level's patience.
  const lower = level !== null && known.level !== null && level < known.level ? { ...known, level } : known;
  if (!link) return [null, { ...lower, linkMs: Number.NEGATIVE_INFINITY }];
  if (!muted?.link && nowMs - lower.linkMs >= REPEAT_MS.link) return ["link", { ...lower, linkMs: nowMs }];
  return [null, lower];
}
