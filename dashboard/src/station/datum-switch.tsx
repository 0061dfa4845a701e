/** What every height on this view is counted from; what the station cannot answer says why. */
import { DATUMS, type DatumKind, datumOf } from "../domain/datum";
import { wantedDatum } from "../store/datum";
import { datum, registered } from "./state";
import { stationWords } from "./station-catalogue";

export function DatumSwitch() {
  const words = stationWords.value;
  const facts = registered.value;
  const missing = DATUMS.filter((kind) => datumOf(kind, facts) === null) as Exclude<DatumKind, "zero">[];
  return (
    <div class="datum">
      <fieldset class="segments">
        <legend class="datum-legend">{words.datum}</legend>
        {DATUMS.map((kind) => (
          <button
            key={kind}
            type="button"
            data-testid={`datum-${kind}`}
            aria-pressed={datum.value.kind === kind}
            aria-disabled={datumOf(kind, facts) === null}
            aria-describedby={datumOf(kind, facts) === null ? `datum-no-${kind}` : undefined}
            onClick={() => {
              if (datumOf(kind, facts) !== null) wantedDatum.value = kind;
            }}
          >
            {words.datums[kind]}
          </button>
        ))}
      </fieldset>
      {facts &&
        missing.map((kind) => (
          <p key={kind} id={`datum-no-${kind}`} class="datum-why">
            {words.datumMissing[kind]}
          </p>
        ))}
    </div>
  );
}
