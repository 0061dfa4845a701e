"""The equipment's troubles: sensors and gateways that are silent, stuck, low on battery … as far as is known now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.paging import Event
from kawamori.domain.freshness import GATEWAY_SILENT_AFTER, Freshness, expected_interval, freshness
from kawamori.domain.lag import LEAST, NOTABLE, Lag, lag_of
from kawamori.domain.reading import FLAGS, SensorId, StationId, believed
from kawamori.domain.registry import Registry, next_to
from kawamori.domain.rules import KINDS, DatedRule, Facts, Finding, GatewayFacts, Rule, SensorRule, rule_for
from kawamori.domain.rules.clock import ClockRule
from kawamori.domain.rules.gateway import GatewayRule
from kawamori.domain.rules.outage import OutageRule
from kawamori.domain.rules.unfit import LOOK_BACK, UnfitRule, contradictions
from kawamori.observe import log
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage import announcements, audit, equipment, evaluation
from kawamori.storage.alerts import Alert
from kawamori.storage.database import Connection

#: How often to look, and to count what costs more.
_EVERY = timedelta(seconds=10)
_COUNT_EVERY = timedelta(minutes=5)
_UNSTEADY_EVERY = timedelta(seconds=30)
#: Sensors with so many doubted steps in the last hour are looked at: two jumps up and two down are doubted three times.
_LEAST_DOUBTED = 3
#: The lag of a sensor is looked at for so long after it was heard, of so many sensors at most.
_HEARD, _MOST_LATE = timedelta(hours=2), 1000
#: After it could not look for so long, let what piled up arrive first: it is not the sensors that were silent.
_AWAY, _SETTLE = timedelta(minutes=2), timedelta(seconds=60)

SENSOR_KINDS = sorted(kind for kind, rule in KINDS.items() if issubclass(rule, SensorRule))
KINDS_HERE = [*SENSOR_KINDS, GatewayRule.kind, OutageRule.kind]
SITE = "site"
#: A kind, and what it is about: a sensor, or a subject like gateway:NAME.
Key = tuple[str, SensorId | str]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A finding, and what raises it."""

    kind: str
    #: What it is about: a sensor, or a subject like gateway:NAME.
    sensor: SensorId | None
    station: StationId | None
    subject: str
    finding: Finding
    dated: DatedRule | None = None

    @property
    def key(self) -> Key:
        """What makes two findings the same trouble."""
        return (self.kind, self.subject if self.sensor is None else self.sensor)


@dataclass(slots=True)
class Equipment:
    """Looks every few seconds, in the engine's transaction."""

    settings: Settings
    clock: Callable[[], datetime]
    _looked_at: datetime | None = None
    _counted_at: datetime | None = None
    _settled_at: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))
    _unsteady_at: datetime | None = None
    #: Since when an ingest has been there without a gap, as far as is known here.
    _ingest_since: datetime | None = None
    _doubts: Mapping[SensorId, equipment.Doubts] = field(default_factory=dict)
    _jumps: Mapping[SensorId, tuple[datetime, ...]] = field(default_factory=dict)
    #: Of sensors whose readings come late: how late, and what that looks like.
    lags: Mapping[SensorId, Lag] = field(default_factory=dict)
    #: Sensors that contradict themselves.
    unfit: frozenset[SensorId] = frozenset()
    #: What could not be judged when it last looked, and why.
    problems: dict[str, str] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Another looked in between: look anew, and let things settle first."""
        self._looked_at = self._counted_at = self._unsteady_at = None

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._is_due(self._looked_at, _EVERY)

    def _is_due(self, last: datetime | None, every: timedelta) -> bool:
        return last is None or abs(self.clock() - last) >= every  # abs: a clock that is set back stops nothing

    async def look(self, connection: Connection, registry: Registry, rules: list[DatedRule]) -> None:
        """Raise what is wrong, resolve what is well again."""
        now = self.clock()
        if self._looked_at is None or now - self._looked_at > _AWAY:
            self._settled_at = now + _SETTLE
        self._looked_at = now
        open_ = {
            (a.kind, a.subject if a.sensor is None else a.sensor): a
            for a in await record.open_alerts(connection, KINDS_HERE)
        }
        found = await self._troubles(connection, registry, rules, open_.keys(), now)
        for key, trouble in found.items():
            if key not in open_ and now >= self._settled_at:
                open_[key] = await self._raise(connection, registry, trouble, now)
        await self._gather(connection, registry, rules, open_, found, now)
        for key, alert in open_.items():
            if key not in found and alert.kind != OutageRule.kind and _name(*key) not in self.problems:
                await self._resolve(connection, alert, now)
        self.unfit = frozenset(
            a.sensor for key, a in open_.items() if a.kind == UnfitRule.kind and key in found and a.sensor is not None
        )

    async def _troubles(
        self, connection: Connection, registry: Registry, rules: list[DatedRule], firing: Any, now: datetime
    ) -> dict[Key, Trouble]:
        found: dict[Key, Trouble] = {}
        self.problems = {}
        for facts in await self._facts(connection, registry, now, firing):
            for kind in SENSOR_KINDS:
                dated = rule_for(rules, kind, facts.station, now)
                rule = _in_force(kind, dated)
                if not isinstance(rule, SensorRule):
                    continue
                key: Key = (kind, facts.sensor.id)
                finding = self._judge(key, lambda: rule.judge(facts, now, firing=key in firing))  # noqa: B023 - called now
                if finding is not None:
                    subject = f"sensor:{facts.sensor.id}"
                    found[key] = Trouble(kind, facts.sensor.id, facts.station.id, subject, finding, dated)
        for kind in (GatewayRule.kind, ClockRule.kind):
            site = _of_the_site(rules, kind, now)
            of_gateways = _in_force(kind, site)
            if of_gateways is None:
                continue
            if kind == GatewayRule.kind and not await self._ingest_was_there(connection, now):
                found |= {
                    key: Trouble(kind, None, None, str(key[1]), Finding(since=now), site)
                    for key in firing if key[0] == kind
                }  # fmt: skip
                continue
            for gateway in await equipment.gateway_facts(connection):
                subject = f"gateway:{gateway.gateway_id}"
                finding = self._judge(
                    (kind, subject),
                    lambda: _of_gateway(of_gateways, gateway, now, firing=(kind, subject) in firing),  # noqa: B023
                )
                if finding is not None:
                    found[kind, subject] = Trouble(kind, None, None, subject, finding, site)
        return found

    async def _ingest_was_there(self, connection: Connection, now: datetime) -> bool:
        """Whether an ingest has been there for as long as a gateway must be silent: nobody else hears the gateways.

        Else a gateway says nothing because our own service fails; what was known of it stands.
        """
        if not await equipment.ingest_is_there(connection):
            self._ingest_since = None
            return False
        if self._ingest_since is None:
            self._ingest_since = now
        return abs(now - self._ingest_since) >= GATEWAY_SILENT_AFTER

    def _judge(self, key: Key, judge: Callable[[], Finding | None]) -> Finding | None:
        """What is wrong; a rule that fails on one sensor or gateway costs that, said once and shown while it lasts."""
        try:
            return judge()
        except Exception as error:  # noqa: BLE001 - the root of one rule's judging
            name, why = _name(*key), repr(error)[:200]
            if self._said.get(name) != why:
                self._said[name] = why
                log().error("a rule cannot judge: report this with the log", what=name, error=why)
            self.problems[name] = why
            return None

    async def _facts(self, connection: Connection, registry: Registry, now: datetime, firing: Any) -> list[Facts]:
        if self._is_due(self._counted_at, _COUNT_EVERY):
            self._counted_at = now
            self._doubts = await equipment.doubts_since(connection, now - timedelta(days=1), now)
        if self._is_due(self._unsteady_at, _UNSTEADY_EVERY):
            self._unsteady_at = now
            watched = {SensorId(id_) for kind, id_ in firing if kind == UnfitRule.kind and isinstance(id_, int)}
            watched |= set(await equipment.jumping(connection, now - timedelta(hours=1), now, _LEAST_DOUBTED))
            values = await equipment.values_since(connection, sorted(watched), now - LOOK_BACK, now)
            self._jumps = {sensor: contradictions(line) for sensor, line in values.items()}
        refused = await equipment.refused_clocks(connection, now - timedelta(hours=1))
        rows = [r for r in await equipment.sensor_facts(connection) if _in_service(registry, r[0], now)]
        await self._measure_lags(connection, registry, rows, now)
        trends: dict[StationId, float] = {}
        for id_, observed_at, _, value, flag, trend_h, *_ in rows:
            sensor = registry.sensors[id_]
            if sensor.quantity != "water_level" or trend_h is None or observed_at is None:
                continue
            station = registry.stations[sensor.station]
            usual = expected_interval(
                believed(value, flag), sensor.report_every, sensor.report_every_low, station.observation_start_m
            )
            if freshness(now - observed_at, usual) is not Freshness.DEAD:
                trends[sensor.station] = trend_h
        near = next_to(registry)
        facts = []
        for id_, observed_at, received_at, value, flag, trend_h, flat_since, device, status, off, beyond in rows:
            sensor = registry.sensors[id_]
            refused_at, why = refused.get(device, (None, ""))
            doubts = self._doubts.get(id_, equipment.Doubts())
            facts.append(
                Facts(
                    sensor=sensor, station=registry.stations[sensor.station], observed_at=observed_at,
                    received_at=received_at, value=value, flag=FLAGS.get(flag), trend_h=trend_h, flat_since=flat_since,
                    battery_v=_battery(status), spikes=doubts.spikes, disputed=doubts.disputed,
                    counting=doubts.counting, refused_at=refused_at, refused_ahead="ahead" in why,
                    lag=self.lags.get(id_), gateway_off_s=off, jumps=self._jumps.get(id_, ()), beyond_since=beyond,
                    neighbours={s: trends[s] for s in near.get(sensor.station, ()) if s in trends},
                )
            )  # fmt: skip
        return facts

    async def _measure_lags(
        self, connection: Connection, registry: Registry, rows: list[tuple[Any, ...]], now: datetime
    ) -> None:
        """Look at the last readings of the sensors that were heard lately, and whose newest came late."""
        late = [
            SensorId(id_) for id_, observed_at, received_at, *_ in rows
            if observed_at is not None and received_at - observed_at > NOTABLE and abs(now - received_at) <= _HEARD
        ]  # fmt: skip
        arrivals = await equipment.recent_arrivals(connection, late[:_MOST_LATE], 2 * LEAST)
        found = {id_: lag_of(line, registry.sensors[id_].usual_delay) for id_, line in arrivals.items()}
        self.lags = {id_: lag for id_, lag in found.items() if lag is not None}

    async def _raise(self, connection: Connection, registry: Registry, trouble: Trouble, now: datetime) -> Alert:
        if trouble.kind == UnfitRule.kind and trouble.station is not None:
            trouble = await _with_neighbours(connection, registry, trouble, trouble.station)
        status = self.settings.site.status
        if status == "actual" and trouble.dated is not None:
            status = trouble.dated.status
        values = {
            "station": trouble.station, "sensor": trouble.sensor, "subject": trouble.subject, "kind": trouble.kind,
            "rule": trouble.dated and trouble.dated.id, "level": 0, "threshold": None, "state": "firing",
            "started_at": trouble.finding.since, "ended_at": None, "value": trouble.finding.value,
            "peak": trouble.finding.value, "verified": True, "retroactive": False, "status": status, "paged_at": now,
            "detail": trouble.finding.detail,
        }  # fmt: skip
        (id_,) = await record.insert_alerts(connection, [values])
        await audit.note(connection, subject_id=id_, alert=id_, event="raised")
        alert = Alert(
            id=id_, kind=trouble.kind, station=trouble.station, river=None, sensor=trouble.sensor,
            subject=trouble.subject, level=0, threshold_m=None, state="firing", started_at=trouble.finding.since,
            ended_at=None, value_m=trouble.finding.value, peak_m=trouble.finding.value, verified=True, status=status,
            paged_at=now, detail=trouble.finding.detail, incident=None, acknowledged_at=None, confirmed_at=None,
            dismissed_at=None,
        )  # fmt: skip
        await announcements.announce(connection, [(alert.id, Event.RAISED)], now)
        return alert

    async def _resolve(self, connection: Connection, alert: Alert, now: datetime) -> None:
        await record.end_alert(connection, alert.id, now)
        await audit.note(connection, subject_id=alert.id, alert=alert.id, event="resolved")
        await announcements.announce(connection, [(alert.id, Event.RESOLVED)], now)
        if alert.detail.get("part_of"):
            await announcements.mark_told_together(connection, [alert.id])

    async def _gather(
        self, connection: Connection, registry: Registry, rules: list[DatedRule],
        open_: dict[Key, Alert], found: Mapping[Key, Trouble], now: datetime,
    ) -> None:  # fmt: skip
        """Make one alert of many silences that began together, and end it when most are back."""
        dated = _of_the_site(rules, OutageRule.kind, now)
        rule = _in_force(OutageRule.kind, dated)
        outage = open_.get((OutageRule.kind, SITE))
        silent = {
            a.sensor: a for key, a in open_.items() if key[0] == "silent" and key in found and a.sensor is not None
        }
        if not isinstance(rule, OutageRule):
            return
        parts = {id_: a for id_, a in silent.items() if a.detail.get("part_of")}
        single = {id_: a for id_, a in silent.items() if not a.detail.get("part_of")}
        if outage is None:
            begun = {int(id_): a.started_at for id_, a in single.items() if a.acknowledged_at is None}
            together = rule.gathered(begun, sum(not sensor.is_retired(now) for sensor in registry.sensors.values()))
            if not together:
                return
            since = min(begun[id_] for id_ in together)
            finding = Finding(since=since, value=float(len(together)))
            whole = Trouble(OutageRule.kind, None, None, SITE, finding, dated)
            outage = await self._raise(connection, registry, whole, now)
            joining = [single[SensorId(id_)] for id_ in together]
        elif len(parts) <= rule.least // 2:
            await self._resolve(connection, outage, now)
            for alert in parts.values():  # those still silent are troubles of their own again
                await record.set_part(connection, alert.id, None)
                await announcements.announce(connection, [(alert.id, Event.RAISED)], now)
            return
        else:
            joining = [a for a in single.values() if abs(a.started_at - outage.started_at) <= rule.within]
        for alert in joining:
            await record.set_part(connection, alert.id, outage.id)
        if joining:
            await announcements.mark_told_together(connection, [a.id for a in joining])


def _of_the_site(rules: list[DatedRule], kind: str, now: datetime) -> DatedRule | None:
    """The rule of a kind that is about no station."""
    return next(
        (r for r in rules if r.rule.kind == kind and r.in_force(now) and r.station is None and r.river is None), None
    )


def _in_force(kind: str, dated: DatedRule | None) -> Rule | None:
    """The rule that is set, else the kind's own where it watches by default."""
    if dated is not None:
        return dated.rule if dated.enabled else None
    return KINDS[kind]() if KINDS[kind].by_default else None


def _name(kind: str, about: SensorId | str) -> str:
    return f"{kind} of {about if isinstance(about, str) else f'sensor {about}'}"


def _in_service(registry: Registry, sensor_id: SensorId, now: datetime) -> bool:
    sensor = registry.sensors.get(sensor_id)
    if sensor is None or (sensor.retired_at is not None and sensor.retired_at <= now):
        return False
    station = registry.stations.get(sensor.station)
    return station is not None and not station.internal


def _battery(status: Any) -> float | None:
    """A device's voltage, as far as it says a number that one can compare."""
    volts = status.get("battery_v") if isinstance(status, dict) else None
    if isinstance(volts, bool) or not isinstance(volts, (int, float)) or not -1e6 < volts < 1e6:
        return None
    return float(volts)


def _of_gateway(rule: Rule, facts: GatewayFacts, now: datetime, *, firing: bool) -> Finding | None:
    if isinstance(rule, ClockRule):
        return rule.judge_gateway(facts, now, firing=firing)
    return rule.judge(facts, now, firing=firing) if isinstance(rule, GatewayRule) else None


async def _with_neighbours(connection: Connection, registry: Registry, trouble: Trouble, station: StationId) -> Trouble:
    """What people look at instead of a sensor that contradicts itself: the next stations up and down the river."""
    near = next_to(registry).get(station, [])
    says = await evaluation.levels_of(connection, registry, set(near), trouble.finding.since - LOOK_BACK)
    ja = "、".join(f"{registry.stations[s].name_ja} {says[s][0]:.2f} m" for s in near if s in says)
    en = ", ".join(f"{registry.stations[s].name_en} {says[s][0]:.2f} m" for s in near if s in says)
    message = {
        "ja": "この水位計の基準水位超過は、直るまで一つずつは通知しません。"
        + (f"隣の観測所を見てください：{ja}" if ja else "現地または他の手段で確かめてください。"),
        "en": "Crossings of this sensor are not told one by one until it is quiet again. "
        + (f"Look at its neighbours: {en}." if en else "Check on site or by other means."),
    }
    neighbours = [
        {"station_id": s, "value_m": says[s][0], "observed_at": says[s][1].isoformat()} for s in near if s in says
    ]
    detail = {**trouble.finding.detail, "neighbours": neighbours, "message": message}
    return replace(trouble, finding=replace(trouble.finding, detail=detail))
