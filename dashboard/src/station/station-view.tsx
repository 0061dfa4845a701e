/** One station: what its water did, what stands in its way, who is up and down the river. */
import { useLayoutEffect } from "preact/hooks";
import "../styles/station.css";
import { chosen, stations } from "../store/store";
import { Devices } from "./devices";
import { Head } from "./head";
import { Hydrograph } from "./hydrograph";
import { Neighbours } from "./neighbours";
import { PastAlerts } from "./past-alerts";
import { Section } from "./section";
import { keepStation, level, registered } from "./state";
import { stationWords } from "./station-catalogue";

/** Made anew for each station. */
export function StationView({ id }: { id: string }) {
  useLayoutEffect(() => {
    chosen.value = id;
    return keepStation();
  }, [id]);
  const unknown = stations.value.size > 0 && !registered.value && !level.value;
  return (
    <main class="view view-station" id="view" tabIndex={-1} data-testid="station-view">
      {unknown ? (
        <p class="empty">{stationWords.value.unknown(id)}</p>
      ) : (
        <>
          <Head />
          <Hydrograph />
          <Section />
          <Neighbours />
          <PastAlerts />
          <Devices />
        </>
      )}
    </main>
  );
}
