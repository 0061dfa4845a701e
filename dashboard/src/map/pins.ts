/** Stations on the map: the most dangerous as pins with name and level, the rest as small marks of the same shapes. */

import type { StationLevel } from "../api/types";
import { freshnessNow } from "../domain/freshness";
import { clampLevel, hasThresholds } from "../domain/levels";
import { pick } from "../i18n";
import { chosen, lang, levels, now, order, selected, stations, t } from "../store/store";
import * as L from "./leaflet";
import { levelText, smallIcon, stationIcon } from "./marker";

/** More names than this nobody reads, and no map has room for. */
const MOST_PINS = 60;

export interface Shown {
  readonly marker: L.Marker;
  readonly home: L.LatLngTuple;
}

interface Entry extends Shown {
  /** What its picture was drawn from; the level within is written anew by itself. */
  readonly key: string;
  readonly pin: boolean;
  said: string;
}

export function position(station: StationLevel): L.LatLngTuple | null {
  const registered = stations.value.get(station.station_id);
  const lat = station.lat ?? registered?.lat;
  const lon = station.lon ?? registered?.lon;
  return typeof lat === "number" && typeof lon === "number" ? [lat, lon] : null;
}

export class Pins {
  readonly #entries = new Map<string, Entry>();

  constructor(private readonly map: L.Map) {}

  /** Brings every mark up to date; true if any pin has moved or has another size. */
  show(): boolean {
    const seen = new Set<string>();
    const rank = new Map(order.value.map((id, i) => [id, i]));
    let changed = false;
    for (const station of levels.value?.stations ?? []) {
      const at = position(station);
      if (!at) continue;
      seen.add(station.station_id);
      if (this.#put(station, at, rank.get(station.station_id) ?? rank.size)) changed = true;
    }
    for (const [id, { marker }] of this.#entries) {
      if (seen.has(id)) continue;
      marker.remove();
      this.#entries.delete(id);
      changed = true;
    }
    return changed;
  }

  /** The pins, the chosen one first, then in the order of danger. */
  shown(): readonly Shown[] {
    const first = selected.peek();
    const ids = [...(first ? [first] : []), ...order.peek().filter((id) => id !== first)];
    return ids.flatMap((id) => {
      const entry = this.#entries.get(id);
      return entry?.pin ? [entry] : [];
    });
  }

  #put(station: StationLevel, at: L.LatLngTuple, rank: number): boolean {
    const id = station.station_id;
    const current = selected.value === id;
    const pin = current || rank < MOST_PINS;
    const state = freshnessNow(station, now.value);
    const name = pick(station.name, lang.value);
    const said = pin ? levelText(station) : "";
    const key = [pin, at, state, station.flood_level, pin && [name, current, lang.value]].join("|");
    const before = this.#entries.get(id);
    if (before?.key === key) {
      if (before.said !== said) {
        const text = before.marker.getElement()?.querySelector(".pin-level");
        if (text) text.textContent = said;
        before.said = said;
      }
      return false;
    }
    const marker = before?.marker ?? L.marker(at, { riseOnHover: true });
    const focused = before !== undefined && marker.getElement() === document.activeElement;
    const { noData, unjudged, levelSpoken } = t.value;
    const judged = hasThresholds(station) ? levelSpoken(station.flood_level) : unjudged;
    const spoken = state === "dead" ? noData : judged;
    // Small marks are for the eye; the keyboard has the table.
    marker.options.keyboard = pin;
    marker.setIcon(pin ? stationIcon(station, name, state, current, spoken) : smallIcon(station, state));
    if (!pin || !before) marker.setLatLng(at);
    if (!before) {
      marker.addTo(this.map);
      marker.on("click keypress", (event) => {
        const key = (event as L.LeafletKeyboardEvent).originalEvent;
        if (event.type === "click" || key.key === "Enter") chosen.value = id;
      });
    }
    // The most dangerous marker lies on top.
    marker.setZIndexOffset((pin ? 10_000 : 0) + 1000 * clampLevel(station.flood_level) - rank);
    const element = marker.getElement();
    element?.removeAttribute("title");
    if (focused) element?.focus({ preventScroll: true });
    this.#entries.set(id, { marker, key, home: at, pin, said });
    return pin || (before?.pin ?? false);
  }
}
