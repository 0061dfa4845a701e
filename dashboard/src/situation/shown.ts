/** Which rows the table shows: the filters live in the address, so that a link opens the same view. */
import { computed } from "@preact/signals";
import { EVERYTHING, type Filter, fits, isFiltering } from "../domain/filter";
import { freshnessNow } from "../domain/freshness";
import { now, order, stationLevels } from "../store/store";
import { query, setQuery } from "../ui/route";
import { unansweredLevels } from "./order";

export const filter = computed<Filter>(() => ({
  text: query.value.get("q") ?? "",
  river: query.value.get("river") ?? "",
  ward: query.value.get("ward") ?? "",
  only: query.value.get("only") === "1",
}));
export const filtering = computed(() => isFiltering(filter.value));

export function setFilter(change: Partial<Filter>): void {
  const { text, river, ward, only } = { ...filter.peek(), ...change };
  setQuery({ q: text, river, ward, only: only ? "1" : null });
}

export const clearFilter = () => setFilter(EVERYTHING);

/** Ids as one text: an equal list draws nothing anew. */
const key = computed(() => {
  const known = stationLevels.value;
  if (!filtering.value) return order.value.filter((id) => known.has(id)).join("\n");
  const wanted = filter.value;
  return order.value
    .filter((id) => {
      const station = known.get(id);
      if (!station) return false;
      const dead = wanted.only && freshnessNow(station, now.value) === "dead";
      return fits(wanted, station, { dead, unanswered: unansweredLevels.value.has(id) });
    })
    .join("\n");
});
export const shownIds = computed<readonly string[]>(() => (key.value === "" ? [] : key.value.split("\n")));

/** Stations with an unanswered alert that the filter hides: never without saying so. */
export const hiddenUnanswered = computed(() => {
  if (!filtering.value) return 0;
  const shown = new Set(shownIds.value);
  return [...unansweredLevels.value.keys()].filter((id) => stationLevels.value.has(id) && !shown.has(id))
    .length;
});
