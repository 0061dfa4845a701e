/** Which build of the page this is, and whether the server hands out a newer one. */
import { computed, effect } from "@preact/signals";
import { reloadWaitMs } from "../domain/reload";
import { live, lost } from "../store/store";
import { incomplete } from "../ui/part";
import { route } from "../ui/route";

const own = document.querySelector<HTMLMetaElement>('meta[name="version"]')?.content ?? null;

export const outdated = computed(() => {
  const served = live.value.heartbeat?.page ?? null;
  return own !== null && served !== null && served !== own;
});

/** The wall has nobody to press a button: it reloads itself, while the server is there to answer. */
export function keepUpToDate(): void {
  effect(() => {
    if (!(outdated.value || incomplete.value) || lost.value || route.value.view !== "wall") return;
    const [opened] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    const timer = setTimeout(() => location.reload(), reloadWaitMs(opened?.type, performance.now()));
    return () => clearTimeout(timer);
  });
  const worker = navigator.serviceWorker;
  if (!worker || own === null) return;
  addEventListener("load", () => {
    void worker.register("/sw.js").then(async () => {
      const { active } = await worker.ready;
      // After the numbers, the map and the chart have had the line to themselves.
      setTimeout(() => active?.postMessage("keep"), 15_000);
    });
  });
}
