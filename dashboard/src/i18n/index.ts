/** The page's languages: Japanese first, English second. */
import type { Bilingual } from "../api/types";
import { en } from "./en";
import { ja } from "./ja";

export type Lang = "ja" | "en";

/** The shape of `ja` with its texts widened, so that a key missing elsewhere does not compile. */
type Widen<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : T extends readonly string[]
      ? { readonly [K in keyof T]: string }
      : { readonly [K in keyof T]: Widen<T[K]> };

export type Catalogue = Widen<typeof ja>;

export const catalogues: Record<Lang, Catalogue> = { ja, en };

/** The API's own words; the other language rather than nothing when one is empty. */
export const pick = (words: Bilingual, lang: Lang): string => words[lang] || words.ja || words.en;
