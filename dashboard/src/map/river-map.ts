/** Rivers and stations without any background tiles: nothing is asked of another host. */
import { effect } from "@preact/signals";
import * as L from "./leaflet";
import "leaflet/dist/leaflet.css";
import "../styles/map.css";
import type { GeoCollection } from "../api/types";
import { geo, levels, t } from "../store/store";
import { letterScale } from "../ui/scale";
import { hasBase, keepBase, mapHint } from "./base/under";
import { graticule, SCALE_PX } from "./graticule";
import { placeLabels } from "./labels";
import { Pins, position } from "./pins";
import { spread } from "./spread";

/** Outside its neighbours' reach even where two touch: 44 px targets, at least 24 px of each free. */
const PINS_APART_REM = 46 / 16;
const remPx = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

function riverLines(collection: GeoCollection | null) {
  return (collection?.features ?? []).filter(
    (f) => f.properties?.["kind"] === "river" && /^(Multi)?LineString$/.test(f.geometry?.type ?? ""),
  );
}

/** GeoJSON has longitude first, in a line as in a line of several parts. */
function latLngs(coordinates: unknown): L.LatLngTuple[] {
  const turn = (at: unknown): unknown => {
    if (!Array.isArray(at)) return [];
    return typeof at[0] === "number" ? [at[1], at[0]] : at.map(turn);
  };
  return turn(coordinates) as L.LatLngTuple[];
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
  const pins = new Pins(map);
  let zoom: L.Control.Zoom | undefined;
  let fitted = false;

  // Until somebody takes the map in hand, all stations are on it, however large it is.
  let taken = false;
  const take = () => {
    taken = true;
  };
  for (const event of ["pointerdown", "wheel", "keydown"]) host.addEventListener(event, take, { once: true });

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
    const all = pins.shown();
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
    // The most dangerous stations get their names first; the rest where there is room.
    placeLabels(
      host,
      all.flatMap(({ marker }) => marker.getElement() ?? []),
    );
  };
  map.on("zoomend moveend resize", arrange);

  L.scale({ imperial: false, position: "bottomright", maxWidth: SCALE_PX * letterScale() }).addTo(map);
  map.on("focus", () => map.scrollWheelZoom.enable());
  map.on("blur", () => map.scrollWheelZoom.disable());

  const stops = [
    keepBase(map),
    effect(() => {
      const words = t.value;
      zoom?.remove();
      zoom = L.zoom({ position: "topright", zoomInTitle: words.zoomIn, zoomOutTitle: words.zoomOut }).addTo(
        map,
      );
      map.getContainer().setAttribute("role", "application");
      map.getContainer().setAttribute("aria-label", `${words.map} – ${mapHint()}`);
    }),
    effect(() => {
      rivers.clearLayers();
      for (const feature of riverLines(geo.value)) {
        const style = { className: "river-line", interactive: false };
        L.polyline(latLngs(feature.geometry?.coordinates), style).addTo(rivers);
      }
    }),
    effect(() => {
      zoomToStations();
      if (pins.show()) arrange();
    }),
    effect(() => {
      hasBase.value; // its makers' names take a corner
      arrange();
    }),
  ];

  const resized = new ResizeObserver(() => {
    map.invalidateSize({ animate: false });
    if (!taken) fitted = false;
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
