/** What the rivers are doing now, all on one screen. */
import { AlertPanel } from "../alerts/alert-panel";
import { ChartPanel } from "../chart/chart-panel";
import { MapPanel } from "../map/map-panel";
import { Summary } from "./summary";
import { LevelTable } from "./table";

export function SituationView() {
  return (
    <main class="board" id="view" tabIndex={-1}>
      <Summary />
      <LevelTable />
      <ChartPanel />
      <MapPanel />
      <AlertPanel />
    </main>
  );
}
