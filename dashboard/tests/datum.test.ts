import { describe, expect, test } from "vitest";
import { columns, toMark } from "../src/chart/series";
import { DATUMS, type DatumKind, datumOf, GAUGE_ZERO, read } from "../src/domain/datum";

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
