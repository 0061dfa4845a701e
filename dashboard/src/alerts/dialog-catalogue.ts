/** The page's words and those that only an alert's dialog needs, in the page's language. */
import { computed } from "@preact/signals";
import type { Catalogue } from "../i18n";
import { dialogEn } from "../i18n/dialog.en";
import { type DialogWords, dialogJa } from "../i18n/dialog.ja";
import { lang, t } from "../store/store";

export const dialogWords = computed<Catalogue & DialogWords>(() => ({
  ...t.value,
  ...(lang.value === "ja" ? dialogJa : dialogEn),
}));
