/** What this station has alarmed of, and who answered: the newest first, as far back as anybody asks. */
import { ActingAs } from "../alerts/acting-as";
import { AlertRow } from "../alerts/alert-row";
import { isShown } from "../domain/alerts";
import { t } from "../store/store";
import { alerts, alertsFailed, alertsNext, datum, readAlerts } from "./state";
import { stationWords } from "./station-catalogue";

export function PastAlerts() {
  const words = stationWords.value;
  const shown = alerts.value.filter(isShown);
  return (
    <section class="panel station-alerts" id="alerts" aria-labelledby="past-title" tabIndex={-1}>
      <div class="panel-head">
        <h3 id="past-title">
          {words.alerts} {datum.value.kind !== "zero" && <small>{words.alertsDatum}</small>}
        </h3>
        <ActingAs />
      </div>
      <ol class="alerts" data-testid="alert-list">
        {shown.map((alert) => (
          <AlertRow key={alert.id} alert={alert} />
        ))}
      </ol>
      {shown.length === 0 && alertsNext.value === null && <p class="empty">{words.alertsNone}</p>}
      {alertsFailed.value && (
        <p class="panel-foot wrong" role="alert">
          {words.alertsFailed}
        </p>
      )}
      {alertsNext.value !== null && (
        <p class="more">
          <button type="button" class="answer" data-testid="alerts-older" onClick={() => void readAlerts()}>
            {alertsFailed.value
              ? words.again
              : alertsNext.value === undefined
                ? t.value.loading
                : words.alertsOlder}
          </button>
        </p>
      )}
    </section>
  );
}
