"""Ingest: gateways' batches in, committed readings out, and only then the acknowledgement."""

import asyncio
import time
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from itertools import islice
from uuid import uuid4

from prometheus_client import Counter, Histogram

from ingest import sorting
from ingest.bisect import Breaker, store_apart
from ingest.look import look_again
from ingest.quality import REACH_BACK
from ingest.replay import replayed
from ingest.resolve import resolve
from ingest.series import Outcome, Tail, amend, append, follows, insert_among, restated, spans_of, without_known
from ingest.sorting import NOT_REGISTERED, Work, ack_of, gateway_of, may_be_accepted_later
from ingest.validate import IngestValidator
from kawamori import wire
from kawamori.domain.correction import BY_PEOPLE, Correction
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import (
    BrokerUnavailable,
    KawamoriError,
    StorageBroken,
    StorageRefused,
    StorageUnavailable,
    UndecodableMessage,
)
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, forever, now, sleep_or_stop, stopping
from kawamori.settings import IngestSettings, Settings
from kawamori.storage import corrections, quarantine
from kawamori.storage import readings as rows
from kawamori.storage.database import Connection, Database
from kawamori.storage.liveness import (
    save_statuses,
    see_clocks,
    see_gateways,
    see_process,
    see_set_aside,
    see_unknown_gateways,
)
from kawamori.storage.loading import load_registry, registry_state
from kawamori.storage.quarantine import Held, Quarantined, unknown_bytes
from kawamori.storage.statements import Revision, keep_revisions, readings_at, restate_readings
from kawamori.storage.summaries import recompute_summaries
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
#: How often signs of life of gateways are written down, and the database is looked at while nothing comes.
_HEAR_EVERY = 0.5
_LOOK_EVERY = 5.0
#: How often to look for rows of quarantine that are to be tried again.
_REPLAY_EVERY = 2.0
#: How often to look again at the newest readings that came late or failed.
_LOOK_AGAIN_EVERY = 5.0
#: A worker that has stored nothing of what it was given for so many seconds is as good as none, and says nothing.
_STUCK = 10.0
#: What a gateway has not sent again within so many seconds is with another worker, or its gateway is gone.
_SENT_AGAIN_WITHIN = 30.0
#: Seconds of silence, and half as many again, after which the broker takes a frozen worker for gone and gives its turns
#: to the others. Mosquitto 2.0 looks every few seconds.
_NOTICED_WITHIN = 4
#: A worker that freezes while it holds sensors' locks makes the others wait for so long at most.
_FROZEN = timedelta(seconds=8)

#: An unregistered name makes the registry be looked at again, but no more often than this.
_UNKNOWN_AGE = 1.0
#: So many batches that ended in an error of the software, one after the other, are not the data.
_ASIDE_IN_A_ROW = 20
#: What quarantine keeps at most of gateways that are not registered: of each, and of all. More stays at the gateway.
_UNKNOWN_BYTES = 64 * 1024 * 1024
_ALL_UNKNOWN_BYTES = 256 * 1024 * 1024


#: A gateway's message, what it says, and the members of it that cannot be read, with the reason.
Batch = tuple[Message, wire.DecodedBatch | wire.Batch, list[tuple[bytes, str]]]


class Ingest:
    """Decodes, validates and writes; one object a worker process."""

    def __init__(
        self, database: Database, settings: IngestSettings, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._settings = settings
        self._steady = steady
        #: When each sensor was last measured.
        self._newest: dict[SensorId, datetime] = {}
        self._validator = IngestValidator(Registry(version=0), settings, self._newest)
        self._registry_checked = 0.0
        #: Why the newest registry is not the one in use, if so.
        self.registry_trouble: str | None = None
        #: The database's time, and the steady clock's then.
        self._database_time: tuple[datetime, float] | None = None
        #: Batches one after the other that were set aside because they ended in an error of the software.
        self._aside_in_a_row = 0
        #: Whoever works with the tails holds it: batches, and replays of quarantine.
        self._turn = asyncio.Lock()
        #: What was last known of each sensor, by the revision of its row.
        self._tails: dict[SensorId, tuple[int, Tail]] = {}
        #: What people say of their readings, where they say anything; as old as the tails.
        self._corrections: dict[SensorId, tuple[Correction, ...]] = {}
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
                async with self._turn:
                    acks += await self._take_guarded(messages[:count])
            except KawamoriError:
                self._left_at = self._steady()
                raise
            self._owed_since = None
            messages = messages[count:]
        return acks

    async def hear(self, messages: Iterable[Message]) -> None:
        """Note when gateways said that they are there, and what they have still to forward.

        Those that are not registered are counted and not believed.
        """
        seen: dict[str, int] = {}
        aside: dict[str, int] = {}
        clocks: dict[str, float] = {}
        unknown: Tally[str] = Tally()
        for message in messages:
            name = gateway_of(message.topic)
            if name is None or not await self._is_registered(name):
                unknown[name or ""] += 1
                continue
            try:
                alive = wire.decode_alive(message.payload)
                seen[name], aside[name] = alive.waiting, alive.set_aside
                if alive.clock is not None:
                    clocks[name] = (alive.clock - self._arrived()).total_seconds()
            except UndecodableMessage as error:
                log().warning("a gateway's sign of life that cannot be read", gateway=name, error=str(error))
        try:
            if seen or unknown:
                async with self._database.transaction() as connection:
                    await see_gateways(connection, seen)
                    await see_set_aside(connection, aside)
                    await see_clocks(connection, clocks)
                    await see_unknown_gateways(connection, unknown)
        except StorageRefused as error:
            log().error("signs of life were refused: report this with the log", error=str(error))

    async def _is_registered(self, gateway: str) -> bool:
        """Whether the gateway is registered and not retired; looks again before it says no."""
        await self._refresh_registry(force=False)
        if (
            gateway not in self._validator.registry.gateways
            and time.monotonic() - self._registry_checked > _UNKNOWN_AGE
        ):
            await self._refresh_registry(force=True)
        return gateway in self._validator.registry.gateways

    async def look_again(self, stop: asyncio.Event) -> None:
        """Wait a moment, then look again at what was stored last: at clocks, and at limits that fail too much."""
        await sleep_or_stop(_LOOK_AGAIN_EVERY, stop)
        await look_again(self._database, self._validator.registry.sensors, self._validator.calendars)

    def registry_warning(self) -> str | None:
        """What a person should mend in the registry."""
        if self.registry_trouble is not None:
            return self.registry_trouble
        found = self._validator.registry.problems
        return f"{len(found)} rows cannot be used, first {found[0].subject}: {found[0].reason}" if found else None

    def owes(self) -> bool:
        """Whether something that came is not stored, as far as this worker knows."""
        return self._owed_since is not None

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
                await see_process(connection, name, "ingest", ways, served)
        except KawamoriError:
            self._ways = ways | self._ways
            self._served |= served
            raise

    async def _take_guarded(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches; one that ends in an error of the software is set aside, and costs no other."""
        try:
            acks = await self._take(messages)
        except KawamoriError:
            raise
        except Exception as error:  # noqa: BLE001 - the root of a unit of work: a batch
            self._tails.clear()
            if len(messages) == 1:
                return await self._set_aside(messages[0], error)
            log().error(
                "batches failed together: taking them one by one", batches=len(messages), error=repr(error)[:200]
            )
            return [ack for message in messages for ack in await self._take_guarded([message])]
        self._aside_in_a_row = 0
        return acks

    async def _set_aside(self, message: Message, error: Exception) -> list[tuple[str, wire.Ack]]:
        """Put a batch into quarantine as it came; raises StorageBroken when all end so."""
        self._aside_in_a_row += 1
        if self._aside_in_a_row > _ASIDE_IN_A_ROW:
            raise StorageBroken(
                f"more than {_ASIDE_IN_A_ROW} batches in a row ended in {type(error).__name__}: it is not the data; the"
                " readings stay at their gateways; report this with the log"
            ) from error
        log().error("a batch is set aside in quarantine: report this with the log, then `kawamori quarantine replay`",
                    topic=message.topic[:200], error=repr(error)[:200],
                    exc_info=error if self._aside_in_a_row == 1 else None)  # fmt: skip
        reason = f"batch: not processed: {type(error).__name__}"
        await self._commit(Work(refused=[sorting.whole(message, self._arrived(), reason)]), trusting_tails=True)
        return self._acks_of([message])

    def _acks_of(self, messages: Iterable[Message]) -> list[tuple[str, wire.Ack]]:
        """What acknowledges batches that were kept as they came, where that can be told."""
        return [
            (wire.ack_topic(gateway), ack)
            for message in messages
            if (gateway := gateway_of(message.topic)) is not None and (ack := ack_of(message.payload)) is not None
        ]

    async def _take(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches in one transaction."""
        batches: list[Batch] = []
        broken: list[Message] = []
        new: dict[bytes, wire.Ack] = {}
        acks = []
        known, strangers = await self._by_registration(messages)
        arrived_at = self._arrived()
        refused = []
        for message in known:
            digest = blake2b(wire.unstamped(message.payload), digest_size=16).digest()
            ack = self._committed.get(digest) or new.get(digest)
            if ack is None:
                try:
                    batch, wrong = sorting.decode(message.payload)
                except UndecodableMessage as error:
                    refused.append(sorting.whole(message, arrived_at, f"batch: {error}"))
                    broken.append(message)
                    continue
                batches.append((message, batch, wrong))
                ack = new[digest] = wire.Ack(batch.epoch, batch.seq, batch.first)
            acks.append((wire.ack_topic(wire.owner(message.topic)), ack))
        kept = await self._room_for(strangers)
        refused += [sorting.whole(message, arrived_at, NOT_REGISTERED) for message in kept]
        work = await self._validate(batches)
        work.refused.extend(refused)
        if batches or refused:
            await self._store(work)
            topics = {r.sensor: message.topic for r, (message, _) in zip(work.readings, work.sources, strict=True)}
            self._ways |= {sensor: wire.owner(topic) for sensor, topic in topics.items()}
        self._committed |= new
        self._served |= {wire.owner(topic) for topic, _ in acks}
        while len(self._committed) > _REMEMBERED:
            del self._committed[next(iter(self._committed))]
        return acks + self._acks_of([*broken, *kept])

    async def _by_registration(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """Batches of registered gateways, and the others."""
        known: list[Message] = []
        strangers: list[Message] = []
        for message in messages:
            name = gateway_of(message.topic)
            believed = name is not None and await self._is_registered(name)
            (known if believed else strangers).append(message)
        return known, strangers

    async def _room_for(self, strangers: list[Message]) -> list[Message]:
        """Those batches of unregistered gateways that quarantine has room for; the others stay where they are."""
        if not strangers:
            return []
        unknown = Tally(gateway_of(message.topic) or "" for message in strangers)
        async with self._database.transaction() as connection:
            await see_unknown_gateways(connection, unknown)
            used = await unknown_bytes(connection, NOT_REGISTERED)
        kept = []
        for message in strangers:
            name, size = gateway_of(message.topic) or "", len(message.payload)
            if used[name] + size <= _UNKNOWN_BYTES and used.total() + size <= _ALL_UNKNOWN_BYTES:
                used[name] += size
                kept.append(message)
        if len(kept) < len(strangers):
            log().warning("quarantine has no room for more of gateways that are not registered: register them",
                          batches=len(strangers) - len(kept))  # fmt: skip
        return kept

    async def _validate(self, batches: list[Batch]) -> Work:
        await self._refresh_registry(force=False)
        work = self._sort(batches)
        if any(may_be_accepted_later(q.reason) for q in work.refused) and await self._refresh_registry(force=True):
            work = self._sort(batches)
        return work

    async def _refresh_registry(self, *, force: bool) -> bool:
        """Load the registry if it has changed; looks every few seconds, or at once when forced.

        One that cannot be loaded leaves the last good one in use; raises StorageBroken where there is none yet.
        """
        if not force and time.monotonic() - self._registry_checked < _REGISTRY_AGE:
            return False
        async with self._database.transaction() as connection:
            version, at = await registry_state(connection)
        self._database_time = (at, self._steady())
        self._registry_checked = time.monotonic()
        if version == self._validator.registry.version:
            self.registry_trouble = None
            return False
        try:
            validator = IngestValidator(
                await load_registry(self._database, with_rules=False), self._settings, self._newest
            )
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, readings go on by the last registry that loads
            return self._keep_registry(version, error)
        async with self._database.transaction() as connection:
            for sensor, at in (await rows.newest_times(connection)).items():
                self._newest[sensor] = max(at, self._newest.get(sensor, at))
        self._validator = validator
        self.registry_trouble = None
        for problem in validator.registry.problems:
            log().error("a row of the registry cannot be used: mend it", row=problem.subject, why=problem.reason)
        return True

    def _keep_registry(self, version: int, error: Exception) -> bool:
        standing = self._validator.registry.version
        why = f"version {version} cannot be loaded ({type(error).__name__}: {error})"
        if standing == 0:
            raise StorageBroken(f"the registry's {why}: report this with the log") from error
        if self.registry_trouble is None:
            log().error("the registry cannot be loaded: the last good one stays in use; report this with the log",
                        version=version, in_use=standing, exc_info=error)  # fmt: skip
        self.registry_trouble = f"{why}; version {standing} stays in use"
        return False

    def _arrived(self) -> datetime:
        """Now, by the database's clock."""
        if self._database_time is None:
            return now()
        at, steady = self._database_time
        return at + timedelta(seconds=self._steady() - steady)

    def _sort(self, batches: list[Batch]) -> Work:
        """What can be stored, and what goes to quarantine and why."""
        work, arrived_at = Work(), self._arrived()
        for message, batch, wrong in batches:
            work.add(sorting.sort(self._validator, message, batch, wrong, arrived_at))
        return work

    async def _store(self, work: Work) -> None:
        """One transaction; what the database refuses is bisected until only the poison is left aside."""
        try:
            await self._commit(work, trusting_tails=True)
        except StorageRefused as error:
            log().warning("the database refused a batch: halving it", readings=len(work.readings), error=str(error))
            arrived_at = self._arrived()

            async def commit(part: Work) -> None:
                await self._commit(part, trusting_tails=len(part.readings) > 1)

            poison = await store_apart(work, commit, Breaker())
            for part, why in poison:
                log().error("what the database refuses goes to quarantine: look at its reason", error=str(why))
                work.refused += [
                    sorting.refused_by_database(message, place, arrived_at, f"database: {why}")
                    for message, place in part.sources
                ]
                work.refused += [
                    Quarantined(
                        received_at=at, topic=wire.device_topic(device, "reading"), device_id=device,
                        reason=f"status: the database refused it: {why}", payload=status, gateway_id="",
                    )
                    for device, at, status in part.statuses
                ]  # fmt: skip
            await self._quarantine(work.refused)

    async def _quarantine(self, refused: list[Quarantined]) -> None:
        """Keep them; what is refused there too is kept with its bytes alone. Raises StorageBroken when that fails."""
        try:
            await self._commit(Work(refused=refused), trusting_tails=True)
        except StorageRefused as error:
            log().error("quarantine refuses a row: keeping its bytes alone", error=str(error))
            for one in refused:
                try:
                    await self._commit(Work(refused=[one]), trusting_tails=True)
                except StorageRefused:
                    bare = replace(one, received_at=self._arrived(), topic="", device_id=None, gateway_id="")
                    try:
                        await self._commit(Work(refused=[bare]), trusting_tails=True)
                    except StorageRefused as again:
                        raise StorageBroken(f"quarantine takes nothing: {again}") from again

    async def replay(self) -> int:
        """Try the next page of quarantine that somebody asked for; returns how many rows that were.

        What is accepted now is stored and marked in one transaction. Raises StorageUnavailable: then none of it was.
        """
        page = await quarantine.to_replay(self._database)
        if page:
            await self._refresh_registry(force=True)
            try:
                await self._replay(page)
            except StorageRefused:
                for row in page:
                    await self._replay_one(row)
        return len(page)

    async def _replay(self, page: list[Held]) -> None:
        found = replayed(self._validator, page)

        async def mark(connection: Connection) -> None:
            await quarantine.note_replay(connection, found.results)

        async with self._turn:
            await self._commit(found.work, trusting_tails=False, also=mark)

    async def _replay_one(self, row: Held) -> None:
        try:
            await self._replay([row])
        except StorageRefused as error:
            async with self._database.transaction() as connection:
                await quarantine.note_replay(connection, {row.id: f"database: {error}"})

    async def _commit(
        self, work: Work, *, trusting_tails: bool, also: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        by_sensor: dict[SensorId, list[Reading]] = defaultdict(list)
        for reading in work.readings:
            by_sensor[reading.sensor].append(reading)
        if not trusting_tails:
            self._tails.clear()
        async with self._database.transaction() as connection:
            revisions, outcomes = await self._outcomes(connection, by_sensor, trusting_tails=trusting_tails)
            added, changed = await self._write(connection, outcomes)
            await quarantine.quarantine(connection, work.refused)
            await save_statuses(connection, work.statuses)
            if also is not None:
                await also(connection)
        if self._owed_since is not None:
            self._owed_since = self._steady()
        self._keep_tails(revisions, outcomes, written=bool(added or changed))
        STORED.inc(added)
        REPEATED.inc(max(0, len(work.readings) - added))
        QUARANTINED.inc(len(work.refused))

    async def _write(
        self, connection: Connection, outcomes: Mapping[SensorId, Outcome], by: tuple[str, str] | None = None
    ) -> tuple[int, int]:
        """Write what changes, with all that follows from it; returns how many rows are new and how many changed.

        `by`: the person who changes them, and why.
        """
        outcomes = dict(sorted(outcomes.items()))
        added = [r for o in outcomes.values() for r in o.added]
        changed = [pair for o in outcomes.values() for pair in o.changed]
        await rows.add_readings(connection, added)
        fail_point("ingest.copied")
        await restate_readings(connection, [r for o in outcomes.values() for r in o.repeated])
        await keep_revisions(connection, _revisions(outcomes.values(), by))
        if added or changed:
            calendars = self._validator.calendars
            await rows.change_readings(connection, changed)
            await rows.store(
                connection,
                [
                    rows.LatestRow(
                        o.tail.latest,
                        o.tail.trend_h(self._validator.registry.sensors[s].report_every),
                        o.tail.flat_since,
                    )
                    for s, o in outcomes.items()
                    if o.tail.latest is not None
                ],
                [(o.added, calendars[s]) for s, o in outcomes.items()],
                [after for _, after in changed],
            )
            await recompute_summaries(connection, changed, calendars)
        return len(added), len(changed)

    def _keep_tails(
        self, revisions: Mapping[SensorId, int], outcomes: Mapping[SensorId, Outcome], *, written: bool
    ) -> None:
        """Remember, once it is committed, what the rows say now."""
        for sensor, outcome in outcomes.items():
            if not outcome.tail_is_whole:
                self._tails.pop(sensor, None)
            elif written:
                self._tails[sensor] = (revisions[sensor] + 1, outcome.tail)

    async def correct(self) -> bool:
        """Apply the oldest correction that waits, or take back one that was undone; whether there was any."""
        async with self._turn:
            return await self._correct()

    async def _correct(self) -> bool:
        await self._refresh_registry(force=False)
        waiting = None
        try:
            async with self._database.transaction() as connection:
                waiting = await corrections.next_to_apply(connection)
                if waiting is None:
                    return False
                one = waiting.correction
                changed = await self._apply(connection, waiting)
        except StorageRefused as error:
            if waiting is None:
                raise
            one = waiting.correction
            log().error("the database refuses a correction: undo it", correction=one.id, error=str(error))
            async with self._database.transaction() as connection:
                await corrections.note_refused(connection, one.id, str(error))
            return True
        finally:
            if waiting is not None:
                self._tails.pop(waiting.correction.sensor, None)
        log().info("a correction is applied", correction=one.id, sensor=one.sensor, changed=changed)
        return True

    async def _apply(self, connection: Connection, waiting: corrections.ToApply) -> int:
        """Bring the readings of a correction's span to what people say of them; returns how many that changed."""
        one = waiting.correction
        revisions = await rows.lock_sensors(connection, [one.sensor])
        sensor = self._validator.registry.sensors.get(one.sensor)
        if sensor is None or one.sensor not in revisions:
            raise StorageUnavailable("a correction of a sensor that the registry does not know yet")
        self._tails.pop(one.sensor, None)
        await self._remember(connection, revisions)
        margin = self._margin(one.sensor)
        span = (one.sensor, one.starts_at - margin, one.ends_at + margin)
        (context,) = await rows.readings_around(connection, [span])
        outcome = amend(
            self._tails[one.sensor][1], context, one.starts_at, one.ends_at, sensor.limits,
            self._settings.late_after, self._corrections.get(one.sensor, ()),
        )  # fmt: skip
        by = (one.who, one.why) if waiting.undone_by is None else (waiting.undone_by, f"undone: {one.why}")
        _, changed = await self._write(connection, {one.sensor: outcome}, by)
        if not changed:  # other workers are to hear of it none the less: what arrives late obeys it
            await rows.bump(connection, one.sensor)
        await corrections.note_applied(connection, one.id)
        return changed

    async def _outcomes(
        self, connection: Connection, by_sensor: dict[SensorId, list[Reading]], *, trusting_tails: bool
    ) -> tuple[dict[SensorId, int], dict[SensorId, Outcome]]:
        """Judge every sensor's new readings; live data by the tail alone, late data by what is stored around it.

        Returns each sensor's revision, and what comes of those whose rows change.
        """
        if not by_sensor:
            return {}, {}
        revisions = await self._lock(connection, by_sensor)
        await self._remember(connection, revisions)
        by_sensor, final = await resolve(connection, by_sensor, self._validator.counters)
        outcomes: dict[SensorId, Outcome] = {}
        late: dict[SensorId, Tail] = {}
        for sensor in by_sensor:
            tail = self._tails[sensor][1]
            incoming = by_sensor[sensor] = without_known(tail, by_sensor[sensor], final.get(sensor, ()))
            if not incoming:
                continue
            if trusting_tails and follows(tail, incoming) and not self._touches(sensor, tail, incoming):
                limits = self._validator.registry.sensors[sensor].limits
                outcomes[sensor] = append(tail, incoming, limits, self._settings.late_after)
            else:
                late[sensor] = tail
        stored = await readings_at(connection, [(s, r.observed_at) for s in late for r in by_sensor[s]])
        for sensor in list(late):
            again = restated(late[sensor], stored.get(sensor, {}), by_sensor[sensor], final.get(sensor, ()))
            if again is not None:
                del late[sensor]
                if again.repeated:
                    outcomes[sensor] = again
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
                limits = self._validator.registry.sensors[sensor].limits
                outcome = insert_among(
                    late[sensor], around[sensor], by_sensor[sensor], limits, self._settings.late_after,
                    final=final.get(sensor, ()), corrections=self._corrections.get(sensor, ()),
                )  # fmt: skip
                if any(outcome[1:]):  # else all of it was known
                    outcomes[sensor] = outcome
        return revisions, outcomes

    async def _lock(self, connection: Connection, sensors: Iterable[SensorId]) -> dict[SensorId, int]:
        """Lock the sensors' rows and return the revision of each; a missing row is made, never its readings dropped."""
        wanted = set(sensors)
        revisions = await rows.lock_sensors(connection, wanted)
        if missing := wanted - revisions.keys():
            log().warning("sensors without a row for their newest reading: making it", sensors=sorted(missing)[:20])
            await rows.make_latest(connection, missing)
            revisions = await rows.lock_sensors(connection, wanted)
        if missing := wanted - revisions.keys():
            self._registry_checked = 0.0
            self._validator = IngestValidator(Registry(version=0), self._settings, self._newest)
            raise StorageUnavailable(f"{len(missing)} sensors are not in this database: reading the registry again")
        return revisions

    async def _remember(self, connection: Connection, revisions: dict[SensorId, int]) -> None:
        """Make sure that what we know of these sensors is of these revisions: another worker may have written them."""
        unknown = [s for s, revision in revisions.items() if self._tails.get(s, (None, None))[0] != revision]
        if unknown:
            for sensor, (latest, recent, flat) in (await rows.tails(connection, unknown, REACH_BACK)).items():
                self._tails[sensor] = (revisions[sensor], Tail(latest, recent, flat))
                self._corrections.pop(sensor, None)
            self._corrections |= await corrections.corrections_in_force(connection, unknown)

    def _touches(self, sensor: SensorId, tail: Tail, incoming: list[Reading]) -> bool:
        """Whether people said something of these readings, or of those that they are judged by."""
        found = self._corrections.get(sensor)
        if not found:
            return False
        first = tail.recent[0].observed_at if tail.recent else min(r.observed_at for r in incoming)
        return any(c.ends_at >= first for c in found)

    def _margin(self, sensor: SensorId) -> timedelta:
        """How far around late readings the flat check looks."""
        limits = self._validator.registry.sensors[sensor].limits
        return limits.flat_after if limits.flat_after and limits.flat_above is not None else timedelta(0)


def _revisions(outcomes: Iterable[Outcome], by: tuple[str, str] | None) -> list[Revision]:
    """What gives way: values, and flags that were stored before. `by`: the person who changes readings, and why."""
    found = []
    for outcome in outcomes:
        found += [Revision(reading, "ingest", why) for reading, why in outcome.outvoted]
        gave_way = {r.observed_at for r, _ in outcome.outvoted}
        for before, after in outcome.changed:
            if by is not None and (before.value != after.value or (before.reasons ^ after.reasons) & BY_PEOPLE):
                found.append(Revision(before, *by))
            elif before.flag != after.flag and before.observed_at not in gave_way:
                found.append(Revision(before, "ingest", "judged anew"))
    return found


async def patiently_take(ingest: Ingest, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
    """Take them, and try again for a moment: a connection may have died unnoticed, two workers may have met."""
    for attempt in range(1, _TRIES):
        try:
            return await ingest.take(messages)
        except StorageUnavailable as error:
            log().info("not stored: trying again", error=str(error), attempt=attempt)
            await asyncio.sleep(backoff(attempt))
    return await ingest.take(messages)


async def _hear_some(ingest: Ingest, heard: deque[Message], stop: asyncio.Event) -> None:
    """Write down which gateways are there; readings do not wait for it."""
    messages = [heard.popleft() for _ in range(len(heard))]
    if messages:
        await ingest.hear(messages)
    await sleep_or_stop(_HEAR_EVERY, stop)


async def _replay_some(ingest: Ingest, stop: asyncio.Event) -> None:
    """Try again what somebody asked for; readings that come in do not wait for it."""
    if not await ingest.replay():
        await sleep_or_stop(_REPLAY_EVERY, stop)


async def _look(database: Database, ingest: Ingest, trouble: dict[str, str], stop: asyncio.Event) -> None:
    """Say what is wrong with the database though nothing comes in, and that it is over."""
    try:
        await database.ping()
    except StorageUnavailable as error:
        trouble["database"] = str(error)
    else:
        if not ingest.owes():
            trouble.pop("database", None)
    await sleep_or_stop(_LOOK_EVERY, stop)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Take batches until stopped. While the database is away, batches are left to their gateways."""
    health = Health()
    name = f"kawamori-ingest-{uuid4().hex[:12]}"
    shared = [f"$share/ingest/{topic}" for topic in (wire.BATCHES, wire.ALIVE)]
    link = Link(settings.mqtt(), name, shared, receive_maximum=_TOGETHER * 2, keep_alive=_NOTICED_WITHIN)
    async with Database(settings.database(), "ingest", size=2, idle=_FROZEN, check=False) as database:
        await say_started(database, "ingest")
        ingest = Ingest(database, settings.ingest)
        trouble: dict[str, str] = {}
        health.check("broker", lambda: link.trouble)
        health.check("database", lambda: trouble.get("database"))
        health.warn("registry", ingest.registry_warning)
        #: Signs of life of gateways; more than these are not needed to know who is there.
        heard: deque[Message] = deque(maxlen=1000)

        async def take_some() -> None:
            messages = await link.receive(_TOGETHER)
            fail_point("ingest.received")
            begun = now()
            batches = [m for m in messages if not m.topic.endswith("/alive")]
            try:
                acks = await patiently_take(ingest, batches)
            except StorageUnavailable as error:
                trouble["database"] = str(error)
                raise
            finally:
                link.acknowledge(messages)  # the gateway's journal keeps them, the broker need not
                heard.extend(m for m in messages if m.topic.endswith("/alive"))
            fail_point("ingest.committed")
            if batches:
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

        async def correct_some() -> None:
            async for _ in database.notifications("kawamori_correction"):
                while await ingest.correct():
                    pass

        async with stopping(stop) as group:
            group.create_task(link.stay_connected(), name="broker")
            if settings.ingest.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.ingest.health_port, stop), name="health"
                )
            # whatever keeps a sign from being written, readings go on
            group.create_task(forever(say_alive, stop, KawamoriError, "no sign of life"), name="sign of life")
            hear = partial(_hear_some, ingest, heard, stop)
            group.create_task(forever(hear, stop, KawamoriError, "gateways are not heard"), name="gateways")
            replay = partial(_replay_some, ingest, stop)
            group.create_task(forever(replay, stop, KawamoriError, "no replay"), name="replay")
            look = partial(_look, database, ingest, trouble, stop)
            group.create_task(forever(look, stop, KawamoriError, "no look at the database"), name="look")
            group.create_task(
                forever(lambda: ingest.look_again(stop), stop, KawamoriError, "no second look"), name="second look"
            )
            group.create_task(forever(correct_some, stop, KawamoriError, "no corrections"), name="corrections")
            await forever(take_some, stop, StorageUnavailable, "database away")
