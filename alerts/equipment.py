"""The equipment's troubles: sensors and gateways that are silent, stuck, low on battery … as far as is known now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.paging import Event
from kawamori.domain.freshness import Freshness, expected_interval, freshness
from kawamori.domain.reading import FLAGS, SensorId, StationId, believed
from kawamori.domain.registry import Registry
from kawamori.domain.rules import KINDS, DatedRule, Facts, Finding, Rule, SensorRule, rule_for
from kawamori.domain.rules.gateway import GatewayRule
from kawamori.domain.rules.outage import OutageRule
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage.alerts import Alert
from kawamori.storage.database import Connection

#: How often to look, and to count what costs more.
_EVERY = timedelta(seconds=10)
_COUNT_EVERY = timedelta(minutes=5)
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
    _spikes: Mapping[SensorId, int] = field(default_factory=dict)
    _ahead: Mapping[str, datetime] = field(default_factory=dict)

    def forget(self) -> None:
        """Another looked in between: look anew, and let things settle first."""
        self._looked_at = self._counted_at = None

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._looked_at is None or self.clock() - self._looked_at >= _EVERY

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
                open_[key] = await self._raise(connection, trouble, now)
        await self._gather(connection, registry, rules, open_, found, now)
        for key, alert in open_.items():
            if key not in found and alert.kind != OutageRule.kind:
                await self._resolve(connection, alert, now)

    async def _troubles(
        self, connection: Connection, registry: Registry, rules: list[DatedRule], firing: Any, now: datetime
    ) -> dict[Key, Trouble]:
        found: dict[Key, Trouble] = {}
        for facts in await self._facts(connection, registry, now):
            for kind in SENSOR_KINDS:
                dated = rule_for(rules, kind, facts.station, now)
                rule = _in_force(kind, dated)
                if not isinstance(rule, SensorRule):
                    continue
                finding = rule.judge(facts, now, firing=(kind, facts.sensor.id) in firing)
                if finding is not None:
                    subject = f"sensor:{facts.sensor.id}"
                    trouble = Trouble(kind, facts.sensor.id, facts.station.id, subject, finding, dated)
                    found[trouble.key] = trouble
        site = _of_the_site(rules, GatewayRule.kind, now)
        rule = _in_force(GatewayRule.kind, site)
        if isinstance(rule, GatewayRule):
            for gateway in await record.gateway_facts(connection):
                subject = f"gateway:{gateway.gateway_id}"
                finding = rule.judge(gateway, now, firing=(rule.kind, subject) in firing)
                if finding is not None:
                    found[rule.kind, subject] = Trouble(rule.kind, None, None, subject, finding, site)
        return found

    async def _facts(self, connection: Connection, registry: Registry, now: datetime) -> list[Facts]:
        if self._counted_at is None or now - self._counted_at >= _COUNT_EVERY:
            self._counted_at = now
            self._spikes = await record.spikes_since(connection, now - timedelta(days=1), now)
            self._ahead = await record.ahead_since(connection, now - timedelta(hours=1))
        rows = await record.sensor_facts(connection)
        trends: dict[StationId, float] = {}
        for id_, observed_at, _, value, flag, trend_h, *_ in rows:
            sensor = registry.sensors.get(id_)
            if sensor is None or sensor.quantity != "water_level" or trend_h is None or observed_at is None:
                continue
            station = registry.stations[sensor.station]
            usual = expected_interval(
                believed(value, flag), sensor.report_every, sensor.report_every_low, station.observation_start_m
            )
            if freshness(now - observed_at, usual) is not Freshness.DEAD:
                trends[sensor.station] = trend_h
        near = next_to(registry)
        facts = []
        for id_, observed_at, received_at, value, flag, trend_h, flat_since, device, status in rows:
            sensor = registry.sensors.get(id_)
            if sensor is None or registry.stations[sensor.station].internal or sensor.is_retired(now):
                continue
            battery = status.get("battery_v") if isinstance(status, dict) else None
            facts.append(
                Facts(
                    sensor=sensor, station=registry.stations[sensor.station], observed_at=observed_at,
                    received_at=received_at, value=value, flag=FLAGS.get(flag), trend_h=trend_h, flat_since=flat_since,
                    battery_v=float(battery) if isinstance(battery, (int, float)) else None,
                    spikes=self._spikes.get(id_, 0), ahead_at=self._ahead.get(device),
                    neighbours={s: trends[s] for s in near.get(sensor.station, ()) if s in trends},
                )
            )  # fmt: skip
        return facts

    async def _raise(self, connection: Connection, trouble: Trouble, now: datetime) -> Alert:
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
        await record.note(connection, subject_id=id_, alert=id_, event="raised")
        alert = Alert(
            id=id_, kind=trouble.kind, station=trouble.station, river=None, sensor=trouble.sensor,
            subject=trouble.subject, level=0, threshold_m=None, state="firing", started_at=trouble.finding.since,
            ended_at=None, value_m=trouble.finding.value, peak_m=trouble.finding.value, verified=True, status=status,
            paged_at=now, detail=trouble.finding.detail, incident=None, acknowledged_at=None, confirmed_at=None,
            dismissed_at=None,
        )  # fmt: skip
        await record.announce(connection, [(alert.id, Event.RAISED)], now)
        return alert

    async def _resolve(self, connection: Connection, alert: Alert, now: datetime) -> None:
        await record.end_alert(connection, alert.id, now)
        await record.note(connection, subject_id=alert.id, alert=alert.id, event="resolved")
        await record.announce(connection, [(alert.id, Event.RESOLVED)], now)
        if alert.detail.get("part_of"):
            await record.hush(connection, [alert.id])

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
            outage = await self._raise(connection, Trouble(OutageRule.kind, None, None, SITE, finding, dated), now)
            joining = [single[SensorId(id_)] for id_ in together]
        elif len(parts) <= rule.least // 2:
            await self._resolve(connection, outage, now)
            for alert in parts.values():  # those still silent are troubles of their own again
                await record.set_part(connection, alert.id, None)
                await record.announce(connection, [(alert.id, Event.RAISED)], now)
            return
        else:
            joining = [a for a in single.values() if abs(a.started_at - outage.started_at) <= rule.within]
        for alert in joining:
            await record.set_part(connection, alert.id, outage.id)
        if joining:
            await record.hush(connection, [a.id for a in joining])


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


def next_to(registry: Registry) -> dict[StationId, list[StationId]]:
    """Of every station the next ones up and down its river."""
    rivers: dict[str, list[tuple[float, StationId]]] = {}
    for station in registry.stations.values():
        if station.km is not None:
            rivers.setdefault(station.river, []).append((station.km, station.id))
    near: dict[StationId, list[StationId]] = {}
    for along in rivers.values():
        ids = [id_ for _, id_ in sorted(along)]
        for place, id_ in enumerate(ids):
            near[id_] = [*ids[place + 1 : place + 2], *ids[max(0, place - 1) : place]]
    return near
