/** What an alert is called, where it is, and what it measured: in the words of the page's language. */
import type { Alert } from "../api/types";
import { place } from "../domain/alerts";
import { clockOrDay, metres } from "../domain/format";
import { pick } from "../i18n";
import type { Action } from "../store/answers";
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

export function placeName(alert: Alert): string {
  if (alert.station_id !== null) return stationName(alert.station_id);
  const { kind, name } = place(alert);
  if (kind === "gateway") return t.value.alertGateway(name);
  return kind === "river" ? t.value.alertRiverWhole(riverName(name)) : t.value.alertSite;
}

export const timeOf = (iso: string) => clockOrDay(Date.parse(iso), now.value);

/** A word of a catalogue by a code of the server's; a newer server may know more of them. */
export function word(words: Readonly<Record<string, string>>, code: string, otherwise = code): string {
  return Object.hasOwn(words, code) ? (words[code] ?? otherwise) : otherwise;
}

export function title(alert: Alert): string {
  const words = t.value;
  const level = alert.flood_level ?? 0;
  if (level > 0 && alert.kind === "level") return words.alertTitle(levelWord(level));
  if (level > 0 && alert.kind === "forecast") return words.alertForecastTitle(levelWord(level));
  return word(words.alertKinds, alert.kind, words.alertKindOther);
}

/** What was measured, where the kind has something to say of it. */
export function measured(alert: Alert): string {
  const words = t.value;
  const { value_m: value = null, threshold_m: threshold = null, detail = {} } = alert;
  const number = (key: string) => (typeof detail[key] === "number" ? (detail[key] as number) : null);
  const time = (key: string) => (typeof detail[key] === "string" ? timeOf(detail[key] as string) : "");
  switch (alert.kind) {
    case "level":
      return value === null || threshold === null ? "" : words.alertValue(metres(value), metres(threshold));
    case "rise": {
      const rise = number("rise_m");
      const minutes = number("minutes");
      if (rise === null || minutes === null) return "";
      return words.alertRise(Math.round(rise * 100), Math.round(minutes));
    }
    case "forecast":
      return detail["likely"] ? words.alertForecast(time("likely"), time("earliest"), time("latest")) : "";
    case "battery":
      return value === null ? "" : words.alertBattery(value.toFixed(2));
    case "spike":
      return value === null ? "" : words.alertSpikes(value);
    case "outage":
      return value === null ? "" : words.alertOutage(value);
    case "stuck":
      return value === null ? "" : words.alertStuck(metres(value));
    case "clock": {
      const said = detail["words"];
      if (typeof said === "object" && said !== null) {
        const { ja = "", en = "" } = said as Record<string, unknown>;
        return pick({ ja: String(ja), en: String(en) }, lang.value);
      }
      const ahead = number("ahead_s");
      return ahead === null ? "" : words.alertClock(Math.round(ahead));
    }
    case "gateway": {
      const backlog = number("backlog");
      return backlog ? words.alertBacklog(backlog) : "";
    }
    case "silent":
      return detail["reason"] === "low_mode" ? words.alertAsleep : "";
    case "manual": {
      const message = detail["message"];
      if (typeof message !== "object" || message === null) return "";
      const { ja = "", en = "" } = message as Record<string, unknown>;
      return pick({ ja: String(ja), en: String(en) }, lang.value);
    }
    default:
      return "";
  }
}

export function actionWord(action: Action): string {
  const words = t.value;
  const called: Record<Action, string> = {
    acknowledge: words.acknowledge,
    notes: words.memo,
    shelve: words.shelve,
    unshelve: words.unshelve,
    confirm: words.confirmTrue,
    withdraw: words.withdrawFalse,
  };
  return called[action];
}
