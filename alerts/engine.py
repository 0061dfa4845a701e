"""From the change feed to the record of alerts and the outbox, one transaction at a time.

Alerts are what the readings say, in order of measurement, whatever order they came in. Two engines may run: the
lease's row is locked while one writes, and whoever finds its token changed forgets what it remembered.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from prometheus_client import Counter

from alerts.equipment import Equipment, next_to
from alerts.herald import Herald
from alerts.paging import Event
from alerts.reconcile import Change, reconcile
from alerts.watches import DatedWatch, SensorWatch
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import SensorId
from kawamori.domain.registry import Registry, Sensor
from kawamori.domain.rules import KINDS, DatedRule, Episode, SeriesRule, Watch, rule_for
from kawamori.domain.rules.level import LevelWatch
from kawamori.errors import StorageRefused
from kawamori.observe import log
from kawamori.runtime import fail_point
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage.changes import Change as Batch
from kawamori.storage.changes import changes_after, hold_cursor, move_cursor
from kawamori.storage.database import Connection, Database, translated
from kawamori.storage.registry import load_registry, registry_version, rules_of

EVALUATED = Counter("kawamori_alerts_readings_total", "Readings evaluated")
RECORDED = Counter("kawamori_alerts_crossings_total", "Crossings recorded", ["flood_level"])

FOLLOWER = "alerts"
#: Batches evaluated in one transaction at most.
_TOGETHER = 200
_MOMENT = timedelta(microseconds=1)
#: Seconds of feeding watches between two words to the database.
_SPEAK_S = 1.0
#: What the self-test's own sensor measures.
SELF_TEST = "self_test"


class Engine:
    """Evaluates what changed, looks at the equipment, and puts what people are told into the outbox."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._holder = uuid4().hex
        self._token: int | None = None
        self._registry = Registry(version=0)
        self._rules: list[DatedRule] = []
        self._watches: dict[SensorId, SensorWatch] = {}
        self._herald = Herald(settings, clock)
        self._equipment = Equipment(settings, clock)
        #: When the newest batch that was evaluated had been committed.
        self.followed_until: datetime | None = None

    @property
    def leads(self) -> bool:
        """Whether this engine held the lease when it last looked."""
        return self._token is not None

    @property
    def registry(self) -> Registry:
        """What is registered, as this engine last knew it."""
        return self._registry

    @property
    def names(self) -> Mapping[int, tuple[str, str]]:
        """The levels' names, as this engine last knew them."""
        return self._herald.names

    async def advance(self) -> bool:
        """Evaluate the next changes; False when there are none. Raises StorageUnavailable: then nothing happened."""
        try:
            return await self._advance(carefully=False)
        except StorageRefused as error:
            log().error("the database refuses an alert: judging sensor by sensor, so that one keeps back no other",
                        error=str(error))  # fmt: skip
            return await self._advance(carefully=True)

    async def _advance(self, *, carefully: bool) -> bool:
        try:
            async with self._database.transaction() as connection:
                if not await self._lead(connection):
                    return False
                cursor = await hold_cursor(connection, FOLLOWER)
                changes = await changes_after(connection, cursor, _TOGETHER)
                if not changes:
                    return False
                await self._refresh_registry(connection)
                fail_point("alerts.read")
                if await self._evaluate(connection, changes, carefully=carefully):
                    fail_point("alerts.recorded_alerts")
                    await self._herald.tell(connection, self._registry)
                fail_point("alerts.evaluated")
                await move_cursor(connection, FOLLOWER, changes[-1].cursor)
        except BaseException:
            self._watches.clear()  # they may have seen what was rolled back
            raise
        fail_point("alerts.committed")
        self.followed_until = changes[-1].committed_at
        return True

    async def tick(self) -> None:
        """What time brings about: silent equipment, waiting messages, unanswered alerts. Every second or so."""
        if self._equipment.is_due():
            await self._look()
        async with self._database.transaction() as connection:
            if not await self._lead(connection):
                return
            await self._refresh_registry(connection)
            await self._herald.tell(connection, self._registry)
            fail_point("alerts.told")
            await self._herald.escalate(connection, self._registry)
            await record.describe_duty(
                connection, has_listeners=await self._herald.has_listeners(connection),
                self_test_every=self._settings.self_test_every(),
            )  # fmt: skip
        fail_point("alerts.ticked")

    async def _look(self) -> None:
        """Look at the equipment; whatever the database refuses of it keeps nobody from being told of the water."""
        try:
            async with self._database.transaction() as connection:
                if not await self._lead(connection):
                    return
                await self._refresh_registry(connection)
                await self._equipment.look(connection, self._registry, self._rules)
                fail_point("alerts.looked")
        except StorageRefused as error:
            log().error("the equipment could not be looked at: report this with the log", error=str(error))

    async def _lead(self, connection: Connection) -> bool:
        token = await record.take_lease(connection, self._holder, self._settings.alerts.lease)
        if token != self._token:
            self._watches.clear()  # another led in between
            self._equipment.forget()
        self._token = token
        return token is not None

    async def _refresh_registry(self, connection: Connection) -> None:
        if await registry_version(connection) != self._registry.version:
            self._registry = await load_registry(self._database)
            self._rules = await rules_of(connection)
            self._herald.names = await record.level_names(connection)
            self._watches.clear()

    async def _evaluate(self, connection: Connection, news: list[Batch], *, carefully: bool) -> bool:
        """Bring the record up to these changes; whether anything may have changed in it."""
        spans = self._touched(news)
        if not carefully:
            return await self._evaluate_spans(connection, spans)
        for id_, span in spans.items():
            try:
                async with translated(), connection.transaction():
                    await self._evaluate_spans(connection, {id_: span})
            except StorageRefused as error:
                self._watches.pop(id_, None)
                station = self._registry.sensors[id_].station
                log().error("a station is not judged: look at it yourself, and report this with the log",
                            station=station, error=str(error))  # fmt: skip
                await record.note(connection, subject="alerting", subject_id=station, event="not_judged")
        return True

    async def _evaluate_spans(
        self, connection: Connection, spans: dict[SensorId, tuple[datetime, datetime, float]]
    ) -> bool:
        live, late = [], []
        lasting = await record.recorded_since(connection, self._unwatched(spans), SERIES_KINDS)
        for id_, (start, end, high) in sorted(spans.items()):
            watch = self._watches.get(id_)
            if watch is not None and watch.last is not None and start > watch.last:
                if watch.is_calm_below(high):
                    watch.last = end
                else:
                    live.append((id_, watch.last, end))
            elif id_ in lasting or not self._starts_calm(id_, high):
                late.append((id_, await self._restart(connection, self._registry.sensors[id_], start)))
            elif watch is None:
                self._watches[id_] = SensorWatch(self._watching(self._registry.sensors[id_]), end)
        if not live and not late:
            return False
        since_of = {id_: watched + _MOMENT for id_, watched, _ in live} | dict(late)
        newest = {id_: at for id_, (_, at) in (await record.trends(connection, list(since_of))).items()}
        forever = self._clock() + timedelta(days=3650)
        rows = await record.rows_to_evaluate(
            connection, live + [(id_, since - _MOMENT, forever) for id_, since in late]
        )
        EVALUATED.inc(sum(map(len, rows.values())))
        recorded = await record.recorded_since(connection, self._padded(since_of), SERIES_KINDS)
        spoke = time.monotonic()
        changes: list[Change] = []
        gone: list[tuple[record.Alert, bool]] = []
        for id_, _ in late:
            self._watches[id_] = SensorWatch(self._watching(self._registry.sensors[id_]))
        for id_ in sorted(since_of):
            if time.monotonic() - spoke > _SPEAK_S:  # a session that says nothing for long is ended by the server
                await connection.execute("SELECT 1")
                await asyncio.sleep(0)
                spoke = time.monotonic()
            found = self._watches[id_].feed(rows[id_])
            if rows[id_] or found:
                known = [a for a in recorded.get(id_, []) if a.ended_at is None or a.ended_at >= since_of[id_]]
                one = reconcile(
                    self._registry.sensors[id_], known, found, newest=newest[id_], now=self._clock(),
                    within=self._settings.alerts.page_within,
                )  # fmt: skip
                changes += one[0]
                gone += one[1]
        await self._write(connection, changes, gone)
        return True

    def _touched(self, news: list[Batch]) -> dict[SensorId, tuple[datetime, datetime, float]]:
        """Of each sensor that rules watch the span that changed, and the highest value new in it."""
        spans: dict[SensorId, tuple[datetime, datetime, float]] = {}
        for batch in news:
            for id_, start, end, high in batch.touched:
                known = spans.get(id_)
                if known is not None:
                    spans[id_] = (min(known[0], start), max(known[1], end), max(known[2], high))
                    continue
                sensor = self._registry.sensors.get(id_)
                if sensor is not None and self._is_watched(sensor):
                    spans[id_] = (start, end, high)
        return spans

    def _is_watched(self, sensor: Sensor) -> bool:
        if sensor.quantity == SELF_TEST:
            return True
        return sensor.quantity == "water_level" and bool(self._thresholds(sensor) or self._dated_kinds(sensor))

    def _unwatched(self, spans: dict[SensorId, tuple[datetime, datetime, float]]) -> dict[SensorId, datetime]:
        """Sensors whose change is not after all that was watched, and where it begins."""
        return self._padded(
            {
                id_: start
                for id_, (start, _, _) in spans.items()
                if (watch := self._watches.get(id_)) is None or watch.last is None or start <= watch.last
            }
        )

    def _padded(self, since: dict[SensorId, datetime]) -> dict[SensorId, datetime]:
        """Each moment as long before as an end may still be undone: while the water had to stay below."""
        return {id_: at - self._longest(id_, "keep_firing") for id_, at in since.items()}

    def _longest(self, id_: SensorId, what: str) -> timedelta:
        thresholds = self._thresholds(self._registry.sensors[id_])
        return max((getattr(t, what) for t in thresholds), default=timedelta(0))

    def _starts_calm(self, id_: SensorId, high: float) -> bool:
        """Whether readings up to `high` change nothing where no episode lasts: they are below all thresholds, nothing
        can be pending, and no other rule watches.
        """
        sensor = self._registry.sensors[id_]
        if sensor.quantity == SELF_TEST or self._dated_kinds(sensor):
            return False
        return all(not t.hold and t.consecutive == 1 and high < t.value_m for t in self._thresholds(sensor))

    def _thresholds(self, sensor: Sensor) -> tuple[Threshold, ...]:
        return self._registry.thresholds.get(sensor.station, ())

    def _dated_kinds(self, sensor: Sensor) -> dict[str, list[DatedRule]]:
        """The series rules other than level that have ever held for a sensor's station, by kind."""
        station = self._registry.stations[sensor.station]
        kinds: dict[str, list[DatedRule]] = {}
        for dated in self._rules:
            if dated.rule.kind == "level" or not isinstance(dated.rule, SeriesRule):
                continue
            if dated.station in (None, station.id) and dated.river in (None, station.river) and dated.enabled:
                kinds.setdefault(dated.rule.kind, self._rules)
        return kinds

    def _watching(self, sensor: Sensor) -> list[Watch]:
        """Watches that have seen nothing yet, one a rule."""
        thresholds = self._thresholds(sensor)
        if sensor.quantity == SELF_TEST:
            rule = KINDS[SELF_TEST]()
            return [rule.watch(thresholds)] if isinstance(rule, SeriesRule) else []
        station = self._registry.stations[sensor.station]
        dated = self._dated_kinds(sensor)
        return [
            *([LevelWatch(thresholds)] if thresholds else []),
            *(DatedWatch(kind, rules, station, thresholds) for kind, rules in dated.items()),
        ]

    async def _restart(self, connection: Connection, sensor: Sensor, start: datetime) -> datetime:
        """A moment before which nothing changes, at which no episode is under way, pending or in any rule's window."""
        thresholds = self._thresholds(sensor)
        reach = max(
            (
                d.rule.reach
                for rules in self._dated_kinds(sensor).values()
                for d in rules
                if isinstance(d.rule, SeriesRule)
            ),
            default=timedelta(0),
        )
        since = start - reach
        if any(t.hold or t.consecutive > 1 for t in thresholds):
            lowest = min(t.value_m for t in thresholds)
            calm = await record.calm_before(connection, sensor.id, start, lowest)
            since = min(since, calm or min(t.valid_from for t in thresholds))
        while True:
            recorded = await record.recorded_since(connection, self._padded({sensor.id: since}), SERIES_KINDS)
            earlier = min([since, *(a.started_at - reach for a in recorded.get(sensor.id, []))])
            if earlier == since:
                return since
            since = earlier

    async def _write(
        self, connection: Connection, changes: list[Change], gone: list[tuple[record.Alert, bool]]
    ) -> None:
        """Make the record say what the readings say, and announce what is due."""
        now = self._clock()
        notes: list[dict[str, Any]] = []
        tell: list[tuple[int, str]] = []
        for alert, merged in gone:  # first: what takes its place may begin at the same moment
            if alert.confirmed_at is not None and not merged:  # a person has seen the water: no filter outweighs that
                if alert.ended_at is None:
                    await record.end_alert(connection, alert.id, now)
                    notes.append({"id": alert.id, "alert": alert.id, "event": "resolved"})
                    tell.append((alert.id, Event.RESOLVED))
                continue
            unknown = alert.paged_at is None and alert.acknowledged_at is None
            await (record.forget_alert if unknown else record.retract_alert)(connection, alert.id)
            event = "forgotten" if unknown else "merged" if merged else "withdrawn"
            notes.append({"id": alert.id, "alert": alert.id, "event": event})
            if event == "withdrawn" and alert.state != "withdrawn":
                tell.append((alert.id, Event.WITHDRAWN))
        known = [c for c in changes if c.match is not None]
        new = [c for c in changes if c.match is None]
        await self._add_doubts(connection, [c for c in new if not c.episode.verified])
        await record.update_alerts(connection, [self._values(c) | {"alert": c.match and c.match.id} for c in known])
        ids = await record.insert_alerts(connection, [self._values(c) for c in new])
        for change in new:
            RECORDED.labels(str(change.episode.level)).inc()
        for change, id_ in [*((c, c.match.id) for c in known if c.match), *zip(new, ids, strict=True)]:
            notes += [{"id": id_, "alert": id_, "event": event} for event in change.events]
            tell += [(id_, event) for event in change.tell]
        await record.notes(connection, notes)
        await record.announce(connection, tell, now)

    def _values(self, change: Change) -> dict[str, Any]:
        episode, sensor = change.episode, change.sensor
        dated = rule_for(self._rules, episode.kind, self._registry.stations[sensor.station], episode.started_at)
        return {
            "station": sensor.station, "sensor": sensor.id, "subject": "", "kind": episode.kind,
            "rule": dated and dated.id, "level": episode.level, "threshold": episode.threshold_m,
            "state": change.state, "started_at": episode.started_at, "ended_at": episode.ended_at,
            "value": episode.value_m, "peak": episode.peak_m, "verified": change.verified,
            "retroactive": change.paged_at is None and change.state != "pending",
            "status": self._status(episode, dated), "paged_at": change.paged_at, "detail": change.detail,
        }  # fmt: skip

    def _status(self, episode: Episode, dated: DatedRule | None) -> str:
        """A drill of the site or of the rule; the self-test is always one."""
        if episode.kind == SELF_TEST:
            return "test"
        site = self._settings.site.status
        return dated.status if site == "actual" and dated is not None else site

    async def _add_doubts(self, connection: Connection, doubtful: list[Change]) -> None:
        """What helps to judge a doubtful value: what the next stations up and down the river say."""
        if not doubtful:
            return
        near = next_to(self._registry)
        wanted = {station for change in doubtful for station in near.get(change.sensor.station, ())}
        levels = [s for s in self._registry.sensors.values() if s.quantity == "water_level" and s.station in wanted]
        values = await record.values_now(connection, [s.id for s in levels]) if levels else {}
        says = {s.station: values[s.id] for s in levels if s.id in values}
        for change in doubtful:
            change.detail["neighbours"] = [
                {"station_id": station, "value_m": says[station][0], "observed_at": says[station][1].isoformat()}
                for station in near.get(change.sensor.station, ())
                if station in says
            ]


SERIES_KINDS = sorted(kind for kind, rule in KINDS.items() if issubclass(rule, SeriesRule))
