/** The words that only this view needs, in the page's language. */
import { computed } from "@preact/signals";
import { systemEn } from "../i18n/system.en";
import { type SystemWords, systemJa } from "../i18n/system.ja";
import { lang } from "../store/store";

export const systemWords = computed<SystemWords>(() => (lang.value === "ja" ? systemJa : systemEn));
