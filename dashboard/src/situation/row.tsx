/** One station's line in the table. */
import { useComputed } from "@preact/signals";
import type { StationLevel } from "../api/types";
import { ageWords } from "../domain/age";
import { clockOrDay, cmPer10min, metres, signed, trend } from "../domain/format";
import { ageSeconds, freshnessNow } from "../domain/freshness";
import { pick } from "../i18n";
import { chosen, lang, lost, now, selected, stations, t } from "../store/store";
import { LevelChip, levelWord } from "../ui/level-chip";
import { TrendArrow } from "../ui/trend-arrow";
import { Spark } from "./spark";

/** On a phone the chart lies below the list: go there. */
function choose(id: string): void {
  chosen.value = id;
  if (!matchMedia("(max-width: 999px)").matches) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.getElementById("chart")?.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

function FlagNote({ flag }: { flag: StationLevel["flag"] }) {
  if (flag === 3) return <span class="flag flag-suspect">{t.value.flagSuspect}</span>;
  if (flag === 4) return <span class="flag flag-fail">{t.value.flagFail}</span>;
  if (flag === 9) return <span class="flag flag-fail">{t.value.flagMissing}</span>;
  return null;
}

/** Ticks by itself each second, so that the rest of the row need not be drawn again. */
function Age({ station }: { station: StationLevel }) {
  const words = t.value;
  const age = ageSeconds(station.observed_at, now.value);
  if (age === null || station.observed_at === null) return <>{words.neverReported}</>;
  const dead = lost.value || freshnessNow(station, now.value) === "dead";
  const time = Date.parse(station.observed_at);
  return (
    <>
      {dead && <strong class="age-of">{words.valueOf(clockOrDay(time, now.value))}</strong>}
      <span class="age-ticking">{ageWords(age, words)}</span>
    </>
  );
}

function Next({ station }: { station: StationLevel }) {
  const words = t.value;
  const next = station.next_threshold;
  if (next) {
    const named = stations.value.get(station.station_id)?.thresholds.find((th) => th.level === next.level);
    return (
      <>
        <span class="to-go">{words.toGo(metres(next.metres_to_go))}</span>
        <span class="next-name">
          {named ? pick(named.name, lang.value) : levelWord(next.level)} {metres(next.value_m)}
        </span>
      </>
    );
  }
  if (station.level_m === null) return <>—</>;
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

export function LevelRow({ station }: { station: StationLevel }) {
  const id = station.station_id;
  const words = t.value;
  const state = useComputed(() => freshnessNow(station, now.value)).value;
  const dead = state === "dead";
  const current = selected.value === id;
  const river = station.river_name ?? stations.value.get(id)?.river.name;
  return (
    <tr
      role="row"
      class={`row row-${dead ? "dead" : state}${current ? " row-chosen" : ""}`}
      data-testid="station-row"
      data-station-id={id}
      data-freshness={state}
    >
      <td role="cell" class="c-state">
        <LevelChip level={station.flood_level} dead={dead} />
      </td>
      <th role="rowheader" scope="row" class="c-station">
        <button type="button" class="pickrow" aria-pressed={current} onClick={() => choose(id)}>
          <span class="station-name">{pick(station.name, lang.value)}</span>
          <span class="river-name">{river ? pick(river, lang.value) : station.river}</span>
        </button>
      </th>
      <td role="cell" class="c-level num">
        <span class={station.flag === 4 ? "level level-failed" : "level"} data-testid="level">
          {metres(station.level_m)}
        </span>
        {station.level_m !== null && <span class="unit-phone"> m</span>}
        {!dead && <FlagNote flag={station.flag} />}
        {station.flag === 4 && typeof station.judged_m === "number" && (
          <span class="judged">{words.judgedBy(metres(station.judged_m))}</span>
        )}
      </td>
      <td role="cell" class="c-trend num">
        {dead ? "—" : <TrendCell perHour={station.trend_m_per_h} />}
        {!dead && station.trend_m_per_h !== null && <span class="unit-phone"> {words.unitCm10}</span>}
      </td>
      <td role="cell" class="c-spark">
        <Spark id={id} reportEveryS={station.report_every_s ?? 600} />
      </td>
      <td role="cell" class="c-next">
        <Next station={station} />
      </td>
      <td role="cell" class="c-crest num">
        <span class="label-phone">{words.colFreeboard} </span>
        <Freeboard metresLeft={station.freeboard_m} />
      </td>
      <td role="cell" class="c-age num" data-testid="age">
        {state === "late" && <span class="flag flag-late">{words.late}</span>}
        <Age station={station} />
      </td>
    </tr>
  );
}
