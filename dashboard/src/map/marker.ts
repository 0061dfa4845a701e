/** A station on the map: digit, shape and colour, with its name and level beneath. */

import type { Freshness, StationLevel } from "../api/types";
import { metres } from "../domain/format";
import { believed } from "../domain/freshness";
import { clampLevel, digit, SHAPES } from "../domain/levels";
import * as L from "./leaflet";

const SVG = "http://www.w3.org/2000/svg";

function shape(level: number, dead: boolean): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "-1.5 -1.5 27 27");
  svg.setAttribute("class", `shape shape-${dead ? "missing" : level}`);
  svg.setAttribute("aria-hidden", "true");
  for (const part of ["shape-rim", "shape-body"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", part);
    path.setAttribute("d", SHAPES[level] ?? "");
    svg.append(path);
  }
  const text = document.createElementNS(SVG, "text");
  text.setAttribute("x", "12");
  text.setAttribute("y", level === 2 ? "19" : "16.9");
  text.setAttribute("text-anchor", "middle");
  text.textContent = dead ? "?" : digit(level);
  svg.append(text);
  return svg;
}

function line(className: string, text: string): HTMLSpanElement {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = text;
  return span;
}

export const levelText = (station: StationLevel) => `${metres(believed(station))} m`;

/** One of many: its shape alone, at its own place. */
export function smallIcon(station: StationLevel, state: Freshness): L.DivIcon {
  return L.divIcon({
    className: "pin-host pin-small",
    html: shape(clampLevel(station.flood_level), state === "dead"),
    iconSize: [24, 24],
  });
}

export function stationIcon(
  station: StationLevel,
  name: string,
  state: Freshness,
  isChosen: boolean,
  spoken: string,
): L.DivIcon {
  const dead = state === "dead";
  const body = document.createElement("span");
  body.className = "pin";
  const label = document.createElement("span");
  label.className = "pin-label";
  label.append(line("pin-name", name), line("pin-level", levelText(station)));
  body.append(shape(clampLevel(station.flood_level), dead), label, line("sr", spoken));
  return L.divIcon({
    className: `pin-host pin-${state}${isChosen ? " pin-chosen" : ""}`,
    html: body,
    iconSize: [44, 44],
  });
}
