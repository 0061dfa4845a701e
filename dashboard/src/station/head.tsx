/** The station now, in the numbers people say on the telephone. */
import type { ComponentChildren } from "preact";
import type { StationLevel } from "../api/types";
import { GAUGE_ZERO, read } from "../domain/datum";
import { clockOrDay, cmPer10min, metres, signed, trend } from "../domain/format";
import { believed, failed, freshnessNow } from "../domain/freshness";
import { pick, word } from "../i18n";
import { lang, lost, now, t } from "../store/store";
import { Age } from "../ui/age";
import { FlagNote } from "../ui/flag-note";
import { LevelChip, levelWord } from "../ui/level-chip";
import { TrendArrow } from "../ui/trend-arrow";
import { DatumSwitch } from "./datum-switch";
import { datum, level, name, registered } from "./state";
import { stationWords } from "./station-catalogue";
import { heightIn } from "./words";

function Fact({ id, label, children }: { id: string; label: string; children: ComponentChildren }) {
  return (
    <div class="fact" data-testid={`fact-${id}`}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function thresholdName(of: number): string {
  const found = registered.value?.thresholds.find((th) => th.level === of);
  return found ? pick(found.name, lang.value) : levelWord(of);
}

function Next({ station }: { station: StationLevel }) {
  const words = stationWords.value;
  const next = station.next_threshold;
  if (next)
    return (
      <Fact id="next" label={words.next}>
        <b>{metres(next.metres_to_go)}</b> m
        <small>
          {next.level} {thresholdName(next.level)} {heightIn(next.value_m, datum.value)}
        </small>
      </Fact>
    );
  return (
    <Fact id="next" label={words.next}>
      {believed(station) === null
        ? "—"
        : station.flood_level > 0
          ? words.reached(thresholdName(station.flood_level))
          : t.value.noThresholds}
    </Fact>
  );
}

function Crest({ left }: { left: number | null }) {
  const words = stationWords.value;
  const crest = registered.value?.crest_m;
  const over = left !== null && left < 0;
  return (
    <Fact id="crest" label={over ? words.crestOver : words.crestLeft}>
      {left === null ? (
        typeof crest === "number" ? (
          "—"
        ) : (
          words.crestUnknown
        )
      ) : (
        <>
          <b class={over ? "over" : ""}>{metres(Math.abs(left))}</b> m
        </>
      )}
      {typeof crest === "number" && (
        <small>
          {t.value.crest} {heightIn(crest, datum.value.kind === "crest" ? GAUGE_ZERO : datum.value)}
        </small>
      )}
    </Fact>
  );
}

function Trend({ perHour }: { perHour: number | null }) {
  const way = perHour === null ? null : trend(perHour);
  return (
    <Fact id="trend" label={stationWords.value.trend}>
      {way === null || perHour === null ? (
        "—"
      ) : (
        <span class={`trend trend-${way}`}>
          <TrendArrow way={way} />
          <b>{signed(cmPer10min(perHour))}</b> {t.value.unitCm10}
          <small>{t.value.trendWords[way]}</small>
        </span>
      )}
    </Fact>
  );
}

/** A straight line's guess, and marked as one. */
function ArrivalFact({ station }: { station: StationLevel }) {
  const words = stationWords.value;
  const { arrival, next_threshold: next } = station;
  if (!next || arrival === undefined) return null;
  const at = (iso: string) => clockOrDay(Date.parse(iso), now.value);
  return (
    <Fact id="arrival" label={words.arrival(thresholdName(next.level))}>
      {arrival === null ? (
        <small class="alone">{words.arrivalNone}</small>
      ) : (
        <>
          <b>{words.arrivalAt(at(arrival.likely))}</b>
          <small>
            {arrival.latest === null
              ? words.arrivalFrom(at(arrival.earliest))
              : words.arrivalBetween(at(arrival.earliest), at(arrival.latest))}
            <br />
            {words.arrivalNote}
          </small>
        </>
      )}
    </Fact>
  );
}

/** What is to be known of the number before anybody acts on it. */
function Doubts({ station, dead }: { station: StationLevel; dead: boolean }) {
  const words = stationWords.value;
  const said: string[] = [];
  if (lost.value) said.push(words.screen);
  else if (station.silence || (dead && !failed(station)))
    said.push(words.silence[station.silence ?? "unknown"]);
  if (station.flag === 3) said.push(words.doubtful);
  if (station.flag === 4) said.push(words.failed);
  if (station.flag === 9) said.push(words.missing);
  const reasons = (station.quality_reasons ?? []).map((r) => word(t.value.alertDoubts, r));
  if (said.length === 0 && reasons.length === 0) return null;
  return (
    <ul class="doubts" data-testid="doubts">
      {said.map((text) => (
        <li key={text}>{text}</li>
      ))}
      {reasons.length > 0 && <li>{words.reason(reasons.join("・"))}</li>}
    </ul>
  );
}

function Now({ station }: { station: StationLevel }) {
  const words = t.value;
  const state = freshnessNow(station, now.value);
  const dead = state === "dead" || lost.value;
  const { level_m: value } = station;
  return (
    <>
      <div class={`now${dead ? " now-dead" : ""}`} data-testid="now" data-freshness={state}>
        <LevelChip station={station} dead={state === "dead"} />
        <p class="now-level">
          <span class="now-datum">{stationWords.value.datumUse[datum.value.kind]}</span>
          <span class={`now-number${failed(station) ? " level-failed" : ""}`} data-testid="now-level">
            {value === null ? "—" : metres(read(value, datum.value))}
          </span>
          <span class="now-unit">m</span>
          {(!dead || failed(station)) && <FlagNote flag={station.flag} />}
          {failed(station) && typeof station.judged_m === "number" && (
            <span class="judged">{words.judgedBy(metres(read(station.judged_m, datum.value)))}</span>
          )}
        </p>
        <p class="now-age" data-testid="now-age">
          {state === "late" && !dead && <span class="flag flag-late">{words.late}</span>}
          <Age station={station} />
        </p>
      </div>
      <Doubts station={station} dead={dead} />
      <dl class="facts">
        <Next station={station} />
        <Crest left={station.freeboard_m} />
        <Trend perHour={dead ? null : station.trend_m_per_h} />
        {!dead && <ArrivalFact station={station} />}
      </dl>
    </>
  );
}

/** Back to the very place on the situation one came from; a link opened by itself leads there too. */
function Back() {
  return (
    <a
      class="back"
      href="/"
      data-testid="back"
      onClick={(event) => {
        const steps = (window.history.state as { steps?: number } | null)?.steps;
        if (!steps || event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        window.history.go(-steps);
      }}
    >
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        <path d="M12 4L6 10l6 6" />
      </svg>
      {stationWords.value.back}
    </a>
  );
}

export function Head() {
  const words = t.value;
  const at = registered.value;
  const now_ = level.value;
  const river = at?.river.name ?? now_?.river_name;
  const ward = at?.ward ?? now_?.ward;
  const where = [
    river && pick(river, lang.value),
    ward && pick(ward, lang.value),
    typeof at?.km === "number" && stationWords.value.km(at.km.toFixed(1)),
  ].filter(Boolean);
  return (
    <section class="panel station-head" aria-labelledby="station-name">
      <div class="station-title">
        <Back />
        <div>
          <h2 id="station-name">{pick(name.value, lang.value)}</h2>
          <p class="station-where">{where.join(" · ")}</p>
        </div>
      </div>
      {now_ ? <Now station={now_} /> : <p class="empty">{words.loading}</p>}
      <DatumSwitch />
    </section>
  );
}
