import { effect } from "@preact/signals";
import { ChartPanel } from "../chart/chart-panel";
import { pick } from "../i18n";
import { MapPanel } from "../map/map-panel";
import { impaired } from "../store/answers";
import { lang, lost, site, t, theme } from "../store/store";
import { AlertDialog } from "./alert-dialog";
import { AlertingLine } from "./alerting-line";
import { AlertPanel } from "./alerts";
import { Banners } from "./banners";
import { Footer } from "./footer";
import { Header } from "./header";
import { Summary } from "./summary";
import { LevelTable } from "./table";

effect(() => {
  const root = document.documentElement;
  root.lang = lang.value;
  root.dataset["theme"] = theme.value;
  root.dataset["status"] = site.value?.status ?? "actual";
  root.toggleAttribute("data-lost", lost.value);
  root.toggleAttribute("data-impaired", impaired.value.length > 0);
});

effect(() => {
  const words = t.value;
  const { status = "actual", name } = site.value ?? {};
  const mark = status === "exercise" ? words.drill : status === "test" ? words.test : "";
  const place = name ? `${pick(name, lang.value)} · ` : "";
  document.title = `${lost.value ? `⚠ ${words.lost} · ` : ""}${mark}${place}${words.productName}`;
});

export function App() {
  return (
    <>
      <a class="skip" href="#levels">
        {t.value.skipToTable}
      </a>
      <Header />
      <Banners />
      <AlertingLine />
      <main class="board">
        <Summary />
        <LevelTable />
        <ChartPanel />
        <MapPanel />
        <AlertPanel />
      </main>
      <Footer />
      <AlertDialog />
    </>
  );
}
