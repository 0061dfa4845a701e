/** What the rivers are doing now, all on one screen; on a phone the list, or the map. */
import { signal } from "@preact/signals";
import { AlertPanel } from "../alerts/alert-panel";
import { ChartPanel } from "../chart/chart-panel";
import { MapPanel } from "../map/map-panel";
import { matching } from "../shell/media";
import { t } from "../store/store";
import { Segments } from "../ui/segments";
import { Summary } from "./summary";
import { LevelTable } from "./table";

/** Room for the list of alerts beside the table. */
const roomy = matching("(min-width: 1800px)");
const phone = matching("(max-width: 599px)");
const TABS = ["list", "map"] as const;
const tab = signal<(typeof TABS)[number]>("list");

function Tabs() {
  const words = t.value.situation;
  return (
    <Segments
      class="segments phone-tabs"
      label={words.tabs}
      options={TABS}
      value={tab.value}
      text={(one) => (one === "list" ? words.list : words.mapTab)}
      name="tab"
      set={(one) => {
        tab.value = one;
      }}
    />
  );
}

export function SituationView() {
  const list = !phone.value || tab.value === "list";
  const map = !phone.value || tab.value === "map";
  return (
    <main class="board" id="view" tabIndex={-1}>
      <Summary />
      {list && <LevelTable />}
      {map && <MapPanel />}
      {!phone.value && <ChartPanel />}
      {roomy.value && <AlertPanel />}
      {phone.value && <Tabs />}
    </main>
  );
}
