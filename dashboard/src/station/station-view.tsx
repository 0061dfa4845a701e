/** One station: what its water did, what stands in its way, who is up and down the river. */
import { ChartPanel } from "../chart/chart-panel";
import { pick } from "../i18n";
import { chosen, lang, stationLevels, stations } from "../store/store";

export function StationView({ id }: { id: string }) {
  chosen.value = id;
  const named = stationLevels.value.get(id) ?? stations.value.get(id);
  return (
    <main class="view view-station" id="view" tabIndex={-1} data-testid="station-view">
      <h2>{named ? pick(named.name, lang.value) : id}</h2>
      <ChartPanel />
    </main>
  );
}
