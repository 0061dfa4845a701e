import { defineConfig } from "vite";

/** The page's own code, built as the page is, around a stop-watch. */
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: { target: "es2022", rolldownOptions: { input: "chart.html" } },
});
