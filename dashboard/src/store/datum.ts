/** What heights are counted from on this screen. */

import { computed } from "@preact/signals";
import { DATUMS, type Datum, type DatumFacts, type DatumKind, datumOf, GAUGE_ZERO } from "../domain/datum";
import { remembered } from "./store";

export const wantedDatum = remembered<DatumKind>("kawamori.datum", DATUMS, "zero");
/** As chosen, or the station's own zero where it lacks the fact. */
export const datumFor = (facts: DatumFacts | undefined): Datum =>
  datumOf(wantedDatum.value, facts) ?? GAUGE_ZERO;

/** The table has a column of its own for the way to the crest: its levels stand above gauge zero or T.P. */
export const wantedInTable = computed<"zero" | "tp">(() => (wantedDatum.value === "tp" ? "tp" : "zero"));
export const tableDatum = (facts: DatumFacts | undefined): Datum & { readonly kind: "zero" | "tp" } => {
  const found = datumOf(wantedInTable.value, facts) ?? GAUGE_ZERO;
  return { ...found, kind: found.kind === "tp" ? "tp" : "zero" };
};
