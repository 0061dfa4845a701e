/** One catalogue at a time: the other language is loaded when somebody asks for it, and shown when it is there. */
import { batch } from "@preact/signals";
import type { Catalogue, Lang } from "../i18n";
import { spoken, wantedLang } from "../store/store";
import { type Part, part } from "./part";

const catalogues: Record<Lang, Part<Catalogue>> = {
  ja: part(() => import("../i18n/ja").then((file) => file.ja)),
  en: part(() => import("../i18n/en").then((file) => file.en)),
};

let asked: Lang | null = null;

/** Shows the page in this language as soon as its words are there; of several, the one asked for last. */
export async function speak(lang: Lang): Promise<void> {
  asked = lang;
  const words = await catalogues[lang].ready();
  if (asked !== lang) return;
  batch(() => {
    spoken.value = { lang, words };
    wantedLang.value = lang;
  });
}

/** A catalogue that was asked for does not come although the server speaks. */
export const wordsMissing = () => catalogues.ja.missing.value || catalogues.en.missing.value;
