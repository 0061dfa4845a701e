/** The wall screen: readable from across the room, touched by nobody. */
import { computed, effect, signal, useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { AlertShape, DrillMark } from "../alerts/alert-state";
import type { StationLevel } from "../api/types";
import { ChartPanel } from "../chart/chart-panel";
import { isUnanswered } from "../domain/alerts";
import { calendar, clockSeconds, cmPer10min, metres, signed, trend } from "../domain/format";
import { believed, failed, freshnessNow } from "../domain/freshness";
import { inTheLight, shift, WORST } from "../domain/wall";
import { pick } from "../i18n";
import { MapPanel } from "../map/map-panel";
import { Summary } from "../situation/summary";
import {
  alerts,
  alertsKnown,
  chosen,
  connected,
  lang,
  lost,
  now,
  order,
  site,
  stationLevels,
  t,
  tick,
} from "../store/store";
import { Age } from "../ui/age";
import { placeName, timeOf, title } from "../ui/alert-words";
import { FlagNote } from "../ui/flag-note";
import { LevelChip } from "../ui/level-chip";
import { TrendArrow } from "../ui/trend-arrow";
import "../styles/wall.css";
import { awake, keepAwake } from "./wake";

/** More rows than any wall has room for; those that do not fit are counted below, not cut. */
const MOST_ROWS = 16;
const ALERTS = 4;
/** A pointer that rests is in the way of the numbers. */
const POINTER_RESTS_MS = 4_000;

/** Nobody stands before a wall for ever: what somebody held goes on by itself. */
const HELD_MS = 120_000;

const held = signal<{ readonly id: string; readonly untilMs: number } | null>(null);
const paused = computed(() =>
  held.value !== null && tick.value.steadyMs < held.value.untilMs ? held.value.id : null,
);
const startedMs = performance.now();
const light = computed(() => paused.value ?? inTheLight(order.value, tick.value.steadyMs - startedMs));

function Head() {
  const words = t.value;
  const ms = now.value;
  const state = connected.value;
  return (
    <header class="wall-head">
      <h1>
        {site.value ? pick(site.value.name, lang.value) : words.productName}
        <span class="tag">{words.provisional}</span>
      </h1>
      <span class="connection" data-state={state} data-testid="connection">
        <span class="connection-mark" aria-hidden="true" />
        {state === "live" ? words.live : state === "lost" ? words.lost : words.connecting}
      </span>
      <span class="wall-clock" data-testid="clock">
        {calendar(ms, lang.value)} <strong>{clockSeconds(ms)}</strong> JST
      </span>
    </header>
  );
}

function Row({ station, fits }: { station: StationLevel; fits: boolean }) {
  const words = t.value;
  const state = useComputed(() => freshnessNow(station, now.value)).value;
  const dead = state === "dead";
  const perHour = station.trend_m_per_h;
  const way = perHour === null ? null : trend(perHour);
  const next = station.next_threshold;
  const id = station.station_id;
  return (
    <tr
      class={`row row-${state}${light.value === id ? " row-chosen" : ""}${fits ? "" : " row-cut"}`}
      data-testid="station-row"
      data-station-id={id}
      data-freshness={state}
    >
      <td>
        <LevelChip station={station} dead={dead} />
      </td>
      <th scope="row" class="c-station">
        <span class="station-name">{pick(station.name, lang.value)}</span>
      </th>
      <td class="c-level num">
        <span class="level" data-testid="level">
          {metres(believed(station))}
        </span>
        {(!dead || failed(station)) && <FlagNote flag={station.flag} />}
      </td>
      <td class="num">
        {dead || way === null || perHour === null ? (
          "—"
        ) : (
          <span class={`trend trend-${way}`}>
            <TrendArrow way={way} />
            {signed(cmPer10min(perHour))}
          </span>
        )}
      </td>
      <td class="c-next">{next && !dead ? words.toGo(metres(next.metres_to_go)) : "—"}</td>
      <td class="num wall-age" data-testid="age">
        <Age station={station} />
        {state !== "fresh" && (station.silence || failed(station)) && !lost.value && (
          <span class="wall-silent">{words.situation.silent[station.silence ?? "failing"]}</span>
        )}
      </td>
    </tr>
  );
}

/** How many rows stand whole in their place. */
const fitting = signal(10);

function countFitting(place: HTMLElement): void {
  const end = place.getBoundingClientRect().bottom + 1;
  const rows = [...place.querySelectorAll("tbody tr")];
  fitting.value = rows.filter((row) => row.getBoundingClientRect().bottom <= end).length;
}

/** A row grows when its station falls silent, and takes its height along when the order changes. */
function useFitting() {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const host = place.current;
    if (!host) return;
    const count = () => countFitting(host);
    const sized = new ResizeObserver(count);
    for (const element of [host, ...host.children]) sized.observe(element);
    const stop = effect(() => {
      order.value;
      requestAnimationFrame(count);
    });
    return () => {
      sized.disconnect();
      stop();
    };
  }, []);
  return place;
}

/** Silence must not hide below the last row. */
const hiddenDead = computed(
  () =>
    order.value.slice(fitting.value).filter((id) => {
      const station = stationLevels.value.get(id);
      return station && freshnessNow(station, now.value) === "dead";
    }).length,
);

function Worst() {
  const words = t.value;
  const known = stationLevels.value;
  const ids = order.value;
  const more = ids.length - fitting.value;
  const place = useFitting();
  return (
    <section class="panel wall-worst" aria-labelledby="wall-worst">
      <div class="wall-rows" ref={place}>
        <table aria-labelledby="wall-worst">
          <caption id="wall-worst" class="sr">
            {words.table}
          </caption>
          <thead>
            <tr>
              <th scope="col">{words.colState}</th>
              <th scope="col">{words.colStation}</th>
              <th scope="col" class="num">
                {words.colLevel} m
              </th>
              <th scope="col" class="num">
                {words.unitCm10}
              </th>
              <th scope="col">{words.colNext}</th>
              <th scope="col" class="num">
                {words.colAge}
              </th>
            </tr>
          </thead>
          <tbody>
            {ids.slice(0, MOST_ROWS).map((id, i) => {
              const station = known.get(id);
              return station ? <Row key={id} station={station} fits={i < fitting.value} /> : null;
            })}
          </tbody>
        </table>
      </div>
      {more > 0 && (
        <p class="wall-more" data-testid="wall-more">
          {words.wall.others(more)}
          {hiddenDead.value > 0 && words.wall.othersDead(hiddenDead.value)}
        </p>
      )}
    </section>
  );
}

function Unanswered() {
  const words = t.value;
  const open = alerts.value.filter(isUnanswered);
  return (
    <section class="panel wall-alerts" aria-label={words.alerts}>
      {open.length === 0 ? (
        <p class="wall-quiet">{alertsKnown.value ? words.unansweredNone : words.unansweredUnknown}</p>
      ) : (
        <ol>
          {open.slice(0, ALERTS).map((alert) => (
            <li key={alert.id} data-testid="wall-alert">
              <AlertShape alert={alert} size={44} />
              <span>
                <DrillMark status={alert.status} />
                <strong>{placeName(alert)}</strong> {title(alert)}
                {!alert.verified && <span class="flag flag-suspect">{words.alertUnverified}</span>}
              </span>
              <time dateTime={alert.started_at}>{timeOf(alert.started_at)}</time>
            </li>
          ))}
        </ol>
      )}
      {open.length > ALERTS && <p class="wall-more">{words.wall.moreAlerts(open.length - ALERTS)}</p>}
    </section>
  );
}

function Foot() {
  const words = t.value;
  const at = order.value.slice(0, WORST).indexOf(light.value ?? "");
  return (
    <footer class="wall-foot">
      <span>
        {words.provisional} · {words.basisNote}
      </span>
      <span>
        {paused.value
          ? words.wall.paused
          : at >= 0 && words.wall.turn(at + 1, Math.min(WORST, order.value.length))}
      </span>
      {awake.value === "no" && <span>{words.wall.maySleep}</span>}
    </footer>
  );
}

function useQuietPointer() {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const root = document.documentElement;
    const stir = () => {
      root.removeAttribute("data-still");
      clearTimeout(timer);
      timer = setTimeout(() => root.setAttribute("data-still", ""), POINTER_RESTS_MS);
    };
    stir();
    addEventListener("pointermove", stir);
    return () => {
      clearTimeout(timer);
      removeEventListener("pointermove", stir);
      root.removeAttribute("data-still");
    };
  }, []);
}

export function WallView() {
  const box = useRef<HTMLElement>(null);
  useQuietPointer();
  useEffect(keepAwake, []);
  useEffect(
    () =>
      effect(() => {
        if (light.value !== null) chosen.value = light.value;
      }),
    [],
  );
  useEffect(
    () =>
      effect(() => {
        const [x, y] = shift(Math.floor(now.value / 60_000));
        if (box.current) box.current.style.translate = `${x}px ${y}px`;
      }),
    [],
  );
  return (
    <main class="wall" id="view" tabIndex={-1} data-testid="wall-view" ref={box}>
      <Head />
      <Summary />
      <Worst />
      {/* A press holds the station in the light; another lets the turn go on. */}
      <button
        type="button"
        class="wall-light"
        data-testid="wall-light"
        aria-pressed={paused.value !== null}
        aria-label={t.value.wall.hold}
        onClick={() => {
          const id = paused.peek() === null ? light.peek() : null;
          held.value = id === null ? null : { id, untilMs: tick.peek().steadyMs + HELD_MS };
        }}
      />
      <ChartPanel />
      <MapPanel />
      <Unanswered />
      <Foot />
    </main>
  );
}
