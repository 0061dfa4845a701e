/** How far an alert has come: a shape and a word, so that colour is never the only sign. */
import type { Alert, AlertState } from "../api/types";
import { stateOf } from "../domain/alerts";
import { t } from "../store/store";
import { LevelShape } from "../ui/level-chip";

/** In a 16 × 16 box: a bell's tongue, a tick, two bars, an hourglass, a ring, a cross. */
const MARKS: Record<AlertState, string> = {
  firing: "M8 1.5L15 14.5H1z M8 6v4 M8 12v.6",
  acknowledged: "M2 8.5l4 4.5l8-10",
  shelved: "M5 2v12 M11 2v12",
  pending: "M3 2h10L3 14h10z",
  resolved: "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12z",
  withdrawn: "M3 3l10 10 M13 3L3 13",
};

export function StateMark({ alert }: { alert: Alert }) {
  const state = stateOf(alert);
  return (
    <span class={`state state-${state}`} data-testid="alert-state" data-state={state}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={MARKS[state]} />
      </svg>
      {t.value.alertStates[state]}
    </span>
  );
}

/** The flood level's shape; a spanner's nut where a machine is in trouble. */
export function AlertShape({ alert, size = 34 }: { alert: Alert; size?: number }) {
  const level = alert.flood_level ?? 0;
  if (level > 0) return <LevelShape level={level} size={size} />;
  return (
    <svg class="shape shape-machine" viewBox="-1.5 -1.5 27 27" width={size} height={size} aria-hidden="true">
      <path d="M6.5 2h11L23 12l-5.5 10h-11L1 12z" />
      <circle cx="12" cy="12" r="4.5" />
    </svg>
  );
}

export function DrillMark({ status }: { status: Alert["status"] }) {
  if (status === "exercise") return <strong class="mark-drill">{t.value.drill}</strong>;
  if (status === "test") return <strong class="mark-test">{t.value.test}</strong>;
  return null;
}
