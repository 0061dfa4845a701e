/** What is known of an alert beside its title: who answered it, why it is doubted, what its neighbours say. */
import type { Alert } from "../api/types";
import { doubts, isDoubtful, neighbours, stateOf } from "../domain/alerts";
import { metres } from "../domain/format";
import { word } from "../i18n";
import { t } from "../store/store";
import { stationName, timeOf } from "../ui/alert-words";

export function Doubt({ alert }: { alert: Alert }) {
  if (!isDoubtful(alert)) return null;
  const words = t.value;
  const why = doubts(alert).map((reason) => word(words.alertDoubts, reason));
  const near = neighbours(alert);
  return (
    <div class="doubt" data-testid="alert-doubt">
      <p>{words.alertDoubt(why.join("・") || words.alertDoubtOther)}</p>
      <p class="doubt-near">
        {near.length === 0
          ? words.alertNoNeighbours
          : `${words.alertNeighbours}: ${near
              .map((n) =>
                words.alertNeighbour(stationName(n.station_id), metres(n.value_m), timeOf(n.observed_at)),
              )
              .join(" / ")}`}
      </p>
    </div>
  );
}

/** `02:14 山田 が確認`: a line each, oldest first. */
export function Answers({ alert }: { alert: Alert }) {
  const words = t.value;
  const {
    acknowledged_at: ack,
    confirmed_at: confirmed,
    dismissed_at: dismissed,
    shelved_until: until,
  } = alert;
  const lines: [string, string][] = [];
  if (ack) lines.push([ack, words.alertAcknowledgedBy(alert.acknowledged_by ?? "", timeOf(ack))]);
  if (confirmed) lines.push([confirmed, words.alertConfirmedBy(alert.confirmed_by ?? "", timeOf(confirmed))]);
  if (dismissed) lines.push([dismissed, words.alertDismissedBy(alert.dismissed_by ?? "", timeOf(dismissed))]);
  lines.sort(([a], [b]) => Date.parse(a) - Date.parse(b));
  if (until && stateOf(alert) === "shelved") lines.push([until, words.alertShelvedUntil(timeOf(until))]);
  return (
    <>
      {lines.map(([, text]) => (
        <p key={text} class="alert-answer" data-testid="alert-answer">
          {text}
        </p>
      ))}
    </>
  );
}
