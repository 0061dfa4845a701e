/** Which stations a person wants to see. Pure. */

import type { Bilingual, StationLevel } from "../api/types";

export interface Filter {
  readonly text: string;
  readonly river: string;
  readonly ward: string;
  /** Only what asks for attention: level 1 and above, silent, or not answered. */
  readonly only: boolean;
}

export const EVERYTHING: Filter = { text: "", river: "", ward: "", only: false };

export const isFiltering = (f: Filter) => f.text.trim() !== "" || f.river !== "" || f.ward !== "" || f.only;

/** Full and half width, capitals, and the two kana are the same to somebody who searches. */
export function folded(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[\u30a1-\u30f6]/g, (kana) => String.fromCharCode(kana.charCodeAt(0) - 0x60))
    .trim();
}

/** What a ward is called by in the address; its English name where it has one. */
export const wardKey = (ward: Bilingual) => ward.en || ward.ja;

export function fits(
  filter: Filter,
  station: StationLevel,
  state: { readonly dead: boolean; readonly unanswered: boolean },
): boolean {
  if (filter.river && station.river !== filter.river) return false;
  if (filter.ward && (!station.ward || wardKey(station.ward) !== filter.ward)) return false;
  if (filter.only && station.flood_level < 1 && !state.dead && !state.unanswered) return false;
  const asked = folded(filter.text);
  if (asked === "") return true;
  const { name, river_name: river, ward } = station;
  const said = [station.station_id, name.ja, name.en, river?.ja, river?.en, ward?.ja, ward?.en];
  return said.some((one) => one !== undefined && folded(one).includes(asked));
}
