/** The words that only this view needs, in the page's language. */
import { computed } from "@preact/signals";
import { stationEn } from "../i18n/station.en";
import { type StationWords, stationJa } from "../i18n/station.ja";
import { lang } from "../store/store";

export const stationWords = computed<StationWords>(() => (lang.value === "ja" ? stationJa : stationEn));
