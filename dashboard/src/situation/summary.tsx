/** How many stations stand at each level: the whole night in one line. */
import { computed } from "@preact/signals";
import { freshnessNow } from "../domain/freshness";
import { clampLevel, hasThresholds } from "../domain/levels";
import { levels, now, t } from "../store/store";
import { LevelShape, levelWord } from "../ui/level-chip";

const counts = computed(() => {
  const byLevel = [0, 0, 0, 0, 0, 0];
  let dead = 0;
  let unjudged = 0;
  for (const s of levels.value?.stations ?? []) {
    if (freshnessNow(s, now.value) === "dead") dead++;
    else if (!hasThresholds(s)) unjudged++;
    else byLevel[clampLevel(s.flood_level)] = (byLevel[clampLevel(s.flood_level)] ?? 0) + 1;
  }
  return { byLevel, dead, unjudged };
});

/** Equal counts make an equal text, so that a tick without a change redraws nothing. */
const key = computed(() => [...counts.value.byLevel, counts.value.dead, counts.value.unjudged].join(","));

export function Summary() {
  const words = t.value;
  const numbers = key.value.split(",").map(Number);
  const [dead = 0, unjudged = 0] = numbers.slice(6);
  return (
    <ul class="summary" aria-label={words.summary} data-testid="summary">
      {[5, 4, 3, 2, 1, 0].map((level) => {
        const n = numbers[level] ?? 0;
        return (
          <li key={level} class={`count ${n > 0 ? `count-on chip-${level}` : ""}`}>
            <LevelShape level={level} size={24} />
            <span class="count-word">{levelWord(level)}</span>
            <strong class="count-n">{n}</strong>
          </li>
        );
      })}
      <li class={`count ${dead > 0 ? "count-on chip-missing" : ""}`}>
        <span class="chip-digit" aria-hidden="true">
          ？
        </span>
        <span class="count-word">{words.noData}</span>
        <strong class="count-n">{dead}</strong>
      </li>
      {unjudged > 0 && (
        <li class="count count-on chip-unjudged">
          <span class="count-word">{words.unjudged}</span>
          <strong class="count-n">{unjudged}</strong>
        </li>
      )}
    </ul>
  );
}
