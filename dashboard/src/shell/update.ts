/** Which build of the page this is, and whether the server hands out a newer one. */
import { computed, effect } from "@preact/signals";
import { live, lost } from "../store/store";
import { route } from "./route";

const own = document.querySelector<HTMLMetaElement>('meta[name="version"]')?.content ?? null;

export const outdated = computed(() => {
  const served = live.value.heartbeat?.page ?? null;
  return own !== null && served !== null && served !== own;
});

/** A server that says one thing and hands out another must not make the screen reload for ever. */
const RELOAD_AT_MOST_EVERY_MS = 60_000;
const KEY = "kawamori.reloaded";

/** The wall has nobody to press a button: it reloads itself, while the server is there to answer. */
export function keepUpToDate(): void {
  effect(() => {
    if (!outdated.value || lost.value || route.value.view !== "wall") return;
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    const wait = Math.max(0, last + RELOAD_AT_MOST_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      sessionStorage.setItem(KEY, String(Date.now()));
      location.reload();
    }, wait);
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
