/** Single readings drawn by our hydrograph, and by a bare uPlot of the same points, in turn. */
import uPlot from "uplot";
import "../src/styles/base.css";
import "./chart.css";
import type { Flag, RawPoint } from "../src/api/types";
import { createPlot, type Picture } from "../src/chart/plot";
import { type Mark, toMark } from "../src/chart/series";
import { GAUGE_ZERO } from "../src/domain/datum";

const START = Date.parse("2026-07-13T00:00:00Z");
const STEP_S = 60;

/** A river with a flood wave, noise, a silence, and one reading in a hundred that is not simply good. */
function readings(n: number): RawPoint[] {
  const points: RawPoint[] = [];
  for (let i = 0; i < n; i++) {
    if (i > n * 0.6 && i < n * 0.61) continue;
    const wave = 3 * Math.exp(-(((i - n * 0.4) / (n * 0.08)) ** 2));
    const value = 0.4 + wave + 0.02 * Math.sin(i * 12.9898) + 0.3 * Math.sin(i / 700);
    const flag: Flag = i % 500 === 7 ? 4 : i % 150 === 3 ? 3 : 1;
    const time = new Date(START + i * STEP_S * 1000).toISOString();
    points.push({ time, value, flag, ...(i % 180 === 5 ? { reasons: ["late"] } : {}) });
  }
  return points;
}

function frame(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(id);
  return found;
}

/** Until the pixels are there: drawing is only noted down until somebody asks for one. */
async function timed(host: HTMLElement, draw: () => void): Promise<number> {
  const began = performance.now();
  draw();
  await Promise.resolve();
  await Promise.resolve();
  host.querySelector("canvas")?.getContext("2d")?.getImageData(500, 200, 1, 1);
  return performance.now() - began;
}

export async function measure(n: number, rounds: number) {
  const points = readings(n);
  const began = performance.now();
  const marks: Mark[] = points.map((p) => toMark(p));
  const decodedMs = performance.now() - began;
  const endS = START / 1000 + n * STEP_S;
  const picture = (level: readonly Mark[]): Picture => ({
    level,
    rain: [],
    rainWidthS: STEP_S,
    rainUnknown: [],
    rainUnknownWord: "",
    rainUnit: "mm",
    gapS: 3 * STEP_S,
    lines: [1.5, 2.2, 2.9, 3.5].map((value, i) => ({
      value,
      label: `${i + 1} 水位 ${value}`,
      colour: "#F2E700",
      band: "#F2E7001f",
    })),
    datum: GAUGE_ZERO,
    nowS: endS,
    window: [START / 1000, endS],
    nowWord: "現在",
    rainWord: "雨量",
  });
  const hosts = { ours: frame("ours"), bare: frame("bare") };
  const plot = createPlot(hosts.ours, { pointed: () => undefined, zoom: () => undefined });
  const bare = new uPlot(
    { width: 1000, height: 480, series: [{}, { stroke: "#6fc3e8", width: 2.25 }] },
    [[], []],
    hosts.bare,
  );
  const columns = [marks.map((m) => m.at), marks.map((m) => m.value)] as uPlot.AlignedData;
  const times = { ours: [] as number[], bare: [] as number[] };
  // A page has drawn its usual day before anybody asks for more: fonts are loaded.
  plot.show(picture(marks.slice(-1_440)));
  bare.setData([
    [0, 1],
    [0, 1],
  ]);
  await timed(hosts.ours, () => undefined);
  await timed(hosts.bare, () => undefined);
  for (let i = 0; i < rounds; i++) {
    // An array of its own each time, as an answer of the server is.
    const fresh = picture([...marks]);
    times.ours.push(await timed(hosts.ours, () => plot.show(fresh)));
    times.bare.push(await timed(hosts.bare, () => bare.setData(columns)));
  }
  return { points: points.length, decodedMs, ...times };
}

Object.assign(window, { measure });
