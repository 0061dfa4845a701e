/** Is every part of the chain alive? Drawn as the way that a reading takes. */
import "../styles/system.css";
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { getQuarantine, getSystem } from "../api/client";
import type { Refusal, System } from "../api/types";
import { ageWords } from "../domain/age";
import { NOT_TOLD } from "../domain/alerting";
import { chain, gatewayHealth, type Health, type LinkName } from "../domain/chain";
import { clockSeconds } from "../domain/format";
import { refusalKind } from "../domain/refusal";
import { word } from "../i18n";
import { live, lost, now, t } from "../store/store";
import { keepLooking, type Look, NOT_YET } from "./look";
import { Others } from "./others";
import { systemWords } from "./system-catalogue";

const SHOWN = 20;

const system = signal<Look<System>>(NOT_YET);
const refusals = signal<Look<readonly Refusal[]>>(NOT_YET);

function keepSystem(): () => void {
  const stops = [keepLooking(system, getSystem), keepLooking(refusals, (stop) => getQuarantine(SHOWN, stop))];
  return () => {
    for (const stop of stops) stop();
  };
}

/** In a 16 × 16 box: a tick, a bar, a cross, a question. */
const MARKS: Record<Health, string> = {
  ok: "M2 8.5l4 4.5l8-10",
  warn: "M8 2v8 M8 13v.6",
  bad: "M3 3l10 10 M13 3L3 13",
  unknown: "M5 5a3 3 0 1 1 3.5 3.5v2 M8.5 13.5v.1",
};

function HealthMark({ health }: { health: Health }) {
  return (
    <span class={`health health-${health}`}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <path d={MARKS[health]} />
      </svg>
      {systemWords.value[health]}
    </span>
  );
}

const ago = (iso: string) => ageWords(Math.max(0, (now.value - Date.parse(iso)) / 1000), t.value);

function span(seconds: number): string {
  const words = systemWords.value;
  if (seconds < 120) return words.seconds(Math.round(seconds));
  return seconds < 7200 ? words.minutes(Math.round(seconds / 60)) : words.hours(Math.round(seconds / 3600));
}

function bytes(n: number): string {
  return n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${(n / 1e6).toFixed(0)} MB`;
}

/** What is said of one link, a line each. */
function facts(name: LinkName, at: System): readonly string[] {
  const words = systemWords.value;
  const { alerting } = at;
  switch (name) {
    case "sensors":
      return at.stations ? [words.sensorsSaid(at.stations.fresh, at.stations.late, at.stations.dead)] : [];
    case "gateway":
      if (!at.gateways) return [];
      if (at.gateways.length === 0) return [words.gatewayNone];
      return at.gateways
        .slice(0, 3)
        .map(
          (g) =>
            `${g.gateway_id}: ${words.gatewaySaid(g.seen_at ? ago(g.seen_at) : "—")} · ${g.waiting ? words.backlogHeld(g.backlog) : g.backlog > 0 ? words.backlog(g.backlog) : words.backlogNone}`,
        );
    case "ingest": {
      if (!at.ingest) return [];
      const alive = at.ingest.filter((p) => p.alive).length;
      const last = at.intake?.last_batch_at;
      return [
        alive === 0 ? words.ingestNone : words.ingestSaid(alive),
        last ? words.intake(at.intake?.readings_last_minute ?? 0, ago(last)) : words.intakeNever,
      ];
    }
    case "database":
      return at.database
        ? [words.databaseSaid(at.database.answers_ms.toFixed(1), bytes(at.database.size_bytes))]
        : [];
    case "judging": {
      if (!alerting) return [];
      if (alerting.leader === null) return [words.judgingNone];
      return [
        words.judgingSaid(alerting.leader.slice(0, 8)),
        ...(alerting.behind_s > 1 ? [words.judgingBehind(Math.round(alerting.behind_s))] : []),
      ];
    }
    case "telling":
      if (!alerting) return [];
      return [
        alerting.oldest_unsent_s > 0 ? words.tellingWaits(span(alerting.oldest_unsent_s)) : words.tellingNone,
        ...NOT_TOLD.filter((code) => code !== "unsent" && alerting.why.includes(code)).map((code) =>
          word(t.value.impairedWhy, code),
        ),
      ];
    case "selfTest": {
      const test = alerting?.last_self_test;
      if (!test) return [words.selfTestNone];
      return [test.ok ? words.selfTestOk(ago(test.at)) : words.selfTestBad(ago(test.at))];
    }
    case "screen":
      return [
        ...(at.stream ? [words.screenClients(at.stream.clients)] : []),
        ...(live.value.heartbeat?.page ? [words.screenSaid(live.value.heartbeat.page)] : []),
      ];
  }
}

function Panel({ title, id, children }: { title: string; id: string; children: ComponentChildren }) {
  return (
    <section class="panel" aria-labelledby={id}>
      <div class="panel-head">
        <h2 id={id}>{title}</h2>
      </div>
      {children}
    </section>
  );
}

function Chain({ at }: { at: System }) {
  const words = systemWords.value;
  const { failed } = system.value;
  return (
    <ol class="chain" data-testid="chain">
      {chain(at, !lost.value).map(({ name, health }) => (
        <li
          key={name}
          class={`link link-${health}`}
          data-testid={`link-${name}`}
          data-health={failed ? "unknown" : health}
        >
          <h3>{words[name]}</h3>
          <HealthMark health={failed ? "unknown" : health} />
          {facts(name, at).map((line) => (
            <p key={line}>{line}</p>
          ))}
        </li>
      ))}
    </ol>
  );
}

function Gateways({ at }: { at: System }) {
  const words = systemWords.value;
  return (
    <table class="links-facts">
      <thead>
        <tr>
          <th scope="col">{words.gateway}</th>
          <th scope="col">{t.value.colState}</th>
          <th scope="col">{words.received}</th>
          <th scope="col" class="num">
            {words.waiting}
          </th>
        </tr>
      </thead>
      <tbody>
        {at.gateways?.map((g) => (
          <tr key={g.gateway_id}>
            <th scope="row">{g.gateway_id}</th>
            <td>
              <HealthMark health={gatewayHealth(g, at.as_of)} />
            </td>
            <td>{g.seen_at ? ago(g.seen_at) : "—"}</td>
            <td class="num">{g.backlog}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Reason({ text }: { text: string }) {
  const kind = refusalKind(text);
  const own = <span lang="en">{text}</span>;
  if (kind === null) return own;
  return (
    <>
      {systemWords.value.refusals[kind]} <small>{own}</small>
    </>
  );
}

function Quarantine({ at }: { at: System }) {
  const words = systemWords.value;
  const { quarantine } = at;
  const { found, failed } = refusals.value;
  return (
    <Panel title={words.quarantine} id="quarantine-title">
      <div class="panel-body">
        {quarantine && <p>{words.quarantineSaid(quarantine.last_hour, quarantine.last_day)}</p>}
        <div role="status">{failed && <p class="wrong">{words.quarantineFailed}</p>}</div>
        {found?.length === 0 && !failed && <p class="empty">{words.quarantineNone}</p>}
        {found && found.length > 0 && (
          <div>
            <table class="links-facts" aria-label={words.messages}>
              <thead>
                <tr>
                  <th scope="col">{words.received}</th>
                  <th scope="col">{words.device}</th>
                  <th scope="col">{words.reason}</th>
                </tr>
              </thead>
              <tbody>
                {found.map((one) => (
                  <tr key={one.id}>
                    <td>{ago(one.received_at)}</td>
                    <td>{one.device_id ?? one.topic}</td>
                    <td class="reason">
                      <Reason text={one.reason} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </div>
    </Panel>
  );
}

export function SystemView() {
  const words = systemWords.value;
  useEffect(keepSystem, []);
  const { found: at, failed } = system.value;
  return (
    <main class="view view-system" id="view" tabIndex={-1} data-testid="system-view">
      <Panel title={words.title} id="system-title">
        <div class="panel-body">
          <p>
            {words.intro}{" "}
            {at && <span class="panel-note">{words.asOf(clockSeconds(Date.parse(at.as_of)))}</span>}
          </p>
          <div role="alert">{failed && <p class="wrong">{at ? words.failed : words.never}</p>}</div>
          {at && <Chain at={at} />}
        </div>
      </Panel>
      {at && (at.gateways?.length ?? 0) > 0 && (
        <Panel title={words.gateway} id="gateways-title">
          <div class="panel-body">
            <Gateways at={at} />
          </div>
        </Panel>
      )}
      {at && <Others at={at} />}
      {at && <Quarantine at={at} />}
      <nav class="panel panel-body links" aria-label={words.title}>
        <a class="button-link" href="/?wall=1" target="_blank" rel="noreferrer">
          {words.wall}
        </a>
        <a class="button-link" href="/lite">
          {words.lite}
        </a>
        <a class="button-link" href="/api/docs">
          {words.docs}
        </a>
      </nav>
    </main>
  );
}
