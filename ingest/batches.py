"""Take gateways' batches: decode and validate them, store them, and say what to acknowledge."""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from hashlib import blake2b

from ingest import sorting
from ingest.corrections import Corrections
from ingest.liveness import Liveness, Progress
from ingest.look import look_again
from ingest.registry import CurrentRegistry
from ingest.replay import replayed
from ingest.sorting import NOT_REGISTERED, Work, ack_of, gateway_of, may_be_accepted_later
from ingest.store import ReadingStore
from kawamori import wire
from kawamori.errors import KawamoriError, StorageBroken, StorageRefused, UndecodableMessage
from kawamori.mqtt import Message
from kawamori.observe import log
from kawamori.runtime import sleep_or_stop
from kawamori.settings import IngestSettings
from kawamori.storage import quarantine
from kawamori.storage.database import Connection, Database
from kawamori.storage.liveness import see_unknown_gateways
from kawamori.storage.quarantine import Held, unknown_bytes

#: Bytes of batches in one transaction, about 10,000 readings: it takes several times its batches in memory.
_BYTES_TOGETHER = 1536 * 1024
#: Batches remembered as committed; one that comes again with the very same bytes is acknowledged without work.
_REMEMBERED = 4096
#: How often to look again at the newest readings that came late or failed.
_LOOK_AGAIN_EVERY = 5.0
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
        self.progress = Progress(steady)
        self.registry = CurrentRegistry(database, settings, steady)
        self.liveness = Liveness(database, self.registry, self.progress)
        self.store = ReadingStore(database, settings, self.registry, self.progress)
        self.corrections = Corrections(database, settings, self.registry, self.store)
        #: Batches one after the other that were set aside because they ended in an error of the software.
        self._aside_in_a_row = 0
        self._committed: dict[bytes, wire.Ack] = {}

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
            self.progress.begin()
            try:
                async with self.store.turn:
                    acks += await self._take_guarded(messages[:count])
            except KawamoriError:
                self.progress.fail()
                raise
            self.progress.end()
            messages = messages[count:]
        return acks

    async def look_again(self, stop: asyncio.Event) -> None:
        """Wait a moment, then look again at what was stored last: at clocks, and at limits that fail too much."""
        await sleep_or_stop(_LOOK_AGAIN_EVERY, stop)
        await look_again(self._database, self.registry.validator.registry.sensors, self.registry.validator.calendars)

    async def _take_guarded(self, messages: list[Message]) -> list[tuple[str, wire.Ack]]:
        """Store these batches; one that ends in an error of the software is set aside, and costs no other."""
        try:
            acks = await self._take(messages)
        except KawamoriError:
            raise
        except Exception as error:  # noqa: BLE001 - the root of a unit of work: a batch
            self.store.tails.clear()
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
        kept = sorting.whole(message, self.registry.arrived(), reason)
        await self.store.commit(Work(refused=[kept]), trusting_tails=True)
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
        arrived_at = self.registry.arrived()
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
            await self.store.store(work)
            topics = {r.sensor: message.topic for r, (message, _) in zip(work.readings, work.sources, strict=True)}
            self.liveness.note({sensor: wire.owner(topic) for sensor, topic in topics.items()}, ())
        self._committed |= new
        self.liveness.note({}, {wire.owner(topic) for topic, _ in acks})
        while len(self._committed) > _REMEMBERED:
            del self._committed[next(iter(self._committed))]
        return acks + self._acks_of([*broken, *kept])

    async def _by_registration(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """Batches of registered gateways, and the others."""
        known: list[Message] = []
        strangers: list[Message] = []
        for message in messages:
            name = gateway_of(message.topic)
            believed = name is not None and await self.registry.is_registered(name)
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
        await self.registry.refresh(force=False)
        work = self._sort(batches)
        if any(may_be_accepted_later(q.reason) for q in work.refused) and await self.registry.refresh(force=True):
            work = self._sort(batches)
        return work

    def _sort(self, batches: list[Batch]) -> Work:
        """What can be stored, and what goes to quarantine and why."""
        work, arrived_at = Work(), self.registry.arrived()
        for message, batch, wrong in batches:
            work.add(sorting.sort(self.registry.validator, message, batch, wrong, arrived_at))
        return work

    async def replay(self) -> int:
        """Try the next page of quarantine that somebody asked for; returns how many rows that were.

        What is accepted now is stored and marked in one transaction. Raises StorageUnavailable: then none of it was.
        """
        page = await quarantine.to_replay(self._database)
        if page:
            await self.registry.refresh(force=True)
            try:
                await self._replay(page)
            except StorageRefused:
                for row in page:
                    await self._replay_one(row)
        return len(page)

    async def _replay(self, page: list[Held]) -> None:
        found = replayed(self.registry.validator, page)

        async def mark(connection: Connection) -> None:
            await quarantine.note_replay(connection, found.results)

        async with self.store.turn:
            await self.store.commit(found.work, trusting_tails=False, also=mark)

    async def _replay_one(self, row: Held) -> None:
        try:
            await self._replay([row])
        except StorageRefused as error:
            async with self._database.transaction() as connection:
                await quarantine.note_replay(connection, {row.id: f"database: {error}"})
