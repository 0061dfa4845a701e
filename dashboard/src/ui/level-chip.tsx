/** A flood level as digit, shape, word and colour together. */
import type { StationLevel } from "../api/types";
import { clampLevel, digit, hasThresholds, SHAPES, shortWord } from "../domain/levels";
import { lang, levelTable, t } from "../store/store";

export function LevelShape({ level, size = 26 }: { level: number; size?: number }) {
  const n = clampLevel(level);
  return (
    <svg class={`shape shape-${n}`} viewBox="-1.5 -1.5 27 27" width={size} height={size} aria-hidden="true">
      <path class="shape-rim" d={SHAPES[n]} />
      <path class="shape-body" d={SHAPES[n]} />
      <text x="12" y={n === 2 ? 19 : 16.9} text-anchor="middle">
        {digit(n)}
      </text>
    </svg>
  );
}

/** The API names a level by its threshold (氾濫危険水位); the chip has room for what people say. */
export function levelWord(level: number): string {
  const found = levelTable.value[clampLevel(level)];
  return found ? shortWord(found, lang.value, t.value.levelWords) : "";
}

export function LevelChip({ station, dead }: { station: StationLevel; dead: boolean }) {
  const n = clampLevel(station.flood_level);
  if (dead)
    return (
      <span class="chip chip-missing" data-testid="flood-level" data-level={n}>
        <span class="chip-digit" aria-hidden="true">
          ？
        </span>
        <span class="chip-words">
          <span class="chip-word">{t.value.noData}</span>
          {n > 0 && <span class="chip-last">{t.value.lastKnown(`${n} ${levelWord(n)}`)}</span>}
        </span>
      </span>
    );
  if (!hasThresholds(station))
    return (
      <span class="chip chip-unjudged" data-testid="flood-level" data-level="">
        <span class="chip-word">{t.value.unjudged}</span>
      </span>
    );
  return (
    <span class={`chip chip-${n}`} data-testid="flood-level" data-level={n}>
      <LevelShape level={n} size={28} />
      <span class="chip-word">{levelWord(n)}</span>
    </span>
  );
}
