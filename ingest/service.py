"""Ingest: gateways' batches in, committed readings out, and only then the acknowledgement."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

from msgspec import Raw
from prometheus_client import Counter, Histogram

from ingest.series import Outcome, Tail, append, follows, insert_among, spans_of
from ingest.validate import Refused, accept, only_registration_can_help
from kawamori import wire
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import BrokerUnavailable, StorageRefused, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import fail_point, forever, now, stopping
from kawamori.settings import IngestSettings, Settings
from kawamori.storage import readings as rows
from kawamori.storage.database import Connection, Database
from kawamori.storage.registry import load_registry, registry_version

STORED = Counter("kawamori_ingest_readings_total", "Readings stored for the first time")
REPEATED = Counter("kawamori_ingest_repeated_total", "Readings that were stored before")
QUARANTINED = Counter("kawamori_ingest_quarantined_total", "Messages sent to quarantine")
COMMITS = Histogram("kawamori_ingest_commit_seconds", "From a batch's arrival to its commit")

#: Batches in one transaction at most, and in flight from the broker.
_TOGETHER = 32
#: How often to look for a changed registry when nothing points to one.
_REGISTRY_AGE = 5.0


@dataclass(slots=True)
class Work:
    """What one transaction is to store."""

    readings: list[Reading] = field(default_factory=list)
    #: Where each reading came from, should the database refuse it.
    sources: list[tuple[str, wire.UplinkReading]] = field(default_factory=list)
    refused: list[rows.Quarantined] = field(default_factory=list)
    statuses: list[tuple[str, object, bytes]] = field(default_factory=list)


class Ingest:
    """Decodes, validates and writes; one object a worker process."""

    def __init__(self, database: Database, settings: IngestSettings) -> None:
        self._database = database
        self._settings = settings
        self._registry = Registry(version=0)
        self._registry_checked = 0.0

    async def take(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches in one transaction; returns what to acknowledge, by topic.

        Raises StorageUnavailable: then nothing was stored, and the gateways send again.
        """
        batches = []
        broken = []
        for message in messages:
            gateway = wire.owner(message.topic)
            try:
                batches.append((gateway, wire.decode_batch(message.payload)))
            except UndecodableMessage as error:
                broken.append(
                    rows.Quarantined(
                        received_at=message.received_at,
                        topic=message.topic,
                        device_id=None,
                        reason=f"batch: {error}",
                        payload=message.payload,
                        gateway_id=gateway,
                    )
                )
        work = await self._validate(batches)
        work.refused.extend(broken)
        await self._store(work)
        return [(wire.ack_topic(gateway), wire.Ack(batch.epoch, batch.seq)) for gateway, batch in batches]

    async def _validate(self, batches: list[tuple[str, wire.Batch]]) -> Work:
        await self._refresh_registry(force=False)
        work = self._sort(batches)
        if any(only_registration_can_help(q.reason) for q in work.refused) and await self._refresh_registry(force=True):
            work = self._sort(batches)
        return work

    async def _refresh_registry(self, *, force: bool) -> bool:
        """Load the registry if it has changed; looks every few seconds, or at once when forced."""
        if not force and time.monotonic() - self._registry_checked < _REGISTRY_AGE:
            return False
        async with self._database.transaction() as connection:
            version = await registry_version(connection)
        self._registry_checked = time.monotonic()
        if version == self._registry.version:
            return False
        self._registry = await load_registry(self._database)
        return True

    def _sort(self, batches: list[tuple[str, wire.Batch]]) -> Work:
        """What can be stored, and what goes to quarantine and why."""
        work = Work()
        for gateway, batch in batches:
            for item in batch.readings:
                try:
                    reading = accept(item, self._registry, self._settings)
                except Refused as refusal:
                    work.refused.append(_quarantined_reading(gateway, item, str(refusal)))
                else:
                    work.readings.append(reading)
                    work.sources.append((gateway, item))
            work.refused.extend(
                rows.Quarantined(
                    received_at=u.received_at,
                    topic=u.topic,
                    device_id=u.device_id,
                    reason=u.reason,
                    payload=u.payload,
                    gateway_id=gateway,
                )
                for u in batch.undecoded
            )
            for s in batch.status:
                if b"\\u0000" in bytes(s.status):  # jsonb has no such character
                    work.refused.append(
                        _quarantined(gateway, s.device_id, s.received_at, s.status, "status: holds a NUL")
                    )
                elif s.device_id in self._registry.devices:
                    work.statuses.append((s.device_id, s.received_at, bytes(s.status)))
        return work

    async def _store(self, work: Work) -> None:
        """One transaction; what the database refuses is bisected until only the poison is left aside."""
        try:
            await self._commit(work, trusting_tails=True)
        except StorageRefused as error:
            if len(work.readings) > 1:
                log().warning("the database refused a batch: halving it", readings=len(work.readings), error=str(error))
                half = len(work.readings) // 2
                await self._store(Work(work.readings[:half], work.sources[:half], work.refused, work.statuses))
                await self._store(Work(work.readings[half:], work.sources[half:]))
                return
            try:
                await self._commit(work, trusting_tails=False)
            except StorageRefused as again:
                log().error("a reading the database refuses goes to quarantine: look at its reason", error=str(again))
                poison = [_quarantined_reading(g, item, f"database: {again}") for g, item in work.sources]
                await self._commit(Work(refused=[*work.refused, *poison]), trusting_tails=True)

    async def _commit(self, work: Work, *, trusting_tails: bool) -> None:
        by_sensor: dict[SensorId, list[Reading]] = defaultdict(list)
        for reading in work.readings:
            by_sensor[reading.sensor].append(reading)
        async with self._database.transaction() as connection:
            outcomes = await self._outcomes(connection, by_sensor, trusting_tails=trusting_tails)
            added = [r for o in outcomes.values() for r in o.added]
            changed = [pair for o in outcomes.values() for pair in o.changed]
            outvoted = [r for o in outcomes.values() for r in o.outvoted]
            zones = {s: ZoneInfo(self._registry.sensors[s].time_zone) for s in by_sensor}
            await rows.add_readings(connection, added)
            fail_point("ingest.copied")
            await rows.change_readings(connection, changed)
            await rows.keep_revisions(connection, outvoted)
            if added or changed:
                await rows.save_tails(
                    connection,
                    [
                        (rows.TailRow(s, o.tail.latest, o.tail.recent, o.tail.flat_since), o.tail.trend_h())
                        for s, o in sorted(outcomes.items())
                        if o.added or o.changed
                    ],
                )
                await rows.add_to_summaries(connection, added, zones)
                await rows.recompute_summaries(connection, changed, zones)
                await rows.record_batch(connection, [*added, *(after for _, after in changed)])
            await rows.quarantine(connection, work.refused)
            await rows.save_statuses(connection, work.statuses)  # type: ignore[arg-type]
        STORED.inc(len(added))
        REPEATED.inc(len(work.readings) - len(added))
        QUARANTINED.inc(len(work.refused))

    async def _outcomes(
        self, connection: Connection, by_sensor: dict[SensorId, list[Reading]], *, trusting_tails: bool
    ) -> dict[SensorId, Outcome]:
        """Judge every sensor's new readings; live data by the tail alone, late data by what is stored around it."""
        if not by_sensor:
            return {}
        locked = await rows.lock_tails(connection, by_sensor)
        outcomes: dict[SensorId, Outcome] = {}
        late: dict[SensorId, Tail] = {}
        for sensor, row in locked.items():
            tail = Tail(row.latest, row.recent, row.flat_since)
            incoming = by_sensor[sensor]
            if trusting_tails and follows(tail, incoming):
                limits = self._registry.sensors[sensor].limits
                outcomes[sensor] = append(tail, incoming, limits, self._settings.late_after)
            else:
                late[sensor] = tail
        spans = [
            (sensor, start, end) for sensor in late for start, end in spans_of(by_sensor[sensor], self._margin(sensor))
        ]
        if spans:
            around: dict[SensorId, list[list[Reading]]] = defaultdict(list)
            for (sensor, _, _), context in zip(spans, await rows.readings_around(connection, spans), strict=True):
                around[sensor].append(context)
            for sensor, tail in late.items():
                limits = self._registry.sensors[sensor].limits
                outcomes[sensor] = insert_among(
                    tail, around[sensor], by_sensor[sensor], limits, self._settings.late_after
                )
        return outcomes

    def _margin(self, sensor: SensorId) -> timedelta:
        """How far around late readings the flat check looks."""
        limits = self._registry.sensors[sensor].limits
        return limits.flat_after if limits.flat_after and limits.flat_above is not None else timedelta(0)


def _quarantined_reading(gateway: str, item: wire.UplinkReading, reason: str) -> rows.Quarantined:
    return _quarantined(gateway, item.device_id, item.received_at, item.reading, reason)


def _quarantined(gateway: str, device: str, received_at: datetime, payload: Raw, reason: str) -> rows.Quarantined:
    return rows.Quarantined(
        received_at=received_at.astimezone(UTC),
        topic=wire.device_topic(device, "reading"),
        device_id=device,
        reason=reason,
        payload=bytes(payload),
        gateway_id=gateway,
    )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Take batches until stopped. While the database is away, batches are left to their gateways."""
    health = Health()
    async with (
        Database(settings.database(), "ingest", size=2) as database,
        Link(
            settings.mqtt(),
            f"kawamori-ingest-{uuid4().hex[:12]}",
            [f"$share/ingest/{wire.BATCHES}"],
            manual_ack=True,
            receive_maximum=_TOGETHER * 2,
        ) as link,
    ):
        ingest = Ingest(database, settings.ingest)
        trouble: dict[str, str] = {}
        health.check("broker", lambda: None if link.connected else "not connected")
        health.check("database", lambda: trouble.get("database"))

        async def take_some() -> None:
            messages = await link.receive(_TOGETHER)
            fail_point("ingest.received")
            begun = now()
            try:
                acks = await ingest.take(messages)
            except StorageUnavailable as error:
                trouble["database"] = str(error)
                raise
            finally:
                link.acknowledge(messages)  # the gateway's journal keeps them, the broker need not
            fail_point("ingest.committed")
            trouble.pop("database", None)
            COMMITS.observe((now() - begun).total_seconds())
            for topic, ack in acks:
                try:
                    link.publish(topic, wire.encode(ack))
                    fail_point("ingest.acknowledged")
                except BrokerUnavailable:
                    break  # the gateways send again, and nothing is stored twice

        async with stopping(stop) as group:
            if settings.ingest.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.ingest.health_port, stop), name="health"
                )
            await forever(take_some, stop, StorageUnavailable, "database away")
