/** The page's languages: Japanese first, English second. */
import type { Bilingual } from "../api/types";
import { en } from "./en";
import { type Catalogue, ja } from "./ja";

export type { Catalogue } from "./ja";

export type Lang = "ja" | "en";

export const catalogues: Record<Lang, Catalogue> = { ja, en };

/** The API's own words; the other language rather than nothing when one is empty. */
export const pick = (words: Bilingual, lang: Lang): string => words[lang] || words.ja || words.en;

/** A word of a catalogue by a code of the server's; a newer server may know more of them. */
export function word(words: Readonly<Record<string, string>>, code: string, otherwise = code): string {
  return Object.hasOwn(words, code) ? (words[code] ?? otherwise) : otherwise;
}
