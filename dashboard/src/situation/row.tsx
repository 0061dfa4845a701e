/** One station's line in the table. */
import { useComputed } from "@preact/signals";
import type { StationLevel } from "../api/types";
import { isUnanswered } from "../domain/alerts";
import { read } from "../domain/datum";
import { clockOrDay, cmPer10min, metres, signed, trend } from "../domain/format";
import { believed, failed, freshnessNow } from "../domain/freshness";
import { pick } from "../i18n";
import { opened } from "../store/answers";
import { tableDatum, wantedInTable } from "../store/datum";
import { chosen, lang, live, lost, now, selected, stations, t } from "../store/store";
import { Age } from "../ui/age";
import { FlagNote } from "../ui/flag-note";
import { LevelChip, levelWord } from "../ui/level-chip";
import { stationHref } from "../ui/route";
import { TrendArrow } from "../ui/trend-arrow";
import { unansweredLevels } from "./order";
import { Spark } from "./spark";

/** In a 16 × 16 box: the link of the chain that is silent. A probe, a mast, a drum of disks. And a probe that errs. */
const LINKS = {
  failing: "M8 1v7 M5 8h6v5H5z M2 3l4 4 M6 3L2 7",
  sensor: "M8 1v7 M5 8h6v5H5z M3 15h10",
  gateway: "M8 15V6 M5 15h6 M5 3a4 4 0 0 1 6 0 M3 1a7 7 0 0 1 10 0",
  server: "M3 2h10v5H3z M3 9h10v5H3z M5 4.5h1 M5 11.5h1",
} as const;

/** Why nothing new comes, as far as the server knows; silence that began since then is not yet anybody's. */
function SilentLink({ station }: { station: StationLevel }) {
  const link = station.silence ?? (failed(station) ? "failing" : null);
  if (!link || lost.value) return null;
  return (
    <span class={`silent silent-${link}`} data-testid="silence" data-link={link}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={LINKS[link]} />
      </svg>
      {t.value.situation.silent[link]}
    </span>
  );
}

function Next({ station, dead }: { station: StationLevel; dead: boolean }) {
  const words = t.value;
  const next = station.next_threshold;
  if (next) {
    return (
      <>
        <span class="to-go">
          {words.toGo(metres(next.metres_to_go))}
          {station.arrival && !dead && (
            <span class="arrival" data-testid="arrival">
              {words.situation.arrival(clockOrDay(Date.parse(station.arrival.likely), now.value))}
            </span>
          )}
        </span>
        <span class="next-name">
          {next.level} {levelWord(next.level)} {metres(next.value_m)}
        </span>
      </>
    );
  }
  if (believed(station) === null) return <>—</>;
  return <span class="next-name">{station.flood_level > 0 ? words.highestReached : words.noThresholds}</span>;
}

function Freeboard({ metresLeft }: { metresLeft: number | null }) {
  if (metresLeft === null) return <>—</>;
  if (metresLeft < 0) return <strong class="over">{t.value.overCrest(metres(-metresLeft))}</strong>;
  return <>{metres(metresLeft)}</>;
}

function TrendCell({ perHour }: { perHour: number | null }) {
  if (perHour === null) return <>—</>;
  const way = trend(perHour);
  return (
    <span class={`trend trend-${way}`}>
      <TrendArrow way={way} />
      <span class="trend-n">{signed(cmPer10min(perHour))}</span>
      <span class="sr">{t.value.trendWords[way]}</span>
    </span>
  );
}

/** The worst alert of the station that nobody has answered; its dialog names the station once more. */
export function answerFor(id: string): void {
  const mine = live.peek().alerts.filter((a) => a.station_id === id && isUnanswered(a));
  const [worst] = mine.sort((a, b) => (b.flood_level ?? 0) - (a.flood_level ?? 0));
  if (worst) opened.value = { id: worst.id, action: "acknowledge" };
}

function Answer({ station, name }: { station: StationLevel; name: string }) {
  const words = t.value;
  const level = unansweredLevels.value.get(station.station_id);
  if (level === undefined) return null;
  return (
    <button
      type="button"
      class="answer answer-first"
      data-testid="row-acknowledge"
      aria-label={`${words.acknowledge}: ${name}`}
      aria-haspopup="dialog"
      onClick={() => answerFor(station.station_id)}
    >
      {words.acknowledge}
    </button>
  );
}

export function LevelRow({ station }: { station: StationLevel }) {
  const id = station.station_id;
  const words = t.value;
  const state = useComputed(() => freshnessNow(station, now.value)).value;
  const dead = state === "dead";
  const current = selected.value === id;
  const registered = stations.value.get(id);
  const river = station.river_name ?? registered?.river.name;
  const name = pick(station.name, lang.value);
  const datum = tableDatum(registered);
  return (
    <tr
      role="row"
      class={`row row-${dead ? "dead" : state}${current ? " row-chosen" : ""}`}
      data-testid="station-row"
      data-station-id={id}
      data-freshness={state}
      onClick={() => {
        chosen.value = id;
      }}
    >
      <td role="cell" class="c-state">
        <LevelChip station={station} dead={dead} />
      </td>
      <th role="rowheader" scope="row" class="c-station">
        <a
          class="pickrow"
          href={stationHref(id)}
          data-testid="station-link"
          aria-current={current ? "true" : undefined}
          onFocus={() => {
            chosen.value = id;
          }}
        >
          <span class="station-name">{name}</span>
          <span class="river-name">{river ? pick(river, lang.value) : station.river}</span>
        </a>
      </th>
      <td role="cell" class="c-level num">
        <span class={failed(station) ? "level level-failed" : "level"} data-testid="level">
          {metres(station.level_m === null ? null : read(station.level_m, datum))}
        </span>
        {datum.kind !== wantedInTable.value && (
          <span class="datum-of">{words.situation.datums[datum.kind]}</span>
        )}
        {station.level_m !== null && <span class="unit-phone"> m</span>}
        {(!dead || failed(station)) && <FlagNote flag={station.flag} />}
        {failed(station) && typeof station.judged_m === "number" && (
          <span class="judged">{words.judgedBy(metres(station.judged_m))}</span>
        )}
      </td>
      <td role="cell" class="c-trend num">
        {dead ? "—" : <TrendCell perHour={station.trend_m_per_h} />}
        {!dead && station.trend_m_per_h !== null && <span class="unit-phone"> {words.unitCm10}</span>}
      </td>
      <td role="cell" class="c-spark">
        <Spark station={station} />
      </td>
      <td role="cell" class="c-next">
        <Next station={station} dead={dead} />
      </td>
      <td role="cell" class="c-crest num">
        <span class="label-phone">{words.colFreeboard} </span>
        <Freeboard metresLeft={station.freeboard_m} />
      </td>
      <td role="cell" class="c-age num" data-testid="age">
        {state === "late" && <span class="flag flag-late">{words.late}</span>}
        <Age station={station} />
        {state !== "fresh" && <SilentLink station={station} />}
      </td>
      <td role="cell" class="c-answer">
        <Answer station={station} name={name} />
      </td>
    </tr>
  );
}
