/** What a height is counted from: the gauge's own zero, the nation's levelling (T.P.), or down from the levee's crest. */

export type DatumKind = "zero" | "tp" | "crest";
export const DATUMS: readonly DatumKind[] = ["zero", "tp", "crest"];

export interface Datum {
  readonly kind: DatumKind;
  /** Added to a level above gauge zero it gives the height on an axis that grows upwards. */
  readonly offset: number;
  /** −1 where people count downwards. */
  readonly sign: 1 | -1;
  /** Where the gauge's zero has been moved: what was added before, oldest first, each from `fromS` (seconds) on. */
  readonly dated?: readonly { readonly fromS: number; readonly offset: number }[];
}

export interface DatumFacts {
  readonly gauge_zero_tp_m?: number | null;
  readonly crest_m?: number | null;
  /** The zeros of all times. */
  readonly datums?: readonly { readonly valid_from: string; readonly gauge_zero_tp_m: number | null }[];
}

export const GAUGE_ZERO: Datum = { kind: "zero", offset: 0, sign: 1 };

/** null where the station lacks the fact that it takes. */
export function datumOf(kind: DatumKind, facts: DatumFacts | undefined): Datum | null {
  if (kind === "zero") return GAUGE_ZERO;
  const fact = kind === "tp" ? facts?.gauge_zero_tp_m : facts?.crest_m;
  if (fact === undefined || fact === null) return null;
  if (kind === "crest") return { kind, offset: -fact, sign: -1 };
  const dated = (facts?.datums ?? [])
    .flatMap(({ valid_from, gauge_zero_tp_m: offset }) =>
      typeof offset === "number" ? [{ fromS: Date.parse(valid_from) / 1000, offset }] : [],
    )
    .sort((a, b) => a.fromS - b.fromS);
  return { kind, offset: fact, sign: 1, ...(dated.length > 1 ? { dated } : {}) };
}

/** What is added to a level of that time; before the first known zero, what the first one says. */
export function offsetAt({ dated, offset }: Datum, atS: number): number {
  if (!dated) return offset;
  return (dated.findLast(({ fromS }) => fromS <= atS) ?? dated[0])?.offset ?? offset;
}

/** The number people read. */
export const read = (levelM: number, { offset, sign }: Datum) => sign * (levelM + offset);
