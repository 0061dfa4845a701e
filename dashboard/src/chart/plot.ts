/** The uPlot canvas: made once a station, range, language or theme; redrawn as time and readings come. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "../styles/chart.css";
import { clock, monthDay, SITE_TIME_ZONE } from "../domain/format";
import {
  drawBands,
  drawLines,
  drawMarks,
  drawNow,
  drawRain,
  drawRainLabel,
  type Ink,
  type Line,
} from "./draw";
import { axisRange, type Columns, columns, extent, lonely, type Mark } from "./series";

export interface Picture {
  readonly level: readonly Mark[];
  readonly rain: readonly Mark[];
  readonly rainWidthS: number;
  readonly rainUnit: string;
  readonly gapS: number;
  readonly lines: readonly Line[];
  readonly nowS: number;
  readonly spanS: number;
}

export interface Words {
  readonly now: string;
  readonly rain: string;
}

export interface Plot {
  show(picture: Picture): void;
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
    font: style.fontFamily,
  };
}

/** Room right of the now-line, as a share of the range shown. */
const AHEAD = 0.03;
const EMPTY: Columns = [[], [], [], []];

export function createPlot(
  host: HTMLElement,
  words: Words,
  pointed: (mark: { at: number; value: number | null } | null) => void,
): Plot {
  const pens = ink(host);
  const grid = getComputedStyle(host).getPropertyValue("--grid").trim();
  const font = `12px ${pens.font}`;
  let picture: Picture | null = null;
  let cols: Columns = EMPTY;
  let alone: { at: number; value: number }[] = [];
  let band: readonly [number, number] = [0, 1];

  const timeLabels = (_: uPlot, splits: number[]) => {
    let dayBefore = "";
    return splits.map((at) => {
      const day = monthDay(at * 1000);
      const time = clock(at * 1000);
      const text = day === dayBefore || (dayBefore === "" && time !== "00:00") ? time : `${time}\n${day}`;
      dayBefore = day;
      return picture && picture.spanS > 172_800 ? (time === "00:00" ? day : time) : text;
    });
  };

  const plot = new uPlot(
    {
      width: host.clientWidth || 300,
      height: host.clientHeight || 240,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), SITE_TIME_ZONE),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 8 } },
      scales: {
        x: { time: true, range: (_, min, max) => (picture ? window(picture) : [min, max]) },
        m: { range: () => [band[0], band[1]] },
      },
      axes: [
        {
          stroke: pens.text,
          font,
          grid: { stroke: grid, width: 1 },
          ticks: { show: false },
          values: timeLabels,
          space: 64,
          size: 36,
        },
        {
          scale: "m",
          stroke: pens.text,
          font,
          grid: { stroke: grid, width: 1 },
          ticks: { show: false },
          size: 52,
          values: (_, splits) => splits.map((v) => v.toFixed(band[1] - band[0] < 1 ? 2 : 1)),
        },
      ],
      series: [
        {},
        { scale: "m", stroke: pens.water, width: 2.25, spanGaps: false, points: { show: false } },
        { scale: "m", width: 0, points: { show: false } },
        { scale: "m", width: 0, points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: `${pens.water}44` }],
      hooks: {
        drawClear: [
          (u) => {
            if (!picture) return;
            drawBands(u, picture.lines);
            drawRain(u, picture.rain, picture.rainWidthS, pens, devicePixelRatio);
          },
        ],
        draw: [
          (u) => {
            if (!picture) return;
            const px = devicePixelRatio;
            drawLines(u, picture.lines, pens, px);
            drawMarks(u, picture.level, alone, pens, px);
            drawNow(u, picture.nowS, words.now, pens, px);
            drawRainLabel(u, picture.rain, words.rain, picture.rainUnit, pens, px);
          },
        ],
        setCursor: [
          (u) => {
            const i = u.cursor.idx;
            const at = typeof i === "number" ? cols[0][i] : undefined;
            pointed(at === undefined || typeof i !== "number" ? null : { at, value: cols[1][i] ?? null });
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
      const [from] = window(next);
      const shown = next.level.filter((m) => m.at >= from - next.gapS);
      cols = columns(shown, next.gapS);
      alone = lonely(cols).map((i) => ({ at: cols[0][i] ?? 0, value: cols[1][i] ?? 0 }));
      band = axisRange(
        extent(shown),
        next.lines.map((l) => l.value),
      );
      plot.setData(cols as unknown as uPlot.AlignedData, true);
    },
    destroy() {
      resized.disconnect();
      plot.destroy();
    },
  };
}

function window(picture: Picture): [number, number] {
  return [picture.nowS - picture.spanS, picture.nowS + picture.spanS * AHEAD];
}
