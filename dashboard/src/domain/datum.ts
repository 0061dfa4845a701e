/** What a height is counted from: the gauge's own zero, the nation's levelling (T.P.), or down from the levee's crest. */

export type DatumKind = "zero" | "tp" | "crest";
export const DATUMS: readonly DatumKind[] = ["zero", "tp", "crest"];

export interface Datum {
  readonly kind: DatumKind;
  /** Added to a level above gauge zero it gives the height on an axis that grows upwards. */
  readonly offset: number;
  /** −1 where people count downwards. */
  readonly sign: 1 | -1;
}

export interface DatumFacts {
  readonly gauge_zero_tp_m?: number | null;
  readonly crest_m?: number | null;
}

export const GAUGE_ZERO: Datum = { kind: "zero", offset: 0, sign: 1 };

/** null where the station lacks the fact that it takes. */
export function datumOf(kind: DatumKind, facts: DatumFacts | undefined): Datum | null {
  if (kind === "zero") return GAUGE_ZERO;
  const fact = kind === "tp" ? facts?.gauge_zero_tp_m : facts?.crest_m;
  if (fact === undefined || fact === null) return null;
  return kind === "tp" ? { kind, offset: fact, sign: 1 } : { kind, offset: -fact, sign: -1 };
}

/** The number people read. */
export const read = (levelM: number, { offset, sign }: Datum) => sign * (levelM + offset);
