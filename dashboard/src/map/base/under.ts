/** Looks whether this site has a map of its own, and keeps what is drawn in step with it. */
import { signal } from "@preact/signals";
import type L from "leaflet";
import { getBasemap } from "../../api/client";
import { t } from "../../store/store";

const LOOK_EVERY_MS = 600_000;

/** Whether anything is drawn under rivers and stations. */
export const hasBase = signal(false);

/** What lies under rivers and stations, in words. */
export const mapHint = () => (hasBase.value ? t.value.baseMap.hint : t.value.mapHint);

export function keepBase(map: L.Map): () => void {
  let shown = "";
  let remove: (() => void) | undefined;
  let gone = false;
  const look = async () => {
    const base = await getBasemap();
    const wanted = JSON.stringify(base);
    if (gone || wanted === shown) return;
    const some = base.layers.length > 0 || base.tiles !== null;
    const shows = some ? (await import("./base")).showBase : undefined;
    if (gone) return;
    remove?.();
    remove = shows?.(map, base);
    shown = wanted;
    hasBase.value = some;
  };
  // a server that is away has no map to give; the next look may find one
  const tryLook = () => void look().catch(() => undefined);
  tryLook();
  const timer = setInterval(tryLook, LOOK_EVERY_MS);
  return () => {
    gone = true;
    clearInterval(timer);
    remove?.();
  };
}
