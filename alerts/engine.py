"""From the change feed to the record of alerts and the outbox, one transaction at a time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter

from alerts.level import Episode, Event, Watch
from alerts.messages import Names, body, subject
from alerts.paging import due
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import SensorId
from kawamori.domain.registry import Registry, Sensor
from kawamori.runtime import fail_point
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage.changes import Change, changes_after, hold_cursor, move_cursor
from kawamori.storage.database import Connection, Database
from kawamori.storage.registry import load_registry, registry_version

EVALUATED = Counter("kawamori_alerts_readings_total", "Readings evaluated")
RECORDED = Counter("kawamori_alerts_crossings_total", "Crossings recorded", ["flood_level"])

FOLLOWER = "alerts"
#: Batches evaluated in one transaction at most.
_TOGETHER = 200
_MOMENT = timedelta(microseconds=1)


class Engine:
    """Evaluates what changed. Keeps a watch for each sensor, which can be made anew from the record at any time."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._registry = Registry(version=0)
        self._names = Names({})
        self._watches: dict[SensorId, Watch] = {}
        #: When the newest batch that was evaluated had been committed.
        self.followed_until: datetime | None = None

    async def advance(self) -> bool:
        """Evaluate the next changes; False when there are none. Raises StorageUnavailable: then nothing happened."""
        try:
            async with self._database.transaction() as connection:
                cursor = await hold_cursor(connection, FOLLOWER)
                changes = await changes_after(connection, cursor, _TOGETHER)
                if not changes:
                    return False
                await self._refresh_registry(connection)
                await self._evaluate(connection, changes)
                fail_point("alerts.evaluated")
                await move_cursor(connection, FOLLOWER, changes[-1].cursor)
        except BaseException:
            self._watches.clear()  # they may have seen what was rolled back
            raise
        fail_point("alerts.committed")
        self.followed_until = changes[-1].committed_at
        return True

    async def _refresh_registry(self, connection: Connection) -> None:
        if await registry_version(connection) != self._registry.version:
            self._registry = await load_registry(self._database)
            self._names = Names(await record.level_names(connection))
            self._watches.clear()

    async def _evaluate(self, connection: Connection, changes: list[Change]) -> None:
        live, late = [], []
        spans = self._touched(changes)
        lasting = await record.episodes_since(connection, self._unwatched(spans))
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
                self._watches[id_] = Watch(self._thresholds(self._registry.sensors[id_]), end)
        if not live and not late:
            return
        since_of = {id_: watched + _MOMENT for id_, watched, _ in live} | dict(late)
        newest = await record.trends(connection, list(since_of))
        forever = self._clock() + timedelta(days=3650)
        rows = await record.rows_to_evaluate(
            connection, live + [(id_, since - _MOMENT, forever) for id_, since in late]
        )
        EVALUATED.inc(sum(map(len, rows.values())))
        recorded = await record.episodes_since(connection, since_of)
        updates: list[dict[str, Any]] = []
        for id_, _ in late:
            self._watches[id_] = Watch(self._thresholds(self._registry.sensors[id_]))
        for id_ in sorted(since_of):
            sensor = self._registry.sensors[id_]
            found = self._watches[id_].feed(rows[id_])
            if rows[id_] or found:
                updates += await self._reconcile(connection, sensor, recorded.get(id_, []), found, newest[id_])
        await record.update_alerts(connection, updates)

    def _touched(self, changes: list[Change]) -> dict[SensorId, tuple[datetime, datetime, float]]:
        """Of each sensor that has thresholds the span that changed, and the highest value new in it."""
        spans: dict[SensorId, tuple[datetime, datetime, float]] = {}
        for change in changes:
            for id_, start, end, high in change.touched:
                known = spans.get(id_)
                if known is not None:
                    spans[id_] = (min(known[0], start), max(known[1], end), max(known[2], high))
                    continue
                sensor = self._registry.sensors.get(id_)
                if sensor is not None and sensor.quantity == "water_level" and self._thresholds(sensor):
                    spans[id_] = (start, end, high)
        return spans

    def _unwatched(self, spans: dict[SensorId, tuple[datetime, datetime, float]]) -> dict[SensorId, datetime]:
        """Sensors whose change is not after all that was watched, and where it begins."""
        return {
            id_: start
            for id_, (start, _, _) in spans.items()
            if (watch := self._watches.get(id_)) is None or watch.last is None or start <= watch.last
        }

    def _starts_calm(self, id_: SensorId, high: float) -> bool:
        """Whether readings up to `high` change nothing where no episode lasts: they are below all thresholds, and
        nothing can be pending, because no threshold has a hold.
        """
        thresholds = self._thresholds(self._registry.sensors[id_])
        return all(not t.hold and high < t.value_m for t in thresholds)

    def _thresholds(self, sensor: Sensor) -> tuple[Threshold, ...]:
        return self._registry.thresholds.get(sensor.station, ())

    async def _restart(self, connection: Connection, sensor: Sensor, start: datetime) -> datetime:
        """A moment before which nothing changes, and at which no episode is under way and no hold is pending."""
        thresholds = self._thresholds(sensor)
        since = start
        if any(t.hold for t in thresholds):
            lowest = min(t.value_m for t in thresholds)
            calm = await record.calm_before(connection, sensor.id, start, lowest)
            since = calm or min(t.valid_from for t in thresholds)
        while True:
            recorded = await record.episodes_since(connection, {sensor.id: since})
            earlier = min([since, *(e.started_at for e in recorded.get(sensor.id, []))])
            if earlier == since:
                return since
            since = earlier

    async def _reconcile(
        self, connection: Connection, sensor: Sensor, recorded: list[record.RecordedEpisode], found: list[Episode],
        latest: tuple[float | None, datetime | None],
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Make the record say what the readings say, and tell people where that is due; returns what is to change."""
        pairs: list[tuple[Episode, record.RecordedEpisode | None]] = []
        for episode in sorted(found, key=lambda e: (e.started_at, e.level)):
            match = next(
                (r for r in recorded if r.level == episode.level and episode.overlaps(r.started_at, r.ended_at)), None
            )
            if match is not None:
                recorded.remove(match)
            pairs.append((episode, match))
        for gone in recorded:
            if gone.paged_at is None:
                await record.forget_alert(connection, gone.id)
            else:
                await record.withdraw_alert(connection, gone.id)
                await record.note_change(connection, gone.id, "withdrawn")
        changes = [await self._put(connection, sensor, episode, match, latest) for episode, match in pairs]
        return [values for values in changes if values is not None]

    async def _put(
        self, connection: Connection, sensor: Sensor, episode: Episode, match: record.RecordedEpisode | None,
        latest: tuple[float | None, datetime | None],
    ) -> dict[str, Any] | None:  # fmt: skip
        trend, newest = latest
        now = self._clock()
        paged_at = match.paged_at if match else None
        tell = due(
            episode, paged=paged_at is not None, newest=newest or episode.started_at, now=now,
            within=self._settings.alerts.page_within,
        )  # fmt: skip
        if Event.RAISED in tell:
            paged_at = now
        values = {
            "station": sensor.station, "sensor": sensor.id, "level": episode.level, "threshold": episode.threshold_m,
            "state": "firing" if episode.ended_at is None else "resolved", "started_at": episode.started_at,
            "ended_at": episode.ended_at, "value": episode.value_m, "peak": episode.peak_m,
            "verified": episode.verified, "retroactive": paged_at is None, "status": self._settings.site.status,
            "paged_at": paged_at,
        }  # fmt: skip
        if match is None:
            alert = await record.insert_alert(connection, values)
            RECORDED.labels(str(episode.level)).inc()
            await record.note_change(connection, alert, "raised")
        else:
            alert = match.id
            if (match.threshold_m, match.started_at, match.ended_at, match.value_m, match.peak_m, match.verified,
                    match.paged_at) == (episode.threshold_m, episode.started_at, episode.ended_at, episode.value_m,
                    episode.peak_m, episode.verified, paged_at):  # fmt: skip
                return None
        station = self._registry.stations[sensor.station]
        status = self._settings.site.status
        for event in tell:
            first = subject(event, episode, station, self._names, status, trend)
            text = f"{first}\n{body(event, episode, station, self._names, status)}"
            for channel, recipient in self._recipients():
                await record.put_notification(connection, alert, channel, recipient, event, first, text)
        return None if match is None else {**values, "alert": alert}

    def _recipients(self) -> list[tuple[str, str]]:
        mail = self._settings.alerts.mail_to if self._settings.alerts.smtp_host else []
        return [("log", "log"), *(("smtp", address) for address in mail)]
