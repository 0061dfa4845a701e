/** What the rivers are doing now, all on one screen; on a phone the list, or the map. */
import { AlertPanel } from "../alerts/alert-panel";
import { ChartPanel } from "../chart/chart-panel";
import { MapPanel } from "../map/map-panel";
import { matching, phone } from "../ui/media";
import { mapOnPhone } from "../ui/route";
import { Summary } from "./summary";
import { LevelTable } from "./table";

/** Room for the list of alerts beside the table. */
const roomy = matching("(min-width: 1800px)");

export function SituationView() {
  return (
    <main class="board" id="view" tabIndex={-1}>
      <Summary />
      {!(phone.value && mapOnPhone.value) && <LevelTable />}
      {(!phone.value || mapOnPhone.value) && <MapPanel />}
      {!phone.value && <ChartPanel />}
      {roomy.value && <AlertPanel />}
    </main>
  );
}
