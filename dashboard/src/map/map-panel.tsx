import { useEffect, useRef } from "preact/hooks";
import { t } from "../store/store";
import { Missing, part } from "../ui/part";
import { mapHint } from "./base/under";

/** The map itself comes in a file of its own, after the numbers. */
const riverMap = part(() => import("./river-map").then((m) => m.mountMap));

export function MapPanel() {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let stop: (() => void) | undefined;
    let gone = false;
    void riverMap.ready().then((mountMap) => {
      if (!gone && host.current) stop = mountMap(host.current);
    });
    return () => {
      gone = true;
      stop?.();
    };
  }, []);
  return (
    <section class="panel panel-map" aria-labelledby="map-title">
      <div class="panel-head">
        <h2 id="map-title">{t.value.map}</h2>
        <span class="panel-note">{mapHint()}</span>
      </div>
      <div class="map" data-testid="map" ref={host} />
      {riverMap.missing.value && <Missing />}
    </section>
  );
}
