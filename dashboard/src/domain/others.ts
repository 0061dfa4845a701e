/** What `/system` says beyond what the page has a picture of: a newer server's parts must not be left out. Pure. */

export type Part =
  | { readonly kind: "lines"; readonly name: string; readonly lines: readonly (readonly [string, unknown])[] }
  | {
      readonly kind: "rows";
      readonly name: string;
      readonly columns: readonly string[];
      readonly rows: readonly Readonly<Record<string, unknown>>[];
    };

/** Drawn elsewhere on the view. */
const DRAWN: ReadonlySet<string> = new Set([
  "as_of",
  "alerting",
  "gateways",
  "ingest",
  "database",
  "stations",
  "intake",
  "quarantine",
  "stream",
  "page_version",
  "unknown",
]);
/** Rows shown of one part. */
const MOST = 50;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A part without anything to say is left out; what could not be learned is said by the server's `unknown`. */
export function others(at: object): readonly Part[] {
  const found: Part[] = [];
  for (const [name, value] of Object.entries(at)) {
    if (DRAWN.has(name) || value === null || value === undefined) continue;
    if (Array.isArray(value)) {
      if (value.length === 0) continue;
      const rows = value.slice(0, MOST);
      if (rows.every(isObject)) {
        const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
        found.push({ kind: "rows", name, columns, rows });
      } else found.push({ kind: "lines", name, lines: rows.map((one) => ["", one] as const) });
    } else if (isObject(value)) {
      const lines = Object.entries(value);
      if (lines.length > 0) found.push({ kind: "lines", name, lines });
    } else found.push({ kind: "lines", name, lines: [["", value]] });
  }
  const unknown = (at as { unknown?: unknown }).unknown;
  if (Array.isArray(unknown) && unknown.length > 0)
    found.push({ kind: "lines", name: "unknown", lines: unknown.map((one) => ["", one] as const) });
  return found;
}
