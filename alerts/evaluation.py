"""Judge what changed of each sensor by its rules, and make the record of alerts say what the readings say.

The work of one transaction is bounded: readings come in pages, and a sensor whose late readings need more of them than
`_LATE_ROWS` waits in `late_evaluation`, so that the others, and what people are told, do not wait for it.

Over 400 lines: live, late and put-off readings share one set of watches, and are read against each other.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter

from alerts.paging import Event
from alerts.reconcile import Change, reconcile
from alerts.watches import DatedWatch, SensorWatch
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import SensorId
from kawamori.domain.registry import Registry, Sensor, next_to
from kawamori.domain.rules import KINDS, DatedRule, Episode, SeriesRule, Watch, rule_for
from kawamori.domain.rules.level import LevelWatch
from kawamori.domain.rules.stay import AGREE_WITHIN, GAP
from kawamori.errors import StorageRefused
from kawamori.observe import log
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage import announcements, audit
from kawamori.storage import evaluation as reading_rows
from kawamori.storage.changes import Change as Batch
from kawamori.storage.database import Connection, translated

EVALUATED = Counter("kawamori_alerts_readings_total", "Readings evaluated")
RECORDED = Counter("kawamori_alerts_crossings_total", "Crossings recorded", ["flood_level"])
PUT_OFF = Counter("kawamori_alerts_put_off_total", "Sensors whose late readings were put off to be judged by pages")

#: Late readings are read so many at a time; of one sensor so many at most in the transaction that found them.
_PAGE = 5_000
_LATE_ROWS = 20_000
#: Readings of new batches in one transaction at most, where they are more than one batch.
READINGS_TOGETHER = 50_000
#: Seconds that a slice of the work put off may take: the lease is free again after it.
_SLICE_S = 0.5
#: Seconds of feeding watches between two words to the database.
_SPEAK_S = 1.0
_MOMENT = timedelta(microseconds=1)
#: Readings lie at most this far ahead: nothing is left out, and chunks are.
_AHEAD = timedelta(days=3650)
#: What the next stations said longer ago than this helps nobody to judge a value.
NEIGHBOURS_SINCE = timedelta(hours=3)
#: What the self-test's own sensor measures.
SELF_TEST = "self_test"
SERIES_KINDS = sorted(kind for kind, rule in KINDS.items() if issubclass(rule, SeriesRule))

#: What code of ours raises, and no library's trouble with the database.
_OURS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Of a sensor the span that changed (both ends included), and the highest value new in it.
Span = tuple[datetime, datetime, float]


@dataclass(slots=True)
class Late:
    """A sensor's readings judged again from `since` on, page by page, until nothing more can change."""

    sensor: Sensor
    since: datetime
    #: The last reading that changed.
    until: datetime
    watch: SensorWatch
    #: Read and judged up to there.
    after: datetime
    found: list[Episode] = field(default_factory=list)
    rows: int = 0
    #: Nothing is under way there, so that what is recorded after it stands; None: there are no more readings.
    calm_at: datetime | None = None
    done: bool = False


class Evaluation:
    """What the engine remembers of every sensor, and how a change of readings changes the record."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._registry = Registry(version=0)
        self._rules: list[DatedRule] = []
        self._watches: dict[SensorId, SensorWatch] = {}
        #: Sensors whose readings any rule judges.
        self._watched: frozenset[SensorId] = frozenset()
        #: What was put off, as far as it has come.
        self._late: Late | None = None
        #: Sensors that contradict themselves now.
        self.unfit: frozenset[SensorId] = frozenset()
        #: Why a sensor cannot be judged, since when it could not.
        self.problems: dict[SensorId, str] = {}

    def forget(self) -> None:
        """Forget what was seen: another engine led in between, or what was seen was rolled back."""
        self._watches.clear()
        self._late = None

    def learn(self, registry: Registry, rules: list[DatedRule]) -> None:
        """Judge by this registry and these rules from now on."""
        self._registry, self._rules = registry, rules
        self._watched = frozenset(id_ for id_, sensor in registry.sensors.items() if self._is_watched(sensor))
        self.forget()

    async def evaluate(self, connection: Connection, news: list[Batch], *, carefully: bool) -> bool:
        """Bring the record up to these changes; whether anything may have changed in it."""
        spans = self._touched(news)
        if not carefully:
            return await self._evaluate_spans(connection, spans)
        for id_, span in spans.items():
            try:
                async with translated(), connection.transaction():
                    await self._evaluate_spans(connection, {id_: span})
            except StorageRefused as error:
                await self._not_judged(connection, id_, str(error))
        return True

    async def evaluate_late(self, connection: Connection) -> bool:
        """Go on with what was put off, for a moment; False when nothing is left of it."""
        row = await reading_rows.next_late(connection)
        if row is None:
            return False
        id_, since, until = row
        sensor = self._registry.sensors.get(id_)
        if sensor is None:
            await reading_rows.late_done(connection, id_)
            return True
        late = self._late
        if late is None or late.sensor.id != id_ or since < late.since:
            late = self._late = await self._begin_late(connection, sensor, since, until)
        late.until = max(late.until, until)
        late.done = False
        end = time.monotonic() + _SLICE_S
        await self._read_page(connection, late)
        while not late.done and time.monotonic() < end:
            await self._read_page(connection, late)
        if late.done:
            self._late = None
            newest = {s: at for s, (_, at) in (await reading_rows.trends(connection, [id_])).items()}
            changes, gone = await self._finish_late(connection, late, newest.get(id_))
            await self._write(connection, changes, gone)
            await reading_rows.late_done(connection, id_)
        return True

    async def _not_judged(self, connection: Connection, id_: SensorId, reason: str) -> None:
        """One sensor that cannot be judged costs itself; said once for each reason, and shown until it is judged."""
        self._watches.pop(id_, None)
        station = self._registry.sensors[id_].station
        if self.problems.get(id_) == reason:
            return
        self.problems[id_] = reason
        log().error("a station is not judged: look at it yourself, and report this with the log",
                    station=station, error=reason)  # fmt: skip
        await audit.note(
            connection, subject="alerting", subject_id=station, event="not_judged", detail={"reason": reason[:500]}
        )

    async def _evaluate_spans(self, connection: Connection, spans: dict[SensorId, Span]) -> bool:
        live: list[tuple[SensorId, datetime, datetime]] = []
        late: dict[SensorId, Span] = {}
        unwatched: dict[SensorId, Span] = {}
        for id_, span in spans.items():
            start, end, high = span
            watch = self._watches.get(id_)
            if watch is None or watch.last is None or start <= watch.last:
                unwatched[id_] = span
            elif watch.is_calm_below(high):
                watch.last = end
                if self.problems:
                    self.problems.pop(id_, None)
            else:
                live.append((id_, watch.last, end))
        live.sort()
        since = self._padded({id_: start for id_, (start, _, _) in unwatched.items()})
        lasting = await record.recorded_since(connection, since, SERIES_KINDS)
        for id_, span in sorted(unwatched.items()):
            start, end, high = span
            if id_ in lasting or not self._starts_calm(id_, high):
                late[id_] = span
                if self._late is not None and self._late.sensor.id == id_ and start <= self._late.after:
                    self._late = None  # what it has read has changed
            elif id_ not in self._watches:
                self._watches[id_] = SensorWatch(self._watching(self._registry.sensors[id_]), end)
        if not live and not late:
            return False
        newest = {
            s: at for s, (_, at) in (await reading_rows.trends(connection, [*late, *(s for s, *_ in live)])).items()
        }
        changes, gone = await self._judge_live(connection, live, newest)
        for id_, (start, end, _) in late.items():
            more = await self._judge_late(connection, self._registry.sensors[id_], start, end, newest.get(id_))
            changes += more[0]
            gone += more[1]
        await self._write(connection, changes, gone)
        return True

    async def _judge_live(
        self, connection: Connection, live: list[tuple[SensorId, datetime, datetime]],
        newest: dict[SensorId, datetime | None],
    ) -> tuple[list[Change], list[tuple[record.Alert, bool]]]:  # fmt: skip
        """Feed the watches with what is newer than all they have seen."""
        changes: list[Change] = []
        gone: list[tuple[record.Alert, bool]] = []
        if not live:
            return changes, gone
        rows = await reading_rows.rows_to_evaluate(connection, live)
        EVALUATED.inc(sum(map(len, rows.values())))
        since_of = {id_: watched + _MOMENT for id_, watched, _ in live}
        recorded = await record.recorded_since(connection, self._padded(since_of), SERIES_KINDS)
        spoke = time.monotonic()
        for id_ in sorted(since_of):
            if time.monotonic() - spoke > _SPEAK_S:  # a session that says nothing for long is ended by the server
                await connection.execute("SELECT 1")
                await asyncio.sleep(0)
                spoke = time.monotonic()
            known = [a for a in recorded.get(id_, []) if a.ended_at is None or a.ended_at >= since_of[id_]]
            try:
                found = self._watches[id_].feed(rows[id_])
                if rows[id_] or found:
                    one = self._reconcile(self._registry.sensors[id_], known, found, newest.get(id_))
                    changes += one[0]
                    gone += one[1]
                self.problems.pop(id_, None)
            except Exception as error:  # noqa: BLE001 - the root of one sensor's judging
                await self._not_judged(connection, id_, repr(error))
        return changes, gone

    async def _judge_late(
        self, connection: Connection, sensor: Sensor, start: datetime, end: datetime, newest: datetime | None
    ) -> tuple[list[Change], list[tuple[record.Alert, bool]]]:
        """Judge a sensor's readings again from where nothing was under way; more than a few pages are put off."""
        try:
            late = await self._begin_late(connection, sensor, start, end)
            while not late.done and late.rows < _LATE_ROWS:
                await self._read_page(connection, late)
            if late.done:
                found = await self._finish_late(connection, late, newest)
                self.problems.pop(sensor.id, None)
                return found
        except _OURS as error:
            await self._not_judged(connection, sensor.id, repr(error))
            return [], []
        PUT_OFF.inc()
        await reading_rows.put_off(connection, sensor.id, start, end)
        return [], []

    async def _begin_late(self, connection: Connection, sensor: Sensor, start: datetime, end: datetime) -> Late:
        since = await self._restart(connection, sensor, start)
        watch = SensorWatch(self._watching(sensor))
        return Late(sensor=sensor, since=since, until=end, watch=watch, after=since - _MOMENT)

    async def _read_page(self, connection: Connection, late: Late) -> None:
        """Judge one page more of a sensor's readings."""
        id_ = late.sensor.id
        rows = await reading_rows.page_to_evaluate(connection, id_, late.after, self._clock() + _AHEAD, _PAGE)
        EVALUATED.inc(len(rows))
        late.rows += len(rows)
        settled = late.until + self._reach(late.sensor) + AGREE_WITHIN
        if rows and rows[-1].observed_at > settled:
            recorded = await record.recorded_since(connection, {id_: late.since}, SERIES_KINDS)
            for reading in rows:
                late.found += late.watch.take(reading)
                at = late.after = reading.observed_at
                if at > settled and not late.watch.lasting() and not _straddled(recorded.get(id_, ()), at):
                    late.calm_at, late.done = at, True
                    return
        else:
            for reading in rows:
                late.found += late.watch.take(reading)
                late.after = reading.observed_at
        late.done = len(rows) < _PAGE

    async def _finish_late(
        self, connection: Connection, late: Late, newest: datetime | None
    ) -> tuple[list[Change], list[tuple[record.Alert, bool]]]:
        id_ = late.sensor.id
        if late.calm_at is None:  # all there is was read: this watch goes on from here
            self._watches[id_] = late.watch
            late.watch.last = late.after if late.rows else max(late.until, late.watch.last or late.until)
        elif (known := self._watches.get(id_)) is not None and known.last is not None and known.last < late.calm_at:
            del self._watches[id_]
        recorded = await record.recorded_since(connection, self._padded({id_: late.since}), SERIES_KINDS)
        alerts = [
            a for a in recorded.get(id_, [])
            if (a.ended_at is None or a.ended_at >= late.since)
            and (late.calm_at is None or a.started_at <= late.calm_at)
        ]  # fmt: skip
        found = [*late.found, *(late.watch.lasting() if late.calm_at is None else ())]
        return self._reconcile(late.sensor, alerts, found, newest)

    def _reconcile(
        self, sensor: Sensor, known: Sequence[record.Alert], found: Sequence[Episode], newest: datetime | None
    ) -> tuple[list[Change], list[tuple[record.Alert, bool]]]:
        return reconcile(
            sensor, known, found, newest=newest, now=self._clock(),
            within=self._settings.alerts.page_within + sensor.usual_delay, unfit=sensor.id in self.unfit,
        )  # fmt: skip

    def _touched(self, news: list[Batch]) -> dict[SensorId, Span]:
        """Of each sensor that rules watch the span that changed, and the highest value new in it."""
        spans: dict[SensorId, Span] = {}
        watched = self._watched
        for batch in news:
            for touched in batch.touched:
                id_ = touched[0]
                known = spans.get(id_)
                if known is not None:
                    spans[id_] = (min(known[0], touched[1]), max(known[1], touched[2]), max(known[2], touched[3]))
                elif id_ in watched:
                    spans[id_] = touched[1:]
        return spans

    def _is_watched(self, sensor: Sensor) -> bool:
        if sensor.quantity == SELF_TEST:
            return True
        return sensor.quantity == "water_level" and bool(self._thresholds(sensor) or self._dated_kinds(sensor))

    def _padded(self, since: dict[SensorId, datetime]) -> dict[SensorId, datetime]:
        """Each moment as long before as an end may still be undone: while the water had to stay below, and a doubtful
        reading waited for a second one.
        """
        return {id_: at - self._keeps(id_) - AGREE_WITHIN for id_, at in since.items()}

    def _keeps(self, id_: SensorId) -> timedelta:
        thresholds = self._thresholds(self._registry.sensors[id_])
        return max((t.keep_firing for t in thresholds), default=timedelta(0))

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

    def _reach(self, sensor: Sensor) -> timedelta:
        """How far back the rules of a sensor look."""
        rules = [d.rule for dated in self._dated_kinds(sensor).values() for d in dated]
        return max((r.reach for r in rules if isinstance(r, SeriesRule)), default=timedelta(0))

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
        thresholds, reach = self._thresholds(sensor), self._reach(sensor)
        since = start - reach
        if any(t.hold or t.consecutive > 1 for t in thresholds):
            lowest = min(t.value_m for t in thresholds)
            calm = await reading_rows.calm_before(connection, sensor.id, start, lowest)
            since = min(since, calm or min(t.valid_from for t in thresholds))
        while True:
            pad = self._padded({sensor.id: since})[sensor.id]
            recorded = await record.recorded_since(connection, {sensor.id: min(pad, since - GAP)}, SERIES_KINDS)
            earlier = min([since, *(a.started_at - reach for a in recorded.get(sensor.id, []) if _may_go_on(a, pad))])
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
            if event == "withdrawn" and alert.state in ("firing", "resolved"):
                tell.append((alert.id, Event.WITHDRAWN))
        known = [c for c in changes if c.match is not None]
        new = [c for c in changes if c.match is None]
        await self._add_doubts(connection, [c for c in new if not c.verified])
        await record.update_alerts(connection, [self._values(c) | {"alert": c.match and c.match.id} for c in known])
        await record.renew_alerts(connection, [c.match.id for c in known if c.match is not None and c.anew])
        ids = await record.insert_alerts(connection, [self._values(c) for c in new])
        for change in new:
            RECORDED.labels(str(change.episode.level)).inc()
        for change, id_ in [*((c, c.match.id) for c in known if c.match), *zip(new, ids, strict=True)]:
            notes += [{"id": id_, "alert": id_, "event": event} | _answered(change, event) for event in change.events]
            tell += [(id_, event) for event in change.tell]
        await audit.notes(connection, notes)
        await announcements.announce(connection, tell, now)

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
        says = await reading_rows.levels_of(
            connection, self._registry, {s for change in doubtful for s in near.get(change.sensor.station, ())},
            min(change.episode.started_at for change in doubtful) - NEIGHBOURS_SINCE,
        )  # fmt: skip
        for change in doubtful:
            change.detail["neighbours"] = [
                {"station_id": station, "value_m": says[station][0], "observed_at": says[station][1].isoformat()}
                for station in near.get(change.sensor.station, ())
                if station in says
            ]


def _straddled(recorded: Iterable[record.Alert], at: datetime) -> bool:
    """Whether a recorded alert lasts at that moment."""
    return any(a.started_at <= at and (a.ended_at is None or a.ended_at >= at) for a in recorded)


def _may_go_on(alert: record.Alert, pad: datetime) -> bool:
    """Whether readings after `pad` may still change the alert: it lasts, ended later, or ended for want of readings."""
    return alert.ended_at is None or alert.ended_at >= pad or alert.detail.get("ended_by") == "gap"


def _answered(change: Change, event: str) -> dict[str, Any]:
    """What somebody had answered before the alert was raised again: the record forgets it, the audit does not."""
    alert = change.match
    if event != Event.RAISED or not change.anew or alert is None:
        return {}
    times = {"acknowledged_at": alert.acknowledged_at, "dismissed_at": alert.dismissed_at}
    return {"detail": {"again": True} | {name: at.isoformat() for name, at in times.items() if at is not None}}
