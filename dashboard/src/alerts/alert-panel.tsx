/** The alerts beside the situation: most urgent first. */
import { unanswered } from "../store/answers";
import { alerts, alertsKnown, t } from "../store/store";
import { ActingAs } from "./acting-as";
import { AlertRow } from "./alert-row";

/** Beside the situation; the alerts' own view has them all. */
const MOST_ROWS = 100;

export function AlertPanel() {
  const words = t.value;
  const list = alerts.value;
  return (
    <section class="panel panel-alerts" id="alerts" aria-labelledby="alerts-title" tabIndex={-1}>
      <div class="panel-head">
        <h2 id="alerts-title">{words.alerts}</h2>
        {unanswered.value > 0 && (
          <strong class="state state-firing">{words.unansweredCount(unanswered.value)}</strong>
        )}
        <ActingAs />
      </div>
      <div class="scroll">
        {list.length === 0 ? (
          <p class="empty">{alertsKnown.value ? words.alertsNone : words.loading}</p>
        ) : (
          <ol class="alerts" data-testid="alert-list">
            {list.slice(0, MOST_ROWS).map((alert) => (
              <AlertRow key={alert.id} alert={alert} />
            ))}
          </ol>
        )}
        {list.length > MOST_ROWS && (
          <a class="more" href="/alerts">
            {words.alertsMore(list.length - MOST_ROWS)}
          </a>
        )}
      </div>
    </section>
  );
}
