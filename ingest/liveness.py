"""Signs of life: gateways' as they come in, this worker's own, and whether it makes progress at all."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from ingest.registry import CurrentRegistry
from ingest.sorting import gateway_of
from kawamori import wire
from kawamori.domain.reading import SensorId
from kawamori.errors import KawamoriError, StorageRefused, UndecodableMessage
from kawamori.mqtt import Message
from kawamori.observe import log
from kawamori.storage.database import Database
from kawamori.storage.liveness import see_clocks, see_gateways, see_process, see_set_aside, see_unknown_gateways

#: A worker that has stored nothing of what it was given for so many seconds is as good as none, and says nothing.
_STUCK = 10.0
#: What a gateway has not sent again within so many seconds is with another worker, or its gateway is gone.
_SENT_AGAIN_WITHIN = 30.0


class Progress:
    """Whether what came is being stored."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        #: Since when, by the steady clock, nothing has been stored of what came; None while nothing is to be stored.
        self._owed_since: float | None = None
        #: When the last attempt at it failed; None while one is under way.
        self._left_at: float | None = None

    def begin(self) -> None:
        """An attempt to store what came begins."""
        if self._owed_since is None:
            self._owed_since = self._steady()
        self._left_at = None

    def fail(self) -> None:
        """The attempt has failed; the gateways send again."""
        self._left_at = self._steady()

    def end(self) -> None:
        """All of it is stored."""
        self._owed_since = None

    def committed(self) -> None:
        """A part of it is stored."""
        if self._owed_since is not None:
            self._owed_since = self._steady()

    def owes(self) -> bool:
        """Whether something that came is not stored, as far as this worker knows."""
        return self._owed_since is not None

    def is_stuck(self) -> bool:
        """Whether what came is not being stored: somebody else holds a row, say. Each commit is progress."""
        moment = self._steady()
        if self._left_at is not None and moment - self._left_at > _SENT_AGAIN_WITHIN:
            self._owed_since = self._left_at = None
        return self._owed_since is not None and moment - self._owed_since > _STUCK


class Liveness:
    """Writes down which gateways are there, and that this worker is."""

    def __init__(self, database: Database, registry: CurrentRegistry, progress: Progress) -> None:
        self._database = database
        self._registry = registry
        self._progress = progress
        #: Through which gateway each sensor's readings came since the last sign of life.
        self._ways: dict[SensorId, str] = {}
        #: Whose batches were acknowledged since then.
        self._served: set[str] = set()

    def note(self, ways: dict[SensorId, str], served: Iterable[str]) -> None:
        """Remember for the next sign of life through which gateways sensors report, and whose batches were taken."""
        self._ways |= ways
        self._served |= set(served)

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
            if name is None or not await self._registry.is_registered(name):
                unknown[name or ""] += 1
                continue
            try:
                alive = wire.decode_alive(message.payload)
                seen[name], aside[name] = alive.waiting, alive.set_aside
                if alive.clock is not None:
                    clocks[name] = (alive.clock - self._registry.arrived()).total_seconds()
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

    async def say_alive(self, name: str) -> None:
        """Write down that this worker is there: without it a dead ingest looks like silent sensors. One that is stuck
        says nothing, for the same reason.
        """
        if self._progress.is_stuck():
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
