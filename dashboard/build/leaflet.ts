/** Leaves out of Leaflet's source and style what no map of ours has: a fifth of what it would weigh. */
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

const UNUSED = /popup|tooltip|control-layers|vml|image-layer|shadow|safari|default-icon|draggable/;

/** Pure: a flat style sheet without the selectors of what is not used. */
export function withoutUnused(css: string): string {
  return css.replace(/\/\*.*?\*\//gs, "").replace(/([^{}]+)(\{[^{}]*\})/g, (_rule, selectors, body) => {
    const used = selectors.split(",").filter((selector: string) => !UNUSED.test(selector));
    return used.length > 0 ? used.join(",") + body : "";
  });
}

export function leafletInUse(): Plugin {
  return {
    name: "leaflet-in-use",
    enforce: "pre",
    transform(code, id) {
      const file = /\/leaflet\/(?:src\/layer|dist)\/([\w./]+)$/.exec(id)?.[1];
      if (file === "leaflet.css") return withoutUnused(code);
      return file === undefined ? null : (REPLACED[file] ?? null);
    },
  };
}
