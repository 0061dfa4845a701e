/** Parts of the system's state that this page has no picture of: shown as they are said, so that none is left out. */
import type { ComponentChildren } from "preact";
import type { System } from "../api/types";
import { clockOrDay } from "../domain/format";
import { others, type Part } from "../domain/others";
import { pick } from "../i18n";
import { lang, now } from "../store/store";
import { PART_WORDS } from "./part-words";
import { systemWords } from "./system-catalogue";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

function said(value: unknown): string {
  if (value === null || value === undefined || value === "") return "—";
  if (typeof value === "boolean") return value ? systemWords.value.yes : systemWords.value.no;
  if (typeof value === "string")
    return TIME.test(value) ? clockOrDay(Date.parse(value), now.value, true) : value;
  if (typeof value === "object") {
    const { ja, en } = value as Record<string, unknown>;
    if (typeof ja === "string" && typeof en === "string") return pick({ ja, en }, lang.value);
    if (Array.isArray(value)) return value.map(said).join(", ") || "—";
    return Object.entries(value)
      .map(([name, one]) => `${label(name)} ${said(one)}`)
      .join(" · ");
  }
  return String(value);
}

function label(name: string): string {
  return PART_WORDS[lang.value][name] ?? name.replaceAll("_", " ");
}

function Table({ part }: { part: Extract<Part, { kind: "rows" }> }) {
  return (
    <table class="links-facts" aria-label={label(part.name)}>
      <thead>
        <tr>
          {part.columns.map((column) => (
            <th key={column} scope="col">
              {label(column)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {part.rows.map((row) => (
          <tr key={JSON.stringify(row)}>
            {part.columns.map((column) => (
              <td key={column} class="reason">
                {said(row[column])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function body(part: Part): ComponentChildren {
  if (part.kind === "rows") return <Table part={part} />;
  return (
    <ul class="others">
      {part.lines.map(([name, value]) => (
        <li key={`${name} ${said(value)}`}>
          {name && <strong>{label(name)} </strong>}
          {said(value)}
        </li>
      ))}
    </ul>
  );
}

export function Others({ at }: { at: System }) {
  return (
    <>
      {others(at).map((part) => (
        <section
          key={part.name}
          class="panel"
          aria-labelledby={`part-${part.name}`}
          data-testid={`part-${part.name}`}
        >
          <div class="panel-head">
            <h2 id={`part-${part.name}`}>{label(part.name)}</h2>
          </div>
          <div class="panel-body">{body(part)}</div>
        </section>
      ))}
    </>
  );
}
