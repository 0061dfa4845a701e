import { describe, expect, test } from "vitest";
import { KINDS, kindOf, lookOf } from "../src/map/base/kinds";
import { tileFor } from "../src/map/base/tile-for";

describe("what a feature of the operator's map is", () => {
  test.each([
    ["x", { waterway: "river" }, "river"],
    ["x", { natural: "water" }, "water"],
    ["x", { natural: "coastline", kind: "sea" }, "water"],
    ["x", { highway: "motorway" }, "highway"],
    ["x", { highway: "service" }, "road"],
    ["x", { railway: "rail" }, "railway"],
    ["x", { building: "yes" }, "building"],
    ["x", { building: "no", landuse: "forest" }, "green"],
    ["transportation", { class: "primary" }, "highway"],
    ["transportation", { class: "rail" }, "railway"],
    ["roads", { kind: "minor_road" }, "road"],
    ["waterway", {}, "river"],
    ["河川", {}, "river"],
    ["行政区域", {}, "boundary"],
    ["RailCL", { type: "普通鉄道" }, "railway"],
    ["survey-7", { kind: 4, class: null }, "other"],
  ])("%s %o is %s", (layer, properties, kind) => {
    expect(kindOf(layer, properties)).toBe(kind);
  });

  test("is drawn somehow, whatever it is", () => {
    for (const kind of KINDS) expect(lookOf(kind).fill || lookOf(kind).width > 0).toBe(true);
  });
});

describe("a tile finer than the file has", () => {
  test("is a part of its finest", () => {
    expect(tileFor(7, 5, 12, 12)).toEqual({ z: 12, x: 7, y: 5, parts: 1, left: 0, top: 0 });
    expect(tileFor(29, 22, 14, 12)).toEqual({ z: 12, x: 7, y: 5, parts: 4, left: 1, top: 2 });
  });
});
