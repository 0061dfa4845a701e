/** What a hydrograph shows, from the history kept and the registry; the small chart and the large one alike. */
import { effect, type ReadonlySignal, signal } from "@preact/signals";
import type { Station } from "../api/types";
import { type Datum, read } from "../domain/datum";
import { metres } from "../domain/format";
import { clampLevel, luminance } from "../domain/levels";
import { type Span, type Window, windowOf } from "../domain/span";
import { pick } from "../i18n";
import { lang, levelTable, now, stationLevels, stations, t, theme } from "../store/store";
import { part } from "../ui/part";
import type { Line } from "./draw";
import type { History } from "./history";
import type { Hands, Picture, Plot } from "./plot";
import { endWith, gapSeconds, type Mark, STEP_S, type Stretch, unknownRain } from "./series";

const colourOf = (level: number) => levelTable.value[clampLevel(level)]?.colour ?? "#888888";

/** A dark colour on the dark screen and a light one on the light screen would vanish. */
export function lineColour(level: number): string {
  const colour = colourOf(level);
  if (theme.value === "dark" && luminance(colour) < 0.02) return "#FFFFFF";
  if (theme.value === "light" && luminance(colour) > 0.9) return "#555555";
  return colour;
}

export const crestColour = () => (theme.value === "dark" ? "#d8b08c" : "#7a4a1e");

export function linesOf(station: Station | undefined, datum: Datum): readonly Line[] {
  if (!station) return [];
  const said = (value: number) => metres(read(value, datum));
  const found: Line[] = station.thresholds.map((th) => ({
    value: th.value_m,
    label: `${th.level} ${pick(th.name, lang.value)} ${said(th.value_m)}`,
    colour: lineColour(th.level),
    band: th.level >= 5 ? "#80808040" : `${colourOf(th.level)}1f`,
  }));
  const more = (value: number | null | undefined, word: string, colour: string) => {
    if (typeof value === "number") found.push({ value, label: `${word} ${said(value)}`, colour, band: "" });
  };
  more(station.crest_m, t.value.crest, crestColour());
  more(station.design_high_water_m, t.value.designHigh, theme.value === "dark" ? "#9fb4c2" : "#4a5b67");
  return found;
}

/** The history, ended by the number in the table where it reaches now: no mean may stand as the newest level. */
export function marksOf(past: History): readonly Mark[] {
  const newest = stationLevels.value.get(past.asked.station);
  if (past.asked.span.endS !== null || !newest?.observed_at) return past.level;
  const { station_id, level_m: value, observed_at: time, flag } = newest;
  return endWith(past.level, { station_id, quantity: "water_level", time, value, flag });
}

/** Marks of the stretch itself; the plot draws a little more on either side. */
export const inside = (marks: readonly Mark[], [from, to]: Window): readonly Mark[] =>
  marks.filter((m) => m.at >= from && m.from <= to + 60);

/** Time moves a pixel at once: one redraw for about each, at most one a second and at least one a minute. */
export function steadyNow(span: Span): number {
  const every = Math.max(1_000, Math.min(60_000, span.lengthS));
  return Math.floor(now.value / every) * (every / 1000);
}

export function reportEveryS(station: string, quantity: string): number {
  const usual = stationLevels.value.get(station)?.report_every_s ?? 600;
  if (quantity === "water_level") return usual;
  return stations.value.get(station)?.sensors.find((s) => s.quantity === quantity)?.report_every_s ?? usual;
}

/** When nothing is known of the rain where a gauge stands; nowhere while its history is on its way. */
export function rainUnknownIn(past: History, [from, to]: Window, nowS: number): readonly Stretch[] {
  if (!past.hasRain || past.rainLost || past.state !== "ready") return [];
  const everyS = reportEveryS(past.asked.station, "rainfall");
  return unknownRain(past.rain, [from, Math.min(to, nowS)], everyS, STEP_S[past.resolution]);
}

/** What the words say of the rain: for how long it is not known, and how many bars lack reports. */
export function rainWords(past: History, window: Window, nowS: number): string {
  const minutes = rainUnknownIn(past, window, nowS).reduce((sum, [from, to]) => sum + (to - from) / 60, 0);
  const cut = inside(past.rain, window).filter((m) => m.incomplete).length;
  const said = [minutes >= 1 ? t.value.rainUnknownFor(Math.round(minutes)) : ""];
  if (cut > 0) said.push(t.value.rainIncomplete(cut));
  return said.filter(Boolean).join(" ");
}

export function pictureOf(past: History, marks: readonly Mark[], datum: Datum, nowS: number): Picture {
  const { station, span } = past.asked;
  const rainWidthS = STEP_S[past.resolution] || reportEveryS(station, "rainfall");
  const window = windowOf(span, nowS);
  return {
    level: marks,
    rain: past.rain,
    rainUnknown: rainUnknownIn(past, window, nowS),
    rainWidthS,
    rainUnit: t.value.perReport(rainWidthS / 60),
    gapS: gapSeconds(past.resolution, reportEveryS(station, "water_level")),
    lines: linesOf(stations.value.get(station), datum),
    datum,
    nowS,
    window,
    nowWord: t.value.now,
    rainWord: t.value.rain,
    rainUnknownWord: t.value.rainUnknown,
  };
}

/** The plot itself comes in a file of its own. */
export const plotFile = part(() => import("./plot").then((m) => m.createPlot));

/** Draws into `host` for as long as it is there. */
export function mountPlot(
  host: HTMLElement,
  picture: ReadonlySignal<Picture | null>,
  hands: Hands,
  at?: ReadonlySignal<number | null>,
): () => void {
  const plot = signal<Plot | null>(null);
  const stops: (() => void)[] = [];
  let gone = false;
  void plotFile.ready().then((createPlot) => {
    if (gone) return;
    stops.push(
      effect(() => {
        theme.value;
        plot.peek()?.destroy();
        plot.value = createPlot(host, hands);
      }),
      effect(() => {
        if (picture.value) plot.value?.show(picture.value);
      }),
      effect(() => {
        if (at) plot.value?.point(at.value);
      }),
    );
  });
  return () => {
    gone = true;
    for (const stop of stops) stop();
    plot.peek()?.destroy();
  };
}
