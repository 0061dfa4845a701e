"""Ingest: gateways' batches in, committed readings out, and only then the acknowledgement."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice, repeat
from operator import attrgetter
from uuid import uuid4

from msgspec import Raw
from prometheus_client import Counter, Histogram

from ingest.quality import REACH_BACK
from ingest.series import Outcome, Tail, append, follows, insert_among, spans_of, without_known
from ingest.validate import Gate, Refused, only_registration_can_help
from kawamori import wire
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import BrokerUnavailable, KawamoriError, StorageRefused, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, forever, now, sleep_or_stop, stopping
from kawamori.settings import IngestSettings, Settings
from kawamori.storage import readings as rows
from kawamori.storage.database import Connection, Database
from kawamori.storage.registry import load_registry, registry_version
from kawamori.storage.system import say_started

STORED = Counter("kawamori_ingest_readings_total", "Readings stored for the first time")
REPEATED = Counter("kawamori_ingest_repeated_total", "Readings that were stored before")
QUARANTINED = Counter("kawamori_ingest_quarantined_total", "Messages sent to quarantine")
COMMITS = Histogram("kawamori_ingest_commit_seconds", "From a batch's arrival to its commit")

#: Batches in one transaction at most, and in flight from the broker.
_TOGETHER = 32
#: Bytes of batches in one transaction, about 10,000 readings: it takes several times its batches in memory.
_BYTES_TOGETHER = 1536 * 1024
#: Late sensors whose stored neighbours are in memory at once.
_LATE_TOGETHER = 500
#: Batches remembered as committed; one that comes again with the very same bytes is acknowledged without work.
_REMEMBERED = 4096
#: Attempts at one transaction before its batches are left to their gateways.
_TRIES = 3
#: How often to look for a changed registry when nothing points to one.
_REGISTRY_AGE = 5.0
#: How often a worker says that it is there, and how soon after it has found the broker.
_SIGN_OF_LIFE = 5.0
_UNTIL_CONNECTED = 0.5
#: A worker that has stored nothing of what it was given for so many seconds is as good as none, and says nothing.
_STUCK = 10.0
#: What a gateway has not sent again within so many seconds is with another worker, or its gateway is gone.
_SENT_AGAIN_WITHIN = 30.0
#: A worker that freezes while it holds sensors' locks makes the others wait for so long at most.
_FROZEN = timedelta(seconds=8)


_FIELDS = attrgetter("device_id", "received_at", "reading")


@dataclass(slots=True)
class Work:
    """What one transaction is to store."""

    readings: list[Reading] = field(default_factory=list)
    #: Where each reading came from, should the database refuse it: the gateway's message and the place in it.
    sources: list[tuple[Message, int]] = field(default_factory=list)
    refused: list[rows.Quarantined] = field(default_factory=list)
    statuses: list[tuple[str, datetime, bytes]] = field(default_factory=list)


class Ingest:
    """Decodes, validates and writes; one object a worker process."""

    def __init__(
        self, database: Database, settings: IngestSettings, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._settings = settings
        self._steady = steady
        self._gate = Gate(Registry(version=0), settings)
        self._registry_checked = 0.0
        #: What was last known of each sensor, by the revision of its row.
        self._tails: dict[SensorId, tuple[int, Tail]] = {}
        self._committed: dict[bytes, wire.Ack] = {}
        #: Through which gateway each sensor's readings came since the last sign of life.
        self._ways: dict[SensorId, str] = {}
        #: Whose batches were acknowledged since then.
        self._served: set[str] = set()
        #: Since when, by the steady clock, nothing has been stored of what came; None while nothing is to be stored.
        self._owed_since: float | None = None
        #: When the last attempt at it failed; None while one is under way.
        self._left_at: float | None = None

    async def take(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches, and return what to acknowledge, by topic.

        Raises StorageUnavailable: the gateways send again, and what was stored is known by then.
        """
        acks = []
        while messages:
            size = count = 0
            while count < len(messages) and size < _BYTES_TOGETHER:
                size += len(messages[count].payload)
                count += 1
            if self._owed_since is None:
                self._owed_since = self._steady()
            self._left_at = None
            try:
                acks += await self._take(messages[:count])
            except KawamoriError:
                self._left_at = self._steady()
                raise
            self._owed_since = None
            messages = messages[count:]
        return acks

    async def hear(self, messages: Iterable[Message]) -> None:
        """Note when gateways said that they are there, and what they have still to forward."""
        seen: dict[str, int] = {}
        for message in messages:
            try:
                seen[wire.owner(message.topic)] = wire.decode_alive(message.payload).waiting
            except UndecodableMessage as error:
                log().warning("a gateway's sign of life that cannot be read", error=str(error))
        if seen:
            async with self._database.transaction() as connection:
                await rows.see_gateways(connection, seen)

    def is_stuck(self) -> bool:
        """Whether what came is not being stored: somebody else holds a row, say. Each commit is progress."""
        moment = self._steady()
        if self._left_at is not None and moment - self._left_at > _SENT_AGAIN_WITHIN:
            self._owed_since = self._left_at = None
        return self._owed_since is not None and moment - self._owed_since > _STUCK

    async def say_alive(self, name: str) -> None:
        """Write down that this worker is there: without it a dead ingest looks like silent sensors. One that is stuck
        says nothing, for the same reason.
        """
        if self.is_stuck():
            return
        ways, self._ways = self._ways, {}
        served, self._served = self._served, set()
        try:
            async with self._database.transaction() as connection:
                await rows.see_process(connection, name, "ingest", ways, served)
        except KawamoriError:
            self._ways = ways | self._ways
            self._served |= served
            raise

    async def _take(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches in one transaction."""
        batches: list[tuple[Message, wire.DecodedBatch | wire.Batch]] = []
        broken = []
        new: dict[bytes, wire.Ack] = {}
        acks = []
        for message in messages:
            digest = blake2b(message.payload, digest_size=16).digest()
            ack = self._committed.get(digest) or new.get(digest)
            if ack is None:
                try:
                    batch = wire.decode_batch(message.payload)
                except UndecodableMessage as error:
                    broken.append(_broken(message, str(error)))
                    continue
                batches.append((message, batch))
                ack = new[digest] = wire.Ack(batch.epoch, batch.seq, batch.first)
            acks.append((wire.ack_topic(wire.owner(message.topic)), ack))
        work = await self._validate(batches)
        work.refused.extend(broken)
        if batches or broken:
            await self._store(work)
            topics = {r.sensor: message.topic for r, (message, _) in zip(work.readings, work.sources, strict=True)}
            self._ways |= {sensor: wire.owner(topic) for sensor, topic in topics.items()}
        self._committed |= new
        self._served |= {wire.owner(topic) for topic, _ in acks}
        while len(self._committed) > _REMEMBERED:
            del self._committed[next(iter(self._committed))]
        return acks

    async def _validate(self, batches: list[tuple[Message, wire.DecodedBatch | wire.Batch]]) -> Work:
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
        if version == self._gate.registry.version:
            return False
        self._gate = Gate(await load_registry(self._database), self._settings)
        return True

    def _sort(self, batches: list[tuple[Message, wire.DecodedBatch | wire.Batch]]) -> Work:
        """What can be stored, and what goes to quarantine and why."""
        work = Work()
        for message, batch in batches:
            if isinstance(batch, wire.DecodedBatch):
                self._sort_readings(work, message, batch)
            else:
                self._sort_raw_readings(work, message, batch)
            gateway = wire.owner(message.topic)
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
                    why = "status: holds a NUL"
                    work.refused.append(_quarantined_part(message, s.device_id, s.received_at, s.status, why))
                elif s.device_id in self._gate.registry.devices:
                    work.statuses.append((s.device_id, s.received_at, bytes(s.status)))
        return work

    def _sort_readings(self, work: Work, message: Message, batch: wire.DecodedBatch) -> None:
        """The usual case: every reading is sound, and none is refused."""
        accept = self._gate.accept
        readings: list[Reading] = []
        try:
            for device, at, sent in map(_FIELDS, batch.readings):
                if isinstance(sent, list):
                    readings += [accept(device, at, one) for one in sent]
                else:
                    readings.append(accept(device, at, sent))
        except Refused:
            self._sort_raw_readings(work, message, wire.decode_raw_batch(message.payload))
            return
        work.readings += readings
        work.sources += zip(repeat(message), range(len(readings)))

    def _sort_raw_readings(self, work: Work, message: Message, batch: wire.Batch) -> None:
        """One reading after the other, because some go to quarantine."""
        for place, item in enumerate(wire.readings_of(batch)):
            try:
                sent = wire.decode_reading(item.reading)
                work.readings.append(self._gate.accept(item.device_id, item.received_at, sent))
            except (UndecodableMessage, Refused) as refusal:
                work.refused.append(_quarantined(message, place, str(refusal)))
            else:
                work.sources.append((message, place))

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
                poison = [_quarantined(message, place, f"database: {again}") for message, place in work.sources]
                await self._commit(Work(refused=[*work.refused, *poison]), trusting_tails=True)

    async def _commit(self, work: Work, *, trusting_tails: bool) -> None:
        by_sensor: dict[SensorId, list[Reading]] = defaultdict(list)
        for reading in work.readings:
            by_sensor[reading.sensor].append(reading)
        if not trusting_tails:
            self._tails.clear()
        async with self._database.transaction() as connection:
            revisions, outcomes = await self._outcomes(connection, by_sensor, trusting_tails=trusting_tails)
            outcomes = dict(sorted(outcomes.items()))
            added = [r for o in outcomes.values() for r in o.added]
            changed = [pair for o in outcomes.values() for pair in o.changed]
            outvoted = [r for o in outcomes.values() for r in o.outvoted]
            await rows.add_readings(connection, added)
            fail_point("ingest.copied")
            await rows.keep_revisions(connection, outvoted)
            if added or changed:
                zones = self._gate.zones
                await rows.change_readings(connection, changed)
                await rows.store(
                    connection,
                    [
                        rows.LatestRow(o.tail.latest, o.tail.trend_h(), o.tail.flat_since)
                        for o in outcomes.values()
                        if o.tail.latest is not None
                    ],
                    [(o.added, zones[s]) for s, o in outcomes.items()],
                    [after for _, after in changed],
                )
                await rows.recompute_summaries(connection, changed, zones)
            await rows.quarantine(connection, work.refused)
            await rows.save_statuses(connection, work.statuses)
        self._owed_since = self._steady()
        if added or changed:
            self._tails.update((s, (revisions[s] + 1, o.tail)) for s, o in outcomes.items())
        STORED.inc(len(added))
        REPEATED.inc(len(work.readings) - len(added))
        QUARANTINED.inc(len(work.refused))

    async def _outcomes(
        self, connection: Connection, by_sensor: dict[SensorId, list[Reading]], *, trusting_tails: bool
    ) -> tuple[dict[SensorId, int], dict[SensorId, Outcome]]:
        """Judge every sensor's new readings; live data by the tail alone, late data by what is stored around it.

        Returns each sensor's revision, and what comes of those whose rows change.
        """
        if not by_sensor:
            return {}, {}
        revisions = await rows.lock_sensors(connection, by_sensor)
        await self._remember(connection, revisions)
        outcomes: dict[SensorId, Outcome] = {}
        late: dict[SensorId, Tail] = {}
        for sensor in revisions:
            tail = self._tails[sensor][1]
            incoming = by_sensor[sensor] = without_known(tail, by_sensor[sensor])
            if not incoming:
                continue
            if trusting_tails and follows(tail, incoming):
                limits = self._gate.registry.sensors[sensor].limits
                outcomes[sensor] = append(tail, incoming, limits, self._settings.late_after)
            else:
                late[sensor] = tail
        waiting = iter(late)
        while group := list(islice(waiting, _LATE_TOGETHER)):
            spans = [
                (sensor, start, end)
                for sensor in group
                for start, end in spans_of(by_sensor[sensor], self._margin(sensor))
            ]
            around: dict[SensorId, list[list[Reading]]] = defaultdict(list)
            for (sensor, _, _), context in zip(spans, await rows.readings_around(connection, spans), strict=True):
                around[sensor].append(context)
            for sensor in group:
                limits = self._gate.registry.sensors[sensor].limits
                outcome = insert_among(
                    late[sensor], around[sensor], by_sensor[sensor], limits, self._settings.late_after
                )
                if outcome.added or outcome.changed or outcome.outvoted:  # else all of it was known
                    outcomes[sensor] = outcome
        return revisions, outcomes

    async def _remember(self, connection: Connection, revisions: dict[SensorId, int]) -> None:
        """Make sure that what we know of these sensors is of these revisions: another worker may have written them."""
        unknown = [s for s, revision in revisions.items() if self._tails.get(s, (None, None))[0] != revision]
        if unknown:
            for sensor, (latest, recent, flat) in (await rows.tails(connection, unknown, REACH_BACK)).items():
                self._tails[sensor] = (revisions[sensor], Tail(latest, recent, flat))

    def _margin(self, sensor: SensorId) -> timedelta:
        """How far around late readings the flat check looks."""
        limits = self._gate.registry.sensors[sensor].limits
        return limits.flat_after if limits.flat_after and limits.flat_above is not None else timedelta(0)


def _quarantined(message: Message, place: int, reason: str) -> rows.Quarantined:
    """The reading at that place of a gateway's message, byte for byte: read again, because few need it."""
    item = next(islice(wire.readings_of(wire.decode_raw_batch(message.payload)), place, None))
    return _quarantined_part(message, item.device_id, item.received_at, item.reading, reason)


def _quarantined_part(
    message: Message, device: str, received_at: datetime, payload: Raw, reason: str
) -> rows.Quarantined:
    return rows.Quarantined(
        received_at=received_at.astimezone(UTC),
        topic=wire.device_topic(device, "reading"),
        device_id=device,
        reason=reason,
        payload=bytes(payload),
        gateway_id=wire.owner(message.topic),
    )


def _broken(message: Message, reason: str) -> rows.Quarantined:
    """A batch that cannot be read."""
    return rows.Quarantined(
        received_at=message.received_at,
        topic=message.topic,
        device_id=None,
        reason=f"batch: {reason}",
        payload=message.payload,
        gateway_id=wire.owner(message.topic),
    )


async def patiently_take(ingest: Ingest, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
    """Take them, and try again for a moment: a connection may have died unnoticed, two workers may have met."""
    for attempt in range(1, _TRIES):
        try:
            return await ingest.take(messages)
        except StorageUnavailable as error:
            log().info("not stored: trying again", error=str(error), attempt=attempt)
            await asyncio.sleep(backoff(attempt))
    return await ingest.take(messages)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Take batches until stopped. While the database is away, batches are left to their gateways."""
    health = Health()
    name = f"kawamori-ingest-{uuid4().hex[:12]}"
    shared = [f"$share/ingest/{topic}" for topic in (wire.BATCHES, wire.ALIVE)]
    link = Link(settings.mqtt(), name, shared, receive_maximum=_TOGETHER * 2)
    async with Database(settings.database(), "ingest", size=2, idle=_FROZEN, check=False) as database:
        await say_started(database, "ingest")
        ingest = Ingest(database, settings.ingest)
        trouble: dict[str, str] = {}
        health.check("broker", lambda: None if link.connected else "not connected")
        health.check("database", lambda: trouble.get("database"))

        async def take_some() -> None:
            messages = await link.receive(_TOGETHER)
            fail_point("ingest.received")
            begun = now()
            batches = [m for m in messages if not m.topic.endswith("/alive")]
            try:
                await ingest.hear(m for m in messages if m.topic.endswith("/alive"))
                acks = await patiently_take(ingest, batches)
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

        async def say_alive() -> None:
            if link.connected:  # a worker that hears no gateway is none
                await ingest.say_alive(name)
            await sleep_or_stop(_SIGN_OF_LIFE if link.connected else _UNTIL_CONNECTED, stop)

        async with stopping(stop) as group:
            group.create_task(link.stay_connected(), name="broker")
            if settings.ingest.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.ingest.health_port, stop), name="health"
                )
            # whatever keeps a sign from being written, readings go on
            group.create_task(forever(say_alive, stop, KawamoriError, "no sign of life"), name="sign of life")
            await forever(take_some, stop, StorageUnavailable, "database away")
