/** The uPlot canvas: made once a place and theme; redrawn as time and readings come. */
import uPlot from "uplot";
import type { Datum } from "../domain/datum";
import { metres, SITE_TIME_ZONE, timeLabels } from "../domain/format";
import type { Window } from "../domain/span";
import { letterScale } from "../ui/scale";
import {
  type Box,
  drawBands,
  drawLines,
  drawMarks,
  drawNow,
  drawRain,
  drawRainLabel,
  drawRainUnknown,
  type Ink,
  type Line,
  type Special,
} from "./draw";
import { axisRange, type Columns, columns, extent, lonely, type Mark, type Stretch } from "./series";

export interface Picture {
  /** In order of time, above gauge zero; the datum moves them. */
  readonly level: readonly Mark[];
  readonly rain: readonly Mark[];
  readonly rainWidthS: number;
  readonly rainUnit: string;
  readonly gapS: number;
  readonly lines: readonly Line[];
  readonly datum: Datum;
  readonly nowS: number;
  readonly window: Window;
  readonly nowWord: string;
  readonly rainWord: string;
  /** When nothing is known of it. */
  readonly rainUnknown: readonly Stretch[];
  readonly rainUnknownWord: string;
}

export interface Hands {
  /** The point under the pointer. */
  readonly pointed: (at: number | null) => void;
  /** A stretch was drawn out with the pointer. */
  readonly zoom?: (fromS: number, toS: number) => void;
}

export interface Plot {
  show(picture: Picture): void;
  /** Puts the cross-hair on a time, as the pointer would. */
  point(atS: number | null): void;
  destroy(): void;
}

function ink(host: HTMLElement): Ink {
  const style = getComputedStyle(host);
  const get = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: get("--text"),
    faint: get("--chart-future"),
    paper: get("--panel"),
    water: get("--water"),
    rain: get("--rain"),
    alarm: get("--fail"),
    late: get("--late-mark"),
    font: style.fontFamily,
  };
}

/** Room right of the now-line, as a share of the range shown. */
const AHEAD = 0.03;
/** A stretch of fewer pixels is a click. */
const LEAST_DRAG_PX = 8;
const EMPTY: Columns = [[], [], [], []];

export function createPlot(host: HTMLElement, hands: Hands): Plot {
  const pens = ink(host);
  const grid = getComputedStyle(host).getPropertyValue("--grid").trim();
  const scale = letterScale();
  const font = `${12 * scale}px ${pens.font}`;
  let picture: Picture | null = null;
  let cols: Columns = EMPTY;
  let special: Special[] = [];
  let alone: { at: number; value: number }[] = [];
  let lines: Line[] = [];
  let labels: readonly Box[] = [];
  let band: readonly [number, number] = [0, 1];

  const plot = new uPlot(
    {
      width: host.clientWidth || 300,
      height: host.clientHeight || 240,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), SITE_TIME_ZONE),
      legend: { show: false },
      cursor: { drag: { x: hands.zoom !== undefined, y: false, setScale: false }, points: { size: 8 } },
      scales: {
        x: { time: true, range: (_, min, max) => (picture ? axisWindow(picture) : [min, max]) },
        m: { range: () => [band[0], band[1]] },
      },
      axes: [
        {
          stroke: pens.text,
          font,
          grid: { stroke: grid, width: 1 },
          ticks: { show: false },
          values: (_, splits, _axis, _space, step) => timeLabels(splits, step),
          space: 64 * scale,
          size: 36 * scale,
        },
        {
          scale: "m",
          stroke: pens.text,
          font,
          grid: { stroke: grid, width: 1 },
          ticks: { show: false },
          size: 52 * scale,
          space: 30 * scale,
          values: (_, splits, _axis, _space, step) =>
            splits.map((y) => metres((picture?.datum.sign ?? 1) * y, step < 0.1 ? 2 : 1)),
        },
      ],
      series: [
        {},
        {
          scale: "m",
          stroke: pens.water,
          width: 2.25 * Math.sqrt(scale),
          spanGaps: false,
          points: { show: false },
        },
        { scale: "m", width: 0, points: { show: false } },
        { scale: "m", width: 0, points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: `${pens.water}44` }],
      hooks: {
        drawClear: [
          (u) => {
            if (!picture) return;
            drawBands(u, lines);
            drawRain(u, picture.rain, picture.rainWidthS, pens, devicePixelRatio * scale);
            drawRainUnknown(u, picture.rainUnknown, picture.rainUnknownWord, pens, devicePixelRatio * scale);
          },
        ],
        drawAxes: [
          // over the grid and under the water: no label hides a reading
          (u) => {
            labels = picture ? drawLines(u, lines, pens, devicePixelRatio * scale) : [];
          },
        ],
        draw: [
          (u) => {
            if (!picture) return;
            const px = devicePixelRatio * scale;
            drawMarks(u, special, alone, pens, px);
            drawNow(u, picture.nowS, picture.nowWord, pens, px);
            drawRainLabel(u, picture.rain, picture.rainWord, picture.rainUnit, labels, pens, px);
          },
        ],
        setCursor: [
          (u) => {
            const i = u.cursor.idx;
            hands.pointed(typeof i === "number" ? (cols[0][i] ?? null) : null);
          },
        ],
        setSelect: [
          (u) => {
            const { left, width } = u.select;
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            if (width >= LEAST_DRAG_PX) hands.zoom?.(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
          },
        ],
      },
    },
    EMPTY as unknown as uPlot.AlignedData,
    host,
  );

  const resized = new ResizeObserver(() => {
    if (host.clientWidth > 0) plot.setSize({ width: host.clientWidth, height: host.clientHeight });
  });
  resized.observe(host);

  return {
    show(next) {
      picture = next;
      const { datum } = next;
      const [from, to] = next.window;
      const within = (m: Mark) => m.at >= from - next.gapS && m.at <= to + next.gapS + 60;
      const shown = next.level.every(within) ? next.level : next.level.filter(within);
      cols = columns(shown, next.gapS, datum.offset);
      alone = lonely(cols).map((i) => ({ at: cols[0][i] ?? 0, value: cols[1][i] ?? 0 }));
      special = [];
      for (const { at, value, flag, late } of shown)
        if (value !== null && (late || flag === 3 || flag === 4))
          special.push({ at, y: value + datum.offset, flag, late });
      lines = next.lines.map((line) => ({ ...line, value: line.value + datum.offset }));
      const range = axisRange(
        extent(shown),
        next.lines.map((line) => line.value),
      );
      band = [range[0] + datum.offset, range[1] + datum.offset];
      plot.setData(cols as unknown as uPlot.AlignedData, true);
    },
    point(atS) {
      if (atS === null) plot.setCursor({ left: -10, top: -10 });
      else plot.setCursor({ left: plot.valToPos(atS, "x"), top: plot.bbox.height / devicePixelRatio / 2 });
    },
    destroy() {
      resized.disconnect();
      plot.destroy();
    },
  };
}

/** A picture that reaches now has room to its right, where nothing is known yet. */
function axisWindow({ window: [from, to], nowS }: Picture): [number, number] {
  return [from, to >= nowS ? to + (to - from) * AHEAD : to];
}
