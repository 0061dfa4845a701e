import { describe, expect, test } from "vitest";
import { EVERYTHING, fits, folded, isFiltering } from "../src/domain/filter";
import { station } from "./factory";

const calm = { dead: false, unanswered: false };
const bridge = station({
  station_id: "shigi-3",
  name: { ja: "カミマチ橋", en: "Kamimachi Bridge" },
  river: "shigi",
  river_name: { ja: "鴫川", en: "Shigi River" },
  ward: { ja: "港区", en: "Minato Ward" },
  flood_level: 0,
});
const text = (asked: string) => fits({ ...EVERYTHING, text: asked }, bridge, calm);

describe("a search", () => {
  test("finds a station by its names, its id, its river and its ward", () => {
    for (const asked of ["カミマチ", "kamimachi", "SHIGI-3", "鴫川", "shigi river", "港区", "minato"])
      expect(text(asked), asked).toBe(true);
    expect(text("朝霧川")).toBe(false);
  });

  test("takes the kana, the widths and the capitals for the same", () => {
    for (const asked of ["かみまち", "ｶﾐﾏﾁ", "ＫＡＭＩ", "  かみ "]) expect(text(asked), asked).toBe(true);
    expect(folded("ヴァイオリン")).toBe(folded("ゔぁいおりん"));
  });
});

test("river and ward narrow, both at once", () => {
  expect(fits({ ...EVERYTHING, river: "shigi", ward: "Minato Ward" }, bridge, calm)).toBe(true);
  expect(fits({ ...EVERYTHING, river: "asagiri", ward: "Minato Ward" }, bridge, calm)).toBe(false);
  expect(fits({ ...EVERYTHING, ward: "Chuo Ward" }, bridge, calm)).toBe(false);
});

test("what asks for attention is a level, a silence, or an alert that nobody answered", () => {
  const only = { ...EVERYTHING, only: true };
  expect(fits(only, bridge, calm)).toBe(false);
  expect(fits(only, { ...bridge, flood_level: 1 }, calm)).toBe(true);
  expect(fits(only, bridge, { ...calm, dead: true })).toBe(true);
  expect(fits(only, bridge, { ...calm, unanswered: true })).toBe(true);
});

test("an empty search is no filter", () => {
  expect(isFiltering({ ...EVERYTHING, text: "  " })).toBe(false);
  expect(isFiltering({ ...EVERYTHING, only: true })).toBe(true);
});
