/** Leaflet's source files, typed by what its bundle calls the same things. */
declare module "leaflet/src/map/Map.js" {
  export { Map, map as createMap } from "leaflet";
}
declare module "leaflet/src/map/handler/*";
declare module "leaflet/src/geo/LatLngBounds.js" {
  export { latLngBounds as toLatLngBounds } from "leaflet";
}
declare module "leaflet/src/layer/LayerGroup.js" {
  export { layerGroup } from "leaflet";
}
declare module "leaflet/src/layer/marker/Marker.js" {
  export { marker } from "leaflet";
}
declare module "leaflet/src/layer/marker/DivIcon.js" {
  export { divIcon } from "leaflet";
}
declare module "leaflet/src/layer/vector/Polyline.js" {
  export { polyline } from "leaflet";
}
declare module "leaflet/src/layer/vector/CircleMarker.js" {
  export { circleMarker } from "leaflet";
}
declare module "leaflet/src/layer/vector/SVG.js" {
  export { svg } from "leaflet";
}
declare module "leaflet/src/layer/vector/Canvas.js" {
  export { canvas } from "leaflet";
}
declare module "leaflet/src/layer/GeoJSON.js" {
  export { geoJSON } from "leaflet";
}
declare module "leaflet/src/layer/tile/GridLayer.js" {
  export { GridLayer } from "leaflet";
}
declare module "leaflet/src/layer/tile/TileLayer.js" {
  export { tileLayer } from "leaflet";
}
declare module "leaflet/src/control/Control.Scale.js" {
  export const scale: typeof import("leaflet").control.scale;
}
declare module "leaflet/src/control/Control.Zoom.js" {
  export const zoom: typeof import("leaflet").control.zoom;
}
declare module "leaflet/src/control/Control.Attribution.js" {
  export const attribution: typeof import("leaflet").control.attribution;
}
