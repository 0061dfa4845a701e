/// <reference types="vitest/config" />
import { defineConfig } from "vite";

const api = process.env["KAWAMORI_API_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // A data: URL would need `img-src data:`; the page must work under `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": { target: api } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
