/** What a feature of the operator's own map is, told by its properties or by the name of its layer. Pure. */

/** In the order of drawing: areas first, what people find their way by last. */
export const KINDS = [
  "green",
  "water",
  "building",
  "boundary",
  "river",
  "railway",
  "road",
  "highway",
  "other",
] as const;
export type Kind = (typeof KINDS)[number];

/** OpenStreetMap, OpenMapTiles, Protomaps, and Japan's base map (基盤地図情報, 国土数値情報). */
const WORDS: readonly (readonly [Kind, RegExp])[] = [
  ["highway", /^(motorway|trunk|primary|highway|major_road)|高速|国道/],
  ["road", /road|street|highway|transportation|residential|secondary|tertiary|path|track|道路/],
  ["railway", /rail|subway|train|軌道|鉄道/],
  ["river", /river|stream|canal|drain|ditch|waterway|河川|水路|水涯線/],
  ["water", /water|lake|ocean|sea|bay|reservoir|pond|海|湖|水域|水面/],
  ["building", /building|建築|建物/],
  ["boundary", /bound|admin|ward|city|town|行政|境界|市区町村/],
  ["green", /park|forest|wood|grass|green|landuse|landcover|earth|farm|緑|公園|森/],
];

const VALUES = ["kind", "class", "type"] as const;
/** OpenStreetMap's keys; the key itself says what it is, whatever the value. */
const KEYS: readonly (readonly [string, Kind | null])[] = [
  ["waterway", "river"],
  ["water", "water"],
  ["natural", null],
  ["highway", null],
  ["railway", "railway"],
  ["boundary", "boundary"],
  ["building", "building"],
  ["landuse", "green"],
  ["leisure", "green"],
];

function said(text: string): Kind | null {
  const plain = text.normalize("NFKC").toLowerCase();
  return WORDS.find(([, words]) => words.test(plain))?.[0] ?? null;
}

export function kindOf(layer: string, properties: Readonly<Record<string, unknown>>): Kind {
  for (const [key, kind] of KEYS) {
    const value = properties[key];
    if (typeof value !== "string" || value === "no") continue;
    const found = kind ?? said(value) ?? (key === "highway" ? "road" : null);
    if (found) return found;
  }
  for (const key of VALUES) {
    const value = properties[key];
    const found = typeof value === "string" ? said(value) : null;
    if (found) return found;
  }
  return said(layer) ?? "other";
}

/** How a kind is drawn: filled where it is an area of its own, else as a line so wide (px). */
export interface Look {
  readonly fill: boolean;
  readonly width: number;
  readonly dash: readonly number[];
}

const LOOKS: Record<Kind, Look> = {
  green: { fill: true, width: 0, dash: [] },
  water: { fill: true, width: 1, dash: [] },
  building: { fill: true, width: 0, dash: [] },
  boundary: { fill: false, width: 1, dash: [6, 4] },
  river: { fill: true, width: 1.5, dash: [] },
  railway: { fill: false, width: 1.25, dash: [8, 4] },
  road: { fill: false, width: 1, dash: [] },
  highway: { fill: false, width: 2, dash: [] },
  other: { fill: false, width: 1, dash: [] },
};

export const lookOf = (kind: Kind) => LOOKS[kind];
