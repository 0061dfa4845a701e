/** Who is up and down the river: what comes, and where it goes. */
import type { StationLevel } from "../api/types";
import { cmPer10min, signed, trend } from "../domain/format";
import { believed, freshnessNow } from "../domain/freshness";
import { pick } from "../i18n";
import { datumFor } from "../store/datum";
import { lang, lost, now, stationLevels, stations, t } from "../store/store";
import { Age } from "../ui/age";
import { LevelChip } from "../ui/level-chip";
import { stationHref } from "../ui/route";
import { TrendArrow } from "../ui/trend-arrow";
import { id, registered } from "./state";
import { stationWords } from "./station-catalogue";
import { heightIn } from "./words";

function Numbers({ station }: { station: StationLevel }) {
  const words = t.value;
  const state = freshnessNow(station, now.value);
  const dead = lost.value || state === "dead";
  const perHour = dead ? null : station.trend_m_per_h;
  return (
    <>
      <LevelChip station={station} dead={state === "dead"} />
      <span class={dead ? "near-level now-dead" : "near-level"}>
        {heightIn(believed(station), datumFor(stations.value.get(station.station_id)))}
      </span>
      {perHour !== null && (
        <span class={`trend trend-${trend(perHour)}`}>
          <TrendArrow way={trend(perHour)} />
          {signed(cmPer10min(perHour))} {words.unitCm10}
          <span class="sr">{words.trendWords[trend(perHour)]}</span>
        </span>
      )}
      <span class="near-age">
        <Age station={station} />
      </span>
    </>
  );
}

function Near({ of, here = false }: { of: string; here?: boolean }) {
  const station = stationLevels.value.get(of);
  const named = station ?? stations.value.get(of);
  const name = named ? pick(named.name, lang.value) : of;
  return (
    <li
      class={here ? "near near-here" : "near"}
      data-testid={here ? undefined : "neighbour"}
      data-station-id={of}
    >
      {here ? (
        <span class="near-name">
          {name} <small>{stationWords.value.here}</small>
        </span>
      ) : (
        <a class="near-name" href={stationHref(of)}>
          {name}
        </a>
      )}
      {station && <Numbers station={station} />}
    </li>
  );
}

export function Neighbours() {
  const words = stationWords.value;
  const near = registered.value?.neighbours;
  if (!near) return null;
  const { upstream, downstream } = near;
  return (
    <section class="panel station-near" aria-labelledby="near-title">
      <div class="panel-head">
        <h3 id="near-title">{words.neighbours}</h3>
      </div>
      <h4 class="near-way">▲ {words.upstream}</h4>
      {upstream.length === 0 && <p class="near-none">{words.noUpstream}</p>}
      <ol class="near-list">
        {[...upstream].reverse().map((one) => (
          <Near key={one} of={one} />
        ))}
        <Near of={id.value} here />
        {downstream.map((one) => (
          <Near key={one} of={one} />
        ))}
      </ol>
      {downstream.length === 0 && <p class="near-none">{words.noDownstream}</p>}
      <h4 class="near-way">▼ {words.downstream}</h4>
    </section>
  );
}
