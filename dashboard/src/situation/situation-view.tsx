/** What the rivers are doing now, all on one screen; on a phone the list, or the map. */
import { signal } from "@preact/signals";
import { AlertPanel } from "../alerts/alert-panel";
import { ChartPanel } from "../chart/chart-panel";
import { MapPanel } from "../map/map-panel";
import { matching } from "../shell/media";
import { t } from "../store/store";
import { Summary } from "./summary";
import { LevelTable } from "./table";

/** Room for the list of alerts beside the table. */
const roomy = matching("(min-width: 1800px)");
const phone = matching("(max-width: 599px)");
const tab = signal<"list" | "map">("list");

function Tabs() {
  const words = t.value.situation;
  return (
    <fieldset class="segments phone-tabs">
      <legend class="sr">{words.tabs}</legend>
      {(["list", "map"] as const).map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={tab.value === one}
          data-testid={`tab-${one}`}
          onClick={() => {
            tab.value = one;
          }}
        >
          {one === "list" ? words.list : words.mapTab}
        </button>
      ))}
    </fieldset>
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
