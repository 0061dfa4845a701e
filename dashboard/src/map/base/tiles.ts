/** A layer of tiles in one file (PMTiles), of which only the pieces in sight are read. */
import { VectorTile } from "@mapbox/vector-tile";
import { PbfReader } from "pbf";
import { PMTiles, TileType } from "pmtiles";
import type { BasemapLayer } from "../../api/types";
import { type Ink, withInk } from "./ink";
import { KINDS, type Kind, kindOf, lookOf } from "./kinds";
import * as L from "./leaflet";
import { tileFor } from "./tile-for";

interface Shape {
  readonly kind: Kind;
  readonly isArea: boolean;
  readonly rings: readonly (readonly { x: number; y: number }[])[];
  readonly extent: number;
}

function shapesOf(data: ArrayBuffer, name: string): Shape[] {
  const found: Shape[] = [];
  for (const layer of Object.values(new VectorTile(new PbfReader(data)).layers)) {
    for (let i = 0; i < layer.length; i++) {
      const feature = layer.feature(i);
      if (feature.type < 2) continue;
      const kind = kindOf(`${layer.name} ${name}`, feature.properties);
      found.push({ kind, isArea: feature.type === 3, rings: feature.loadGeometry(), extent: feature.extent });
    }
  }
  return found.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

function draw(context: CanvasRenderingContext2D, shapes: readonly Shape[], size: number, ink: Ink): void {
  for (const { kind, isArea, rings, extent } of shapes) {
    const { fill, width, dash } = lookOf(kind);
    const scale = size / extent;
    context.beginPath();
    for (const ring of rings) {
      for (const [i, { x, y }] of ring.entries())
        if (i === 0) context.moveTo(x * scale, y * scale);
        else context.lineTo(x * scale, y * scale);
    }
    if (isArea && fill) {
      context.fillStyle = ink[kind];
      context.fill("evenodd");
    } else if (width > 0) {
      context.strokeStyle = ink[kind];
      context.lineWidth = width;
      context.setLineDash([...dash]);
      context.stroke();
    }
  }
}

export function addTiles(map: L.Map, pane: string, described: BasemapLayer): () => void {
  const file = new PMTiles(described.url);
  const header = file.getHeader();
  let ink: Ink | undefined;

  const paint = async (canvas: HTMLCanvasElement, at: L.Coords, size: number): Promise<void> => {
    const { tileType } = await header;
    const { z, x, y, parts, left, top } = tileFor(at.x, at.y, at.z, described.max_zoom);
    const tile = await file.getZxy(z, x, y);
    const context = canvas.getContext("2d");
    if (!tile || !context || !ink) return;
    const whole = size * parts;
    const sharp = canvas.width / size;
    context.setTransform(sharp, 0, 0, sharp, -left * size * sharp, -top * size * sharp);
    if (tileType === TileType.Mvt) draw(context, shapesOf(tile.data, described.name), whole, ink);
    else context.drawImage(await createImageBitmap(new Blob([tile.data])), 0, 0, whole, whole);
  };

  const Tiles = L.GridLayer.extend({
    createTile(this: L.GridLayer, at: L.Coords, done: L.DoneCallback): HTMLElement {
      const size = this.getTileSize().x;
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = size * Math.min(2, devicePixelRatio || 1);
      paint(canvas, at, size).then(
        () => done(undefined, canvas),
        (error: Error) => done(error, canvas),
      );
      return canvas;
    },
  }) as unknown as new (
    options: L.GridLayerOptions,
  ) => L.GridLayer;
  const { bounds, min_zoom } = described;
  const [west, south, east, north] = bounds;
  const layer = new Tiles({
    pane,
    minZoom: min_zoom,
    bounds: [
      [south, west],
      [north, east],
    ],
    updateWhenZooming: false,
  });
  const stop = withInk((now) => {
    ink = now;
    // not `redraw()`: it forgets to round the zoom level, and asks for tiles between two of them
    layer.remove();
    layer.addTo(map);
  });
  return () => {
    stop();
    layer.remove();
  };
}
