/// <reference types="vitest/config" />
import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";
import { withoutUnused } from "./build/unused.ts";

const api = process.env["KAWAMORI_API_URL"] ?? "http://127.0.0.1:8000";

/** Tells the page, and through `version.json` the server and the service worker, which build this is and what belongs to it. */
function version(): Plugin {
  return {
    name: "version",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const hash = createHash("sha256");
        const names = Object.keys(bundle).sort();
        for (const name of names) {
          const file = bundle[name];
          if (file) hash.update(name).update(file.type === "asset" ? file.source : file.code);
        }
        const found = hash.digest("hex").slice(0, 12);
        const page = bundle["index.html"];
        if (page?.type === "asset")
          page.source = String(page.source).replace(
            "</title>",
            `</title>\n    <meta name="version" content="${found}" />`,
          );
        const files = ["favicon.svg", ...names.filter((name) => name.startsWith("assets/"))].map(
          (name) => `/${name}`,
        );
        this.emitFile({
          type: "asset",
          fileName: "version.json",
          source: JSON.stringify({ version: found, files }),
        });
      },
    },
  };
}

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [withoutUnused(), version()],
  build: {
    target: "es2022",
    // A data: URL would need `img-src data:`; the page must work under `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rolldownOptions: {
      input: { index: "index.html", sw: "worker/sw.ts" },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
        // All that the first page needs in one file: several would be larger, and each costs its headers.
        codeSplitting: {
          groups: [
            { name: "leaflet", test: /leaflet/, minShareCount: 2, priority: 1 },
            { name: "index", test: /index\.html|src\/(main|ui\/scale)\.ts/ },
          ],
        },
      },
    },
  },
  server: { proxy: { "/api": { target: api } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
