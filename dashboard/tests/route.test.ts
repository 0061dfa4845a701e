import { describe, expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/", search: "", hash: "" });
const { parse, stationHref } = await import("../src/ui/route");

const at = (path: string, search = "") => parse(path, new URLSearchParams(search));

describe("an address", () => {
  test("names a view", () => {
    expect(at("/")).toEqual({ view: "situation" });
    expect(at("/alerts")).toEqual({ view: "alerts" });
    expect(at("/system/")).toEqual({ view: "system" });
    expect(at("/", "wall=1")).toEqual({ view: "wall" });
  });

  test("finds a station whatever its id is made of", () => {
    for (const id of ["kuji-3", "a.b:c_d", "中央橋", "50%"])
      expect(at(stationHref(id))).toEqual({ view: "station", id });
  });

  test("that means nothing is the situation", () => {
    for (const path of ["/nowhere", "/station", "/station/", "/station/%"])
      expect(at(path)).toEqual({ view: "situation" });
  });
});
