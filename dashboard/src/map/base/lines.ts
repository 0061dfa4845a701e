/** A layer that came whole: drawn on one canvas, not touched by pointer or keyboard. */
import type { FeatureCollection } from "geojson";
import { withInk } from "./ink";
import { KINDS, kindOf, lookOf } from "./kinds";
import * as L from "./leaflet";

export async function addLines(map: L.Map, pane: string, name: string, url: string): Promise<() => void> {
  const answer = await fetch(url, { priority: "low" });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const found = (await answer.json()) as FeatureCollection;
  const kinds = new Map(found.features.map((f) => [f, kindOf(name, f.properties ?? {})]));
  const rank = (f: FeatureCollection["features"][number]) => KINDS.indexOf(kinds.get(f) ?? "other");
  found.features.sort((a, b) => rank(a) - rank(b));
  const renderer = L.canvas({ pane, padding: 0.2 });
  const layer = L.geoJSON(found, { pane, interactive: false, style: { renderer } });
  const stop = withInk((ink) => {
    layer.setStyle((feature) => {
      const kind = (feature && kinds.get(feature as FeatureCollection["features"][number])) ?? "other";
      const { fill, width, dash } = lookOf(kind);
      const area = /Polygon$/.test(feature?.geometry.type ?? "");
      return {
        stroke: width > 0,
        color: ink[kind],
        weight: width,
        opacity: 1,
        dashArray: dash.join(" "),
        fill: fill && area,
        fillColor: ink[kind],
        fillOpacity: 1,
      };
    });
    layer.addTo(map);
  });
  return () => {
    stop();
    layer.remove();
  };
}
