import { useLayoutEffect, useRef } from "preact/hooks";
import { OpenedDialog } from "../alerts/opened-dialog";
import { SituationView } from "../situation/situation-view";
import { t } from "../store/store";
import { lazyView } from "../ui/lazy";
import { route } from "../ui/route";
import { AlertingLine } from "./alerting-line";
import { Announcer } from "./announcer";
import { Banners } from "./banners";
import { Footer } from "./footer";
import { Header } from "./header";

const StationView = lazyView(() => import("../station/station-view").then((m) => m.StationView));
const AlertsView = lazyView(() => import("../alerts/alerts-view").then((m) => m.AlertsView));
const SystemView = lazyView(() => import("../system/system-view").then((m) => m.SystemView));
const WallView = lazyView(() => import("../wall/wall-view").then((m) => m.WallView));

function View() {
  const at = route.value;
  switch (at.view) {
    case "station":
      return <StationView key={at.id} id={at.id} />;
    case "alerts":
      return <AlertsView />;
    case "system":
      return <SystemView />;
    case "wall":
      return <WallView />;
    case "situation":
      return <SituationView />;
  }
}

/** Another view begins at its top for the keyboard and the screen reader as well. */
function useFocusOnNewView() {
  const before = useRef(route.peek());
  const at = route.value;
  useLayoutEffect(() => {
    if (before.current !== at) document.getElementById("view")?.focus({ preventScroll: true });
    before.current = at;
  }, [at]);
}

export function App() {
  const wall = route.value.view === "wall";
  useFocusOnNewView();
  return (
    <>
      <a class="skip" href="#view">
        {t.value.skipToTable}
      </a>
      {!wall && <Header />}
      <Banners />
      <AlertingLine />
      <Announcer />
      <View />
      {!wall && <Footer />}
      <OpenedDialog />
    </>
  );
}
