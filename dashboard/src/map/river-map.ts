/** Rivers and stations without any background tiles: nothing is asked of another host. */
import { effect } from "@preact/signals";
import L from "leaflet";
import "leaflet/dist/leaflet.css";
import "../styles/map.css";
import type { GeoCollection, StationLevel } from "../api/types";
import { freshnessNow } from "../domain/freshness";
import { clampLevel } from "../domain/levels";
import { pick } from "../i18n";
import { chosen, geo, lang, levels, now, order, selected, stations, t } from "../store/store";
import { keepBase, mapHint } from "./base/under";
import { graticule } from "./graticule";

import { placeLabels, remPx } from "./labels";
import { stationIcon } from "./marker";
import { spread } from "./spread";

/** Outside its neighbours' reach even where two touch: 44 px targets, at least 24 px of each free. */
const PINS_APART_REM = 46 / 16;

function position(station: StationLevel): L.LatLngTuple | null {
  const registered = stations.value.get(station.station_id);
  const lat = station.lat ?? registered?.lat;
  const lon = station.lon ?? registered?.lon;
  return typeof lat === "number" && typeof lon === "number" ? [lat, lon] : null;
}

function riverLines(collection: GeoCollection | null) {
  return (collection?.features ?? []).filter(
    (f) => f.properties?.["kind"] === "river" && /^(Multi)?LineString$/.test(f.geometry?.type ?? ""),
  );
}

export function mountMap(host: HTMLElement): () => void {
  const coarse = matchMedia("(pointer: coarse)").matches;
  const map = L.map(host, {
    attributionControl: false,
    zoomControl: false,
    scrollWheelZoom: false,
    // One finger scrolls the page, two move the map.
    dragging: !coarse,
    zoomSnap: 0.25,
    zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  }).setView([35.7, 139.7], 10);
  const drawGraticule = graticule(map);
  const rivers = L.layerGroup().addTo(map);
  const leaders = L.layerGroup().addTo(map);
  const markers = new Map<string, { marker: L.Marker; key: string; home: L.LatLngTuple }>();
  let zoom: L.Control.Zoom | undefined;
  let fitted = false;

  const zoomToStations = () => {
    const points = (levels.value?.stations ?? []).map(position).filter((p) => p !== null);
    if (fitted || points.length === 0 || host.clientWidth === 0) return;
    fitted = true;
    map.fitBounds(L.latLngBounds(points), {
      paddingTopLeft: [48, 48],
      paddingBottomRight: [72, 48],
      maxZoom: 14,
      animate: false,
    });
  };

  /** Pins keep a finger's width from each other at every scale. */
  const arrange = () => {
    leaders.clearLayers();
    const all = [...markers.values()];
    const homes = all.map(({ home }) => map.latLngToLayerPoint(home));
    for (const [i, spot] of spread(homes, PINS_APART_REM * remPx()).entries()) {
      const entry = all[i];
      const home = homes[i];
      if (!entry || !home) continue;
      const there = map.layerPointToLatLng([spot.x, spot.y]);
      const pushed = Math.hypot(spot.x - home.x, spot.y - home.y) > 1;
      entry.marker.setLatLng(pushed ? there : entry.home);
      if (!pushed) continue;
      const style = { className: "leader", interactive: false, weight: 1.5 };
      L.polyline([entry.home, there], style).addTo(leaders);
      L.circleMarker(entry.home, { ...style, radius: 3 }).addTo(leaders);
    }
    label();
  };

  /** The most dangerous stations get their names first; the rest where there is room. */
  const label = () => {
    const first = selected.peek();
    const ids = [...(first ? [first] : []), ...order.peek().filter((id) => id !== first)];
    const pins = ids.flatMap((id) => {
      const element = markers.get(id)?.marker.getElement();
      return element ? [element] : [];
    });
    placeLabels(host, pins);
  };
  map.on("zoomend moveend resize", arrange);

  L.control.scale({ imperial: false, position: "bottomright" }).addTo(map);
  map.on("focus", () => map.scrollWheelZoom.enable());
  map.on("blur", () => map.scrollWheelZoom.disable());

  const stops = [
    keepBase(map),
    effect(() => {
      const words = t.value;
      zoom?.remove();
      zoom = L.control
        .zoom({ position: "topright", zoomInTitle: words.zoomIn, zoomOutTitle: words.zoomOut })
        .addTo(map);
      map.getContainer().setAttribute("role", "application");
      map.getContainer().setAttribute("aria-label", `${words.map} – ${mapHint()}`);
    }),
    effect(() => {
      rivers.clearLayers();
      for (const feature of riverLines(geo.value)) {
        L.geoJSON(feature as unknown as GeoJSON.GeoJsonObject, {
          interactive: false,
          style: { className: "river-line" },
        }).addTo(rivers);
      }
    }),
    effect(() => {
      zoomToStations();
      const seen = new Set<string>();
      let changed = false;
      const rank = new Map(order.value.map((id, i) => [id, i]));
      for (const station of levels.value?.stations ?? []) {
        const at = position(station);
        if (!at) continue;
        const id = station.station_id;
        seen.add(id);
        const state = freshnessNow(station, now.value);
        const name = pick(station.name, lang.value);
        const current = selected.value === id;
        const key = [
          at,
          name,
          state,
          current,
          station.flood_level,
          station.level_m?.toFixed(2),
          lang.value,
        ].join("|");
        const entry = markers.get(id);
        if (entry?.key === key) continue;
        const marker = entry?.marker ?? L.marker(at, { keyboard: true, riseOnHover: true });
        if (!entry) marker.setLatLng(at);
        const focused = marker.getElement() === document.activeElement;
        const spoken = state === "dead" ? t.value.noData : t.value.levelSpoken(station.flood_level);
        marker.setIcon(stationIcon(station, name, state, current, spoken));
        if (!entry) {
          marker.addTo(map);
          marker.on("click keypress", (event) => {
            const key = (event as L.LeafletKeyboardEvent).originalEvent;
            if (event.type === "click" || key.key === "Enter") chosen.value = id;
          });
        }
        // The most dangerous marker lies on top.
        marker.setZIndexOffset(1000 * clampLevel(station.flood_level) - (rank.get(id) ?? 0));
        const element = marker.getElement();
        element?.removeAttribute("title");
        if (focused) element?.focus({ preventScroll: true });
        markers.set(id, { marker, key, home: at });
        changed = true;
      }
      for (const [id, { marker }] of markers) {
        if (seen.has(id)) continue;
        marker.remove();
        markers.delete(id);
        changed = true;
      }
      if (changed) arrange();
    }),
  ];

  const resized = new ResizeObserver(() => {
    map.invalidateSize({ animate: false });
    zoomToStations();
    drawGraticule();
  });
  resized.observe(host);

  return () => {
    resized.disconnect();
    for (const stop of stops) stop();
    map.remove();
  };
}
