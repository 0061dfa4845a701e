/**
 * The parts of Leaflet that rivers and stations need, from its source files: its one-file build cannot be cut, and is
 * half as large again. Base maps take the rest from `base/leaflet.ts`, loaded only where there is one.
 */
import type { Path, Renderer } from "leaflet";
import { svg } from "leaflet/src/layer/vector/SVG.js";
import { Map as RiverMap } from "leaflet/src/map/Map.js";
// Each way of moving the map adds itself to it.
import "leaflet/src/map/handler/Map.BoxZoom.js";
import "leaflet/src/map/handler/Map.DoubleClickZoom.js";
import "leaflet/src/map/handler/Map.Drag.js";
import "leaflet/src/map/handler/Map.Keyboard.js";
import "leaflet/src/map/handler/Map.ScrollWheelZoom.js";
import "leaflet/src/map/handler/Map.TouchZoom.js";

export type {
  Control,
  DivIcon,
  LatLngExpression,
  LatLngTuple,
  LeafletKeyboardEvent,
  Map,
  Marker,
} from "leaflet";
export { scale } from "leaflet/src/control/Control.Scale.js";
export { zoom } from "leaflet/src/control/Control.Zoom.js";
export { toLatLngBounds as latLngBounds } from "leaflet/src/geo/LatLngBounds.js";
export { layerGroup } from "leaflet/src/layer/LayerGroup.js";
export { divIcon } from "leaflet/src/layer/marker/DivIcon.js";
export { marker } from "leaflet/src/layer/marker/Marker.js";
export { circleMarker } from "leaflet/src/layer/vector/CircleMarker.js";
export { polyline } from "leaflet/src/layer/vector/Polyline.js";
export { createMap as map } from "leaflet/src/map/Map.js";

interface Drawn extends RiverMap {
  _renderer?: Renderer;
}

/** Leaflet's own `getRenderer` brings its canvas along; here lines are SVG, unless a layer has its own renderer. */
RiverMap.include({
  getRenderer(this: Drawn, { options }: Path): Renderer {
    this._renderer ??= svg();
    const renderer = options.renderer ?? this._renderer;
    if (!this.hasLayer(renderer)) this.addLayer(renderer);
    return renderer;
  },
});
