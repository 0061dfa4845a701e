/** What the plot's own lines cannot say: thresholds, doubtful points, rain, now. Canvas pixels throughout. */
import type uPlot from "uplot";
import { type Mark, rainOf, type Stretch } from "./series";

export interface Line {
  readonly value: number;
  readonly label: string;
  readonly colour: string;
  /** Fill up to the next line; empty for a line without a band. */
  readonly band: string;
}

/** A reading that is not simply one of the line. */
export interface Special {
  readonly at: number;
  readonly y: number;
  readonly flag: Mark["flag"];
  readonly late: boolean;
}

export interface Ink {
  readonly text: string;
  readonly faint: string;
  readonly paper: string;
  readonly water: string;
  readonly rain: string;
  readonly alarm: string;
  readonly late: string;
  readonly font: string;
}

export type Box = { left: number; top: number; right: number; bottom: number };

function box(u: uPlot): Box {
  const { left, top, width, height } = u.bbox;
  return { left, top, right: left + width, bottom: top + height };
}

function inside(u: uPlot, paint: (ctx: CanvasRenderingContext2D, b: Box) => void): void {
  const b = box(u);
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(b.left, b.top, b.right - b.left, b.bottom - b.top);
  u.ctx.clip();
  paint(u.ctx, b);
  u.ctx.restore();
}

/** Bands under everything: the colour of the level the water would stand at. */
export function drawBands(u: uPlot, lines: readonly Line[]): void {
  inside(u, (ctx, b) => {
    const sorted = lines.filter((l) => l.band !== "").sort((a, z) => a.value - z.value);
    for (const [i, line] of sorted.entries()) {
      const above = sorted[i + 1];
      const y = u.valToPos(line.value, "m", true);
      const top = above ? u.valToPos(above.value, "m", true) : b.top;
      ctx.fillStyle = line.band;
      ctx.fillRect(
        b.left,
        Math.max(b.top, top),
        b.right - b.left,
        Math.min(y, b.bottom) - Math.max(b.top, top),
      );
    }
  });
}

/** Returns where its labels stand, for what is written later. */
export function drawLines(u: uPlot, lines: readonly Line[], ink: Ink, px: number): readonly Box[] {
  const labels: Box[] = [];
  inside(u, (ctx, b) => {
    const shown = lines
      .map((line) => ({ ...line, y: Math.round(u.valToPos(line.value, "m", true)) }))
      .filter(({ y }) => y >= b.top && y <= b.bottom)
      .sort((a, z) => a.value - z.value);
    ctx.setLineDash([6 * px, 4 * px]);
    for (const { y, colour } of shown) {
      ctx.lineWidth = 3.5 * px;
      ctx.strokeStyle = ink.paper;
      horizontal(ctx, b, y);
      ctx.lineWidth = 1.75 * px;
      ctx.strokeStyle = colour;
      horizontal(ctx, b, y);
    }
    ctx.setLineDash([]);
    ctx.font = `${12 * px}px ${ink.font}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.lineJoin = "round";
    // Each on its own line, as on a map's contours; where lines lie close together, side by side.
    let before = { y: Number.POSITIVE_INFINITY, right: b.left };
    for (const { y, label } of shown) {
      const x = (before.y - y < 15 * px ? before.right : b.left) + 8 * px;
      const wide = ctx.measureText(label).width;
      const middle = Math.max(y, b.top + 8 * px);
      const box = {
        left: x - 4 * px,
        right: x + wide + 4 * px,
        top: middle - 8 * px,
        bottom: middle + 8 * px,
      };
      ctx.fillStyle = ink.paper;
      ctx.fillRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      ctx.fillStyle = ink.text;
      ctx.fillText(label, x, middle);
      labels.push(box);
      before = { y, right: x + wide + 6 * px };
    }
  });
  return labels;
}

function horizontal(ctx: CanvasRenderingContext2D, b: Box, y: number): void {
  ctx.beginPath();
  ctx.moveTo(b.left, y);
  ctx.lineTo(b.right, y);
  ctx.stroke();
}

function halo(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, ink: Ink, px: number): void {
  ctx.lineWidth = 4 * px;
  ctx.strokeStyle = ink.paper;
  ctx.strokeText(text, x, y);
  ctx.fillStyle = ink.text;
  ctx.fillText(text, x, y);
}

/** Late marks come in hundreds, after a silence: nearer to each other than this they would hide the line. */
const LATE_APART = 20;

/** Late: hollow diamonds. Suspect: hollow circles on the line. Failed: crosses off it. Lonely good points: dots. */
export function drawMarks(
  u: uPlot,
  marks: readonly Special[],
  alone: readonly { at: number; value: number }[],
  ink: Ink,
  px: number,
): void {
  inside(u, (ctx, b) => {
    ctx.fillStyle = ink.water;
    for (const point of alone) {
      ctx.beginPath();
      ctx.arc(u.valToPos(point.at, "x", true), u.valToPos(point.value, "m", true), 2.5 * px, 0, 7);
      ctx.fill();
    }
    let drawnLate = Number.NEGATIVE_INFINITY;
    for (const mark of marks) {
      const x = u.valToPos(mark.at, "x", true);
      // A failed value off the scale still shows, at the edge it left by.
      const edge = 7 * px;
      const y = Math.max(b.top + edge, Math.min(b.bottom - edge, u.valToPos(mark.y, "m", true)));
      if (mark.late && x - drawnLate >= LATE_APART * px) {
        drawnLate = x;
        const r = 6.5 * px;
        ctx.beginPath();
        ctx.moveTo(x, y - r);
        ctx.lineTo(x + r, y);
        ctx.lineTo(x, y + r);
        ctx.lineTo(x - r, y);
        ctx.closePath();
        ctx.lineWidth = 1.5 * px;
        ctx.strokeStyle = ink.late;
        ctx.stroke();
      }
      if (mark.flag !== 3 && mark.flag !== 4) continue;
      ctx.lineWidth = 2 * px;
      ctx.beginPath();
      if (mark.flag === 3) {
        ctx.fillStyle = ink.paper;
        ctx.strokeStyle = ink.text;
        ctx.arc(x, y, 4 * px, 0, 7);
        ctx.fill();
      } else {
        const r = 4 * px;
        ctx.strokeStyle = ink.alarm;
        ctx.moveTo(x - r, y - r);
        ctx.lineTo(x + r, y + r);
        ctx.moveTo(x + r, y - r);
        ctx.lineTo(x - r, y + r);
      }
      ctx.stroke();
    }
  });
}

/** The share of the plot's height that rain may hang down into. */
const RAIN_SHARE = 0.28;

/** Hangs from the top, under the water's line. A single report tells of the time before it. */
export function drawRain(u: uPlot, rain: readonly Mark[], widthS: number, ink: Ink, px: number): void {
  const { min: from = 0, max: to = 0 } = u.scales["x"] ?? {};
  const shown = rain.filter(
    (m) => m.at >= (from ?? 0) && m.at - widthS <= (to ?? 0) && (rainOf(m) > 0 || m.incomplete === true),
  );
  const most = shown.reduce((top, m) => Math.max(top, rainOf(m)), 0);
  inside(u, (ctx, b) => {
    const full = niceAbove(most);
    const height = (b.bottom - b.top) * RAIN_SHARE;
    ctx.fillStyle = ink.rain;
    ctx.globalAlpha = 0.6;
    for (const mark of shown) {
      const start = mark.min === null ? mark.from - widthS : mark.from;
      const left = u.valToPos(start, "x", true);
      const right = u.valToPos(start + widthS, "x", true);
      const width = Math.max(1 * px, right - left - 1 * px);
      const deep = (height * rainOf(mark)) / (full || 1);
      ctx.fillRect(left, b.top, width, deep);
      if (!mark.incomplete) continue;
      // Reports are missing in it: at least so much, an open end.
      ctx.save();
      ctx.globalAlpha = 1;
      ctx.strokeStyle = ink.text;
      ctx.lineWidth = 1.5 * px;
      ctx.setLineDash([3 * px, 3 * px]);
      ctx.strokeRect(left, b.top, width, deep + 6 * px);
      ctx.restore();
    }
  });
}

/** Where nothing is known of the rain: hatched as what has died, with the word where there is room for it. */
export function drawRainUnknown(
  u: uPlot,
  unknown: readonly Stretch[],
  word: string,
  ink: Ink,
  px: number,
): void {
  inside(u, (ctx, b) => {
    const deep = (b.bottom - b.top) * RAIN_SHARE;
    for (const [from, to] of unknown) {
      const left = Math.max(b.left, u.valToPos(from, "x", true));
      const right = Math.min(b.right, u.valToPos(to, "x", true));
      if (right - left < 1) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, b.top, right - left, deep);
      ctx.clip();
      ctx.globalAlpha = 0.55;
      ctx.strokeStyle = ink.text;
      ctx.lineWidth = 1.25 * px;
      ctx.beginPath();
      for (let x = left - deep; x < right; x += 9 * px) {
        ctx.moveTo(x, b.top + deep);
        ctx.lineTo(x + deep, b.top);
      }
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.font = `${12 * px}px ${ink.font}`;
      ctx.textBaseline = "bottom";
      if (ctx.measureText(word).width + 12 * px < right - left)
        halo(ctx, word, left + 6 * px, b.top + deep - 3 * px, ink, px);
      ctx.restore();
    }
  });
}

/**
 * The top of a text that ends at `right` and covers none of `taken`: as high as may be, else under what is in its way.
 * Canvas pixels; null where there is no room. Pure.
 */
export function freeTop(
  right: number,
  wide: number,
  high: number,
  within: Pick<Box, "top" | "bottom">,
  taken: readonly Box[],
): number | null {
  const inTheWay = taken
    .filter((t) => t.right > right - wide && t.left < right)
    .sort((a, z) => a.top - z.top);
  let top = within.top;
  for (const t of inTheWay) if (t.bottom > top && t.top < top + high) top = t.bottom;
  return top + high <= within.bottom ? top : null;
}

/** The scale of the rain, in words: its heaviest bar. It covers none of the labels in `taken`. */
export function drawRainLabel(
  u: uPlot,
  rain: readonly Mark[],
  label: string,
  unit: string,
  taken: readonly Box[],
  ink: Ink,
  px: number,
): void {
  const { min, max } = u.scales["x"] ?? {};
  const [from, to] = [min ?? 0, max ?? 0];
  const most = rain.reduce((top, m) => (m.at >= from && m.at <= to ? Math.max(top, rainOf(m)) : top), 0);
  if (most === 0) return;
  inside(u, (ctx, b) => {
    ctx.font = `${12 * px}px ${ink.font}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    const right = b.right - 6 * px;
    const scale = `${Math.round(most * 10) / 10} ${unit}`;
    const room = { top: b.top + 4 * px, bottom: b.bottom };
    // Beside the labels without its word rather than under them with it.
    const places = [`▼ ${label} ${scale}`, `▼ ${scale}`].flatMap((text) => {
      const top = freeTop(right, ctx.measureText(text).width, 14 * px, room, taken);
      return top === null ? [] : [{ text, top }];
    });
    const [best] = places.sort((a, z) => a.top - z.top);
    if (best !== undefined) halo(ctx, best.text, right, best.top, ink, px);
    ctx.textAlign = "left";
  });
}

function niceAbove(value: number): number {
  return [1, 2, 5, 10, 20, 50, 100, 200, 500].find((v) => v >= value) ?? value;
}

export function drawNow(u: uPlot, nowS: number, label: string, ink: Ink, px: number): void {
  const { max } = u.scales["x"] ?? {};
  if (nowS > (max ?? 0)) return;
  inside(u, (ctx, b) => {
    const x = Math.round(u.valToPos(nowS, "x", true));
    ctx.fillStyle = ink.faint;
    ctx.fillRect(x, b.top, b.right - x, b.bottom - b.top);
    ctx.strokeStyle = ink.text;
    ctx.lineWidth = 1.25 * px;
    ctx.beginPath();
    ctx.moveTo(x, b.top);
    ctx.lineTo(x, b.bottom);
    ctx.stroke();
    ctx.font = `${12 * px}px ${ink.font}`;
    ctx.textBaseline = "bottom";
    ctx.textAlign = "right";
    halo(ctx, label, x - 4 * px, b.bottom - 3 * px, ink, px);
    ctx.textAlign = "left";
  });
}
