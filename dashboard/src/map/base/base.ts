/** The operator's own map under rivers and stations. Loaded only where there is one. */

import type { Basemap } from "../../api/types";
import * as L from "./leaflet";
import "../../styles/base-map.css";
import { addLines } from "./lines";

const PANE = "base";

/** Text as it may stand in Leaflet's attribution, which takes markup. */
function plain(text: string): string {
  const element = document.createElement("span");
  element.textContent = text;
  return element.innerHTML;
}

/** Draws the layers in their order, each as it arrives; one that cannot be read is left out. */
export function showBase(map: L.Map, base: Basemap): () => void {
  const stops: (() => void)[] = [];
  let gone = false;
  const keep = (stop: () => void) => {
    if (gone) stop();
    else stops.push(stop);
  };
  if (!map.getPane(PANE)) {
    const pane = map.createPane(PANE);
    pane.style.zIndex = "250"; // above Leaflet's tiles, below its lines
    pane.style.pointerEvents = "none";
  }
  const credits = [base.tiles, ...base.layers].map((one) => one?.attribution ?? "").filter((text) => text);
  const control = L.attribution({ prefix: false, position: "bottomright" });
  for (const text of new Set(credits)) control.addAttribution(plain(text));
  if (credits.length > 0) {
    control.addTo(map);
    keep(() => control.remove());
  }
  if (base.tiles) {
    const pictures = L.tileLayer(base.tiles.url, {
      className: "base-pictures",
      maxNativeZoom: 18,
      maxZoom: 20,
    });
    pictures.addTo(map);
    keep(() => pictures.remove());
  }
  for (const layer of base.layers) {
    const added =
      layer.kind === "geojson"
        ? addLines(map, PANE, layer.name, layer.url)
        : import("./tiles").then(({ addTiles }) => addTiles(map, PANE, layer));
    added.then(keep, (error: unknown) => console.warn("a layer of the base map was not drawn", error));
  }
  return () => {
    gone = true;
    for (const stop of stops) stop();
  };
}
