import { describe, expect, test } from "vitest";
import { pick } from "../src/i18n";
import { dialogEn } from "../src/i18n/dialog.en";
import { dialogJa } from "../src/i18n/dialog.ja";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";
import { stationEn } from "../src/i18n/station.en";
import { stationJa } from "../src/i18n/station.ja";
import { systemEn } from "../src/i18n/system.en";
import { systemJa } from "../src/i18n/system.ja";

/** Every leaf as `key.key`; a message with parameters says how many it takes. */
function leaves(node: unknown, path = ""): Map<string, string> {
  if (typeof node === "string") return new Map([[path, node]]);
  if (typeof node === "function") {
    const words = node as (...args: unknown[]) => string;
    const text = words(...Array.from({ length: words.length }, (_, i) => i + 1));
    return new Map([[`${path}/${words.length}`, text]]);
  }
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(node as object))
    for (const [k, v] of leaves(value, path ? `${path}.${key}` : key)) found.set(k, v);
  return found;
}

describe("the catalogue", () => {
  const japanese = leaves({ ...ja, dialog: dialogJa, station: stationJa, system: systemJa });
  const english = leaves({ ...en, dialog: dialogEn, station: stationEn, system: systemEn });

  test("has the same keys in both languages", () => {
    expect([...english.keys()].sort()).toEqual([...japanese.keys()].sort());
  });

  test("has no empty text", () => {
    expect([...japanese, ...english].filter(([, text]) => text.trim() === "")).toEqual([]);
  });

  test("has no Japanese left in English but the drill marks and the language's own name", () => {
    const left = [...english].filter(([, text]) => /[\u3040-\u30ff\u4e00-\u9fff]/.test(text));
    expect(left.map(([key]) => key).sort()).toEqual(["langToggle", "langToggleLabel"]);
  });

  test("uses every parameter it is given", () => {
    for (const [key, text] of [...japanese, ...english]) {
      const takes = Number(key.split("/")[1] ?? 0);
      for (let i = 1; i <= takes; i++) expect(text, key).toContain(String(i));
    }
  });

  test("never issues a warning: only the Meteorological Agency may", () => {
    const texts = [...japanese.values(), ...english.values()];
    expect(texts.filter((text) => /警報|\bwarning/i.test(text))).toEqual([]);
  });

  test("says what the numbers are", () => {
    expect(ja.footer).toContain("暫定値");
    expect(ja.basisNote).toBe("基準水位超過（自動判定）");
  });
});

test("a name missing in one language is shown in the other", () => {
  expect(pick({ ja: "中央橋", en: "" }, "en")).toBe("中央橋");
});
