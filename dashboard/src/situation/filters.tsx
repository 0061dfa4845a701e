/** Search and filters above the table. */
import { signal, useComputed } from "@preact/signals";
import type { Bilingual } from "../api/types";
import { wardKey } from "../domain/filter";
import { pick } from "../i18n";
import { lang, levels, t } from "../store/store";
import { clearFilter, filter, filtering, hiddenUnanswered, setFilter, shownIds } from "./shown";

export const SEARCH_ID = "station-search";

/** On a phone the search stands alone until somebody asks for more. */
const open = signal(false);

function useChoices(
  of: (s: NonNullable<typeof levels.value>["stations"][number]) => [string, Bilingual] | null,
) {
  const key = useComputed(() => {
    const found = new Map(
      (levels.value?.stations ?? []).flatMap((s) => [of(s) ?? []]).filter((p) => p.length) as [
        string,
        Bilingual,
      ][],
    );
    return JSON.stringify([...found]);
  });
  return JSON.parse(key.value) as [string, Bilingual][];
}

function Choice({
  label,
  value,
  choices,
  testid,
  set,
}: {
  label: string;
  value: string;
  choices: readonly [string, Bilingual][];
  testid: string;
  set: (value: string) => void;
}) {
  if (choices.length < 2 && value === "") return null;
  return (
    <label class="filter">
      <span class="sr">{label}</span>
      <select value={value} data-testid={testid} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">{label}</option>
        {choices.map(([id, name]) => (
          <option key={id} value={id}>
            {pick(name, lang.value)}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Filters() {
  const words = t.value.situation;
  const { text, river, ward, only } = filter.value;
  const rivers = useChoices((s) => (s.river_name ? [s.river, s.river_name] : null));
  const wards = useChoices((s) => (s.ward ? [wardKey(s.ward), s.ward] : null));
  const all = levels.value?.stations.length ?? 0;
  return (
    <search class={`filters${open.value ? " filters-all" : ""}`} aria-label={words.filters}>
      <label class="filter filter-text">
        <span class="sr">{words.search}</span>
        <input
          id={SEARCH_ID}
          type="search"
          value={text}
          placeholder={words.search}
          data-testid="search"
          aria-keyshortcuts="/"
          onInput={(event) => setFilter({ text: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === "Escape") setFilter({ text: "" });
          }}
        />
      </label>
      <button
        type="button"
        class="answer filters-open"
        aria-expanded={open.value}
        onClick={() => {
          open.value = !open.value;
        }}
      >
        {words.filters}
      </button>
      <Choice
        label={words.river}
        value={river}
        choices={rivers}
        testid="filter-river"
        set={(value) => setFilter({ river: value })}
      />
      <Choice
        label={words.ward}
        value={ward}
        choices={wards}
        testid="filter-ward"
        set={(value) => setFilter({ ward: value })}
      />
      <button
        type="button"
        class="answer"
        aria-pressed={only}
        data-testid="filter-only"
        onClick={() => setFilter({ only: !only })}
      >
        {words.only}
      </button>
      <span class="filter-count" role="status" data-testid="filter-count">
        {filtering.value ? words.countOf(shownIds.value.length, all) : words.count(all)}
      </span>
      {filtering.value && (
        <button type="button" class="answer" data-testid="filter-clear" onClick={clearFilter}>
          {words.clear}
        </button>
      )}
    </search>
  );
}

/** A filter never hides an unanswered alert without saying so. */
export function HiddenUnanswered() {
  const words = t.value.situation;
  const n = hiddenUnanswered.value;
  return (
    <div role="status">
      {n > 0 && (
        <p class="hidden-open" data-testid="hidden-unanswered">
          {words.hidden(n)}
          <button type="button" class="answer" onClick={clearFilter}>
            {words.showAll}
          </button>
        </p>
      )}
    </div>
  );
}
