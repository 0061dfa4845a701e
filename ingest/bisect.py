"""Find what the database refuses in a transaction, by halves, so that everything else of it is stored."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from ingest.sorting import Work
from kawamori.domain.reading import SensorId
from kawamori.errors import StorageBroken, StorageRefused

Commit = Callable[[Work], Awaitable[None]]
Poison = list[tuple[Work, StorageRefused]]
Statuses = list[tuple[str, datetime, bytes]]


@dataclass(slots=True)
class Breaker:
    """Tells a poisonous row from a database that refuses everything: then no row is to blame.

    More refusals in a row than `most` are not the data, with one exception: one sensor alone is refused while readings
    of others are stored. Its other readings of the batch are then set aside without being tried.
    """

    most: int = 20
    in_a_row: int = 0
    sensors: set[SensorId] = field(default_factory=set)
    #: Sensors of which nothing more is tried.
    given_up: set[SensorId] = field(default_factory=set)
    stored: bool = False

    def took(self) -> None:
        """The database took something."""
        self.in_a_row = 0
        self.sensors.clear()
        self.stored = True

    def refused(self, sensor: SensorId, others: set[SensorId], why: StorageRefused) -> None:
        """The database refused one row; raises StorageBroken when it is not the row. `others` are in the batch."""
        self.in_a_row += 1
        self.sensors.add(sensor)
        if self.in_a_row <= self.most:
            return
        if self.sensors != {sensor} or not others - self.given_up:
            raise self.broken(why)
        self.given_up.add(sensor)
        self.in_a_row = 0
        self.sensors.clear()

    def broken(self, why: StorageRefused) -> StorageBroken:
        """What to say then."""
        return StorageBroken(
            f"more than {self.most} rows in a row were refused, it is not the data: {why}; nothing of them is put"
            " aside, they stay at their gateways; look for a constraint or trigger that this version does not know"
        )


async def store_apart(work: Work, commit: Commit, breaker: Breaker) -> Poison:
    """Store what the database takes of the readings and statuses, and return what it refuses, one by one.

    What was refused before is not part of it. Raises StorageBroken: what was stored until then is known by then.
    Statuses stand outside the breaker: they decide nothing, and must keep no reading back.
    """
    poison: Poison = []
    whole = {reading.sensor for reading in work.readings}
    await _readings(Work(work.readings, work.sources), whole, commit, breaker, poison)
    if breaker.given_up and not breaker.stored:
        raise breaker.broken(poison[-1][1])
    await _statuses(work.statuses, commit, poison)
    return poison


async def _readings(work: Work, whole: set[SensorId], commit: Commit, breaker: Breaker, poison: Poison) -> None:
    if breaker.given_up and (given_up := [r.sensor in breaker.given_up for r in work.readings]) and any(given_up):
        why = poison[-1][1]
        pairs = list(zip(work.readings, work.sources, given_up, strict=True))
        poison += [(Work([r], [s]), why) for r, s, gone in pairs if gone]
        work = Work([r for r, _, gone in pairs if not gone], [s for _, s, gone in pairs if not gone])
    if not work.readings:
        return
    try:
        await commit(work)
    except StorageRefused as why:
        if len(work.readings) == 1:
            poison.append((work, why))
            sensor = work.readings[0].sensor
            breaker.refused(sensor, whole - {sensor}, why)
            return
    else:
        breaker.took()
        return
    half = len(work.readings) // 2
    await _readings(Work(work.readings[:half], work.sources[:half]), whole, commit, breaker, poison)
    await _readings(Work(work.readings[half:], work.sources[half:]), whole, commit, breaker, poison)


async def _statuses(statuses: Statuses, commit: Commit, poison: Poison) -> None:
    if not statuses:
        return
    try:
        await commit(Work(statuses=statuses))
    except StorageRefused as why:
        if len(statuses) == 1:
            poison.append((Work(statuses=statuses), why))
            return
        half = len(statuses) // 2
        await _statuses(statuses[:half], commit, poison)
        await _statuses(statuses[half:], commit, poison)
