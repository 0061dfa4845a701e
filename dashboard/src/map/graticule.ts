/** A net of latitude and longitude: the only background a city without Internet can count on. */

import { letterScale } from "../ui/scale";
import * as L from "./leaflet";

const STEPS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
/** Lines closer together than this, in pixels, are clutter. */
const APART_PX = 90;
/** The scale, in the lower right corner. */
export const SCALE_PX = 100;
/** A label's own width, and some air. */
const LABEL_PX = 70;

/** The finest step whose lines stay apart at this scale. */
export function graticuleStep(degreesPerPixel: number, scale = 1): number {
  return STEPS.find((step) => step / degreesPerPixel >= APART_PX * scale) ?? 10;
}

export function graticule(map: L.Map): () => void {
  const lines = L.layerGroup().addTo(map);
  const draw = () => {
    lines.clearLayers();
    const box = map.getBounds();
    const size = map.getSize();
    if (size.x === 0) return;
    const step = graticuleStep((box.getEast() - box.getWest()) / size.x, letterScale());
    const digits = step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const style = { className: "graticule", interactive: false, weight: 1 };
    const label = (at: L.LatLngExpression, text: string, side: string) => {
      const element = document.createElement("span");
      element.textContent = text;
      const icon = L.divIcon({ className: `graticule-label ${side}`, html: element, iconSize: [0, 0] });
      L.marker(at, { icon, interactive: false, keyboard: false }).addTo(lines);
    };
    const south = box.getSouth();
    const west = box.getWest();
    for (let x = Math.ceil(west / step) * step; x <= box.getEast(); x += step) {
      L.polyline(
        [
          [south, x],
          [box.getNorth(), x],
        ],
        style,
      ).addTo(lines);
      const right = size.x - map.latLngToContainerPoint([south, x]).x;
      if (right > (SCALE_PX + LABEL_PX) * letterScale())
        label([south, x], `${x.toFixed(digits)}°E`, "bottom-side");
    }
    for (let y = Math.ceil(south / step) * step; y <= box.getNorth(); y += step) {
      L.polyline(
        [
          [y, west],
          [y, box.getEast()],
        ],
        style,
      ).addTo(lines);
      label([y, west], `${y.toFixed(digits)}°N`, "left-side");
    }
  };
  map.on("moveend resize", draw);
  return draw;
}
