import type { Alert } from "../api/types";
import { clockOrDay } from "../domain/format";
import { pick } from "../i18n";
import { chosen, lang, live, now, stationLevels, stations, t } from "../store/store";
import { LevelShape, levelWord } from "./level-chip";

function stationName(id: string): string {
  const name = stationLevels.value.get(id)?.name ?? stations.value.get(id)?.name;
  return name ? pick(name, lang.value) : id;
}

const timeOf = (iso: string) => clockOrDay(Date.parse(iso), now.value);

function title(alert: Alert): string {
  const words = t.value;
  if (alert.flood_level === null) return words.alertKindOther;
  return words.alertTitle(levelWord(alert.flood_level));
}

function Ending({ alert }: { alert: Alert }) {
  const words = t.value;
  if (alert.state === "withdrawn") return <span class="ending">{words.alertWithdrawn}</span>;
  if (alert.ended_at === null) return <strong class="ending ongoing">{words.alertOngoing}</strong>;
  return (
    <span class="ending">
      {timeOf(alert.ended_at)} {words.alertEnded}
    </span>
  );
}

function AlertRow({ alert }: { alert: Alert }) {
  const words = t.value;
  const over = alert.ended_at !== null || alert.state === "withdrawn";
  return (
    <li
      class={`alert${over ? " alert-over" : ""}`}
      data-testid="alert-row"
      data-alert-id={alert.id}
      data-station-id={alert.station_id}
    >
      <LevelShape level={alert.flood_level ?? 0} size={34} />
      <div class="alert-body">
        <p class="alert-line">
          {alert.status === "exercise" && <strong class="mark-drill">{words.drill}</strong>}
          {alert.status === "test" && <strong class="mark-test">{words.test}</strong>}
          <button
            type="button"
            class="alert-station"
            onClick={() => {
              chosen.value = alert.station_id;
            }}
          >
            {stationName(alert.station_id)}
          </button>
          <span>{title(alert)}</span>
        </p>
        <p class="alert-times">
          <time dateTime={alert.started_at}>{timeOf(alert.started_at)}</time>
          {" → "}
          <Ending alert={alert} />
          {alert.retroactive && (
            <span class="flag flag-retro" title={words.alertRetroHint}>
              {words.alertRetro}
            </span>
          )}
          {!alert.verified && (
            <span class="flag flag-suspect" title={words.alertUnverifiedHint}>
              {words.alertUnverified}
            </span>
          )}
        </p>
      </div>
    </li>
  );
}

/** Read out once when an alert begins while the page watches; never for the history it starts with. */
function Announcer() {
  const alert = live.value.announced;
  const words = t.value;
  return (
    <p class="sr" role="status" aria-live="assertive" data-testid="announcer">
      {alert &&
        `${alert.status === "exercise" ? words.drill : ""}${words.alertAnnounce(
          stationName(alert.station_id),
          levelWord(alert.flood_level ?? 0),
          timeOf(alert.started_at),
        )}`}
    </p>
  );
}

export function AlertPanel() {
  const words = t.value;
  const { alerts } = live.value;
  return (
    <section class="panel panel-alerts" aria-labelledby="alerts-title">
      <div class="panel-head">
        <h2 id="alerts-title">{words.alerts}</h2>
      </div>
      <Announcer />
      <div class="scroll">
        {alerts.length === 0 ? (
          <p class="empty">{words.alertsNone}</p>
        ) : (
          <ol class="alerts" data-testid="alert-list">
            {alerts.map((alert) => (
              <AlertRow key={alert.id} alert={alert} />
            ))}
          </ol>
        )}
      </div>
    </section>
  );
}
