/** Leaves out of Leaflet and uPlot what no map and no chart of ours has: a tenth of the first page. */
import type { Plugin } from "vite";

/** By file of `leaflet/src/layer/`, what stands in its place. */
const REPLACED: Readonly<Record<string, string>> = {
  // The drawing of Internet Explorer before 9.
  "vector/SVG.VML.js": "export const vmlCreate = undefined; export const vmlMixin = {};",
  // No marker is dragged: Leaflet asks whether this is there.
  "marker/Marker.Drag.js": "export const MarkerDrag = undefined;",
  // Every marker has an icon of its own: the usual picture need not be found.
  "marker/Icon.Default.js": 'export { Icon as IconDefault } from "./Icon";',
};

/** What uPlot offers and does not use by itself: other ways to draw a line, bars, and the joining of tables. */
const OFFERED = /\(paths\.(?:linear|stepped|bars|spline) +=[^;]+;|uPlot\.join = join;/g;
const OFFERS = 5;

const UNUSED_STYLE = {
  "leaflet.css": /popup|tooltip|control-layers|vml|image-layer|shadow|safari|default-icon|draggable/,
  "uPlot.min.css": /u-title|u-legend|u-inline|u-live|u-series|u-value|u-marker/,
} as const;

/** Pure: a flat style sheet without the selectors of what is not used. */
export function withoutSelectors(css: string, unused: RegExp): string {
  return css.replace(/\/\*.*?\*\//gs, "").replace(/([^{}]+)(\{[^{}]*\})/g, (_rule, selectors, body) => {
    const used = selectors.split(",").filter((selector: string) => !unused.test(selector));
    return used.length > 0 ? used.join(",") + body : "";
  });
}

function uPlotInUse(code: string): string {
  const found = code.match(OFFERED)?.length ?? 0;
  if (found !== OFFERS) throw new Error(`uPlot offers ${found} things that are left out, not ${OFFERS}`);
  return code.replace(OFFERED, "");
}

export function withoutUnused(): Plugin {
  return {
    name: "without-unused",
    enforce: "pre",
    transform(code, id) {
      const [, library, file = ""] = /\/(leaflet|uplot)\/(?:src\/layer|dist)\/([\w./]+)$/.exec(id) ?? [];
      if (file === "leaflet.css" || file === "uPlot.min.css")
        return withoutSelectors(code, UNUSED_STYLE[file]);
      if (file === "uPlot.esm.js") return uPlotInUse(code);
      return library === "leaflet" ? (REPLACED[file] ?? null) : null;
    },
  };
}
