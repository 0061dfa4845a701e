"""The change feed: committed batches in an order that skips none, however late one commits."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf
from typing import NamedTuple

from kawamori.domain.reading import SensorId
from kawamori.storage.database import Connection, query


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the feed. Its text is the stream's event id."""

    xid: int = 0
    batch_id: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.batch_id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that prints as `text`; raises ValueError."""
        xid, _, batch = text.partition("-")
        return cls(int(xid), int(batch))


class Touched(NamedTuple):
    """A sensor whose readings changed, and the span (both ends included) in which they did."""

    sensor: SensorId
    start: datetime
    end: datetime
    #: No trustworthy new reading of the span is higher; infinity where stored ones changed.
    high: float = inf


#: A named tuple's own constructor is a function of Python; there is one of these a reading.
_touched: Callable[[tuple[SensorId, datetime, datetime, float]], Touched] = partial(tuple.__new__, Touched)


@dataclass(frozen=True, slots=True)
class Change:
    """One committed batch."""

    cursor: Cursor
    committed_at: datetime
    touched: tuple[Touched, ...]
    #: New and changed ones.
    readings: int


async def changes_after(connection: Connection, cursor: Cursor, limit: int) -> list[Change]:
    """The next changes after `cursor`, oldest first, at most `limit`."""
    found = await connection.execute(
        query("changes_after"), {"xid": str(cursor.xid), "batch_id": cursor.batch_id, "limit": limit}, binary=True
    )
    return [
        Change(
            Cursor(int(xid), batch_id),
            committed_at,
            tuple(map(_touched, zip(sensors, starts, ends, highs or [inf] * len(sensors), strict=True))),
            readings,
        )
        for xid, batch_id, committed_at, sensors, starts, ends, highs, readings in await found.fetchall()
    ]


async def newest_change(connection: Connection) -> Cursor:
    """Where the feed ends now."""
    row = await (await connection.execute(query("newest_change"))).fetchone()
    return Cursor(int(row[0]), row[1]) if row else Cursor()


async def hold_cursor(connection: Connection, follower: str) -> Cursor:
    """Lock a durable follower's cursor for this transaction, and return it."""
    row = await (await connection.execute(query("hold_cursor"), {"follower": follower})).fetchone()
    if row is None:
        await connection.execute(query("open_cursor"), {"follower": follower})
        row = await (await connection.execute(query("hold_cursor"), {"follower": follower})).fetchone()
    return Cursor(int(row[0]), row[1]) if row else Cursor()


async def move_cursor(connection: Connection, follower: str, cursor: Cursor) -> None:
    """Record, in the transaction that did the work, that everything up to `cursor` is done."""
    await connection.execute(
        query("move_cursor"), {"follower": follower, "xid": str(cursor.xid), "batch_id": cursor.batch_id}
    )
