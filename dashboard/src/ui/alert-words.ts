/** An alert's words in the page's language, with the names that the store knows. */
import type { Alert } from "../api/types";
import * as alertWords from "../domain/alert-words";
import { pick } from "../i18n";
import { lang, now, stationLevels, stations, t } from "../store/store";
import { levelWord } from "./level-chip";

export function stationName(id: string): string {
  const name = stationLevels.value.get(id)?.name ?? stations.value.get(id)?.name;
  return name ? pick(name, lang.value) : id;
}

function riverName(id: string): string {
  for (const { river } of stations.value.values())
    if (river.river_id === id) return pick(river.name, lang.value);
  return id;
}

/** Read when a word is made: what shows no time is not drawn again each second. */
const vocabulary: alertWords.Vocabulary = {
  get words() {
    return t.value;
  },
  get lang() {
    return lang.value;
  },
  get nowMs() {
    return now.value;
  },
  stationName,
  riverName,
  levelWord,
};

export const placeName = (alert: Alert) => alertWords.placeName(alert, vocabulary);
export const timeOf = (iso: string) => alertWords.timeOf(iso, vocabulary);
export const title = (alert: Alert) => alertWords.title(alert, vocabulary);
export const measured = (alert: Alert) => alertWords.measured(alert, vocabulary);
