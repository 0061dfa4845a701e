import { describe, expect, test } from "vitest";
import { columns, onDatum, toMark } from "../src/chart/series";
import { DATUMS, type DatumKind, datumOf, GAUGE_ZERO, offsetAt, read } from "../src/domain/datum";

const facts = { gauge_zero_tp_m: 12.345, crest_m: 5.6 };
const of = (kind: DatumKind) => datumOf(kind, facts) ?? GAUGE_ZERO;

describe("a datum", () => {
  test("turns one level into the three numbers people use", () => {
    expect(DATUMS.map((kind) => Number(read(2.1, of(kind)).toFixed(3)))).toEqual([2.1, 14.445, 3.5]);
  });

  test("below the crest is negative once the water is over it", () => {
    expect(read(5.8, of("crest"))).toBeCloseTo(-0.2);
  });

  test("that lacks its fact is none, never a zero in its place", () => {
    expect(datumOf("tp", { gauge_zero_tp_m: null, crest_m: 5 })).toBeNull();
    expect(datumOf("crest", { gauge_zero_tp_m: 3 })).toBeNull();
    expect(datumOf("tp", undefined)).toBeNull();
    expect(datumOf("tp", { gauge_zero_tp_m: 0 })).not.toBeNull();
  });

  test("moves the whole picture: what is drawn higher stands higher in every datum", () => {
    const marks = [1, 2, 6].map((value, i) =>
      toMark({ time: new Date(i * 60_000).toISOString(), value, flag: 1 }),
    );
    for (const kind of DATUMS) {
      const datum = of(kind);
      const [, drawn] = columns(marks, 180, datum.offset);
      expect(drawn).toEqual([...drawn].sort((a, b) => (a ?? 0) - (b ?? 0)));
      // and the axis, which shows the drawn height times the sign, says the number in the table
      for (const [i, m] of marks.entries())
        expect((drawn[i] ?? 0) * datum.sign).toBeCloseTo(read(m.value ?? 0, datum), 9);
    }
  });
});

describe("a zero that was moved", () => {
  const moved = {
    gauge_zero_tp_m: 0.4,
    datums: [
      { valid_from: "2026-04-01T00:00:00+09:00", gauge_zero_tp_m: 0.4 },
      { valid_from: "2020-01-01T00:00:00+09:00", gauge_zero_tp_m: 1.4 },
    ],
  };
  const tp = datumOf("tp", moved) ?? GAUGE_ZERO;
  const mark = (time: string, value: number) => toMark({ time, value, flag: 1 });

  test("leaves no step in the heights above the sea", () => {
    const marks = [mark("2026-03-01T00:00:00Z", 2), mark("2026-05-01T00:00:00Z", 3)];
    expect(onDatum(marks, tp).map((m) => Number(read(m.value ?? 0, tp).toFixed(2)))).toEqual([3.4, 3.4]);
    expect(onDatum(marks, GAUGE_ZERO)).toBe(marks);
  });

  test("holds from its day on, and the first one before all others too", () => {
    const at = (time: string) => offsetAt(tp, Date.parse(time) / 1000);
    expect([at("2019-01-01T00:00Z"), at("2026-03-31T14:59Z"), at("2026-03-31T15:00Z")]).toEqual([
      1.4, 1.4, 0.4,
    ]);
  });

  test("where only one is known, that one holds", () => {
    expect(datumOf("tp", { gauge_zero_tp_m: 3, datums: [] })).toEqual({ kind: "tp", offset: 3, sign: 1 });
  });
});
