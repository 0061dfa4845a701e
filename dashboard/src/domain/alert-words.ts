/** What an alert is called, where it is, and what it measured, in one language. Pure. */
import type { Alert } from "../api/types";
import { type Catalogue, type Lang, pick, word } from "../i18n";
import { place } from "./alerts";
import { clockOrDay, metres } from "./format";

/** The language and the names that the words are made of. */
export interface Vocabulary {
  readonly words: Catalogue;
  readonly lang: Lang;
  /** The server's time, ms since 1970: times of another day are written with it. */
  readonly nowMs: number;
  readonly stationName: (id: string) => string;
  readonly riverName: (id: string) => string;
  readonly levelWord: (level: number) => string;
}

export function placeName(alert: Alert, using: Vocabulary): string {
  const { words } = using;
  if (alert.station_id !== null) return using.stationName(alert.station_id);
  const { kind, name } = place(alert);
  if (kind === "gateway") return words.alertGateway(name);
  return kind === "river" ? words.alertRiverWhole(using.riverName(name)) : words.alertSite;
}

export const timeOf = (iso: string, { nowMs }: Vocabulary) => clockOrDay(Date.parse(iso), nowMs);

export function title(alert: Alert, { words, levelWord }: Vocabulary): string {
  const level = alert.flood_level ?? 0;
  if (level > 0 && alert.kind === "level") return words.alertTitle(levelWord(level));
  if (level > 0 && alert.kind === "forecast") return words.alertForecastTitle(levelWord(level));
  return word(words.alertKinds, alert.kind, words.alertKindOther);
}

/** What was measured, where the kind has something to say of it. */
export function measured(alert: Alert, using: Vocabulary): string {
  const { words, lang } = using;
  const { value_m: value = null, threshold_m: threshold = null, detail = {} } = alert;
  const number = (key: string) => (typeof detail[key] === "number" ? (detail[key] as number) : null);
  const time = (key: string) => (typeof detail[key] === "string" ? timeOf(detail[key] as string, using) : "");
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
        return pick({ ja: String(ja), en: String(en) }, lang);
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
      return pick({ ja: String(ja), en: String(en) }, lang);
    }
    default:
      return "";
  }
}
