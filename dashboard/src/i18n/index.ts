/** The page's languages: Japanese first, English second. Each catalogue is a file of its own: see `ui/language.ts`. */
import type { Bilingual } from "../api/types";

export type { Catalogue } from "./ja";

export type Lang = "ja" | "en";

/** The API's own words; the other language rather than nothing when one is empty. */
export const pick = (words: Bilingual, lang: Lang): string => words[lang] || words.ja || words.en;

/** A word of a catalogue by a code of the server's; a newer server may know more of them. */
export function word(words: Readonly<Record<string, string>>, code: string, otherwise = code): string {
  return Object.hasOwn(words, code) ? (words[code] ?? otherwise) : otherwise;
}
