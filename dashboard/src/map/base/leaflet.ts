/** The parts of Leaflet that only base maps need. */
export type { Coords, DoneCallback, GridLayerOptions, Map } from "leaflet";
export { attribution } from "leaflet/src/control/Control.Attribution.js";
export { geoJSON } from "leaflet/src/layer/GeoJSON.js";
export { GridLayer } from "leaflet/src/layer/tile/GridLayer.js";
export { tileLayer } from "leaflet/src/layer/tile/TileLayer.js";
export { canvas } from "leaflet/src/layer/vector/Canvas.js";
