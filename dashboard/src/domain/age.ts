/** An age in words that tick. */
import type { Catalogue } from "../i18n";

export function ageWords(seconds: number, t: Catalogue): string {
  const s = Math.floor(seconds);
  if (s < 60) return t.ageSeconds(s);
  const m = Math.floor(s / 60);
  if (m < 60) return t.ageMinutes(m, s % 60);
  const h = Math.floor(m / 60);
  if (h < 24) return t.ageHours(h, m % 60);
  return t.ageDays(Math.floor(h / 24), h % 24);
}
