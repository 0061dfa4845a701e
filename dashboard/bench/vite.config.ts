import { defineConfig } from "vite";
import { withoutUnused } from "../build/unused.ts";

/** The page's own code, built as the page is, around a stop-watch. */
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [withoutUnused()],
  build: { target: "es2022", rolldownOptions: { input: "chart.html" } },
});
