"""What devices stated of each moment, what their counters read, and which values gave way.

Everything here runs inside the caller's transaction, which holds the sensors' locks.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from kawamori.domain.counter import Total
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.statement import Statement
from kawamori.storage.binary import Times
from kawamori.storage.database import Connection, query
from kawamori.storage.readings import Key, keys_of, reading_of


async def restate_readings(connection: Connection, repeated: Sequence[Reading]) -> None:
    """Note when the statements of stored rows were made once more."""
    if repeated:
        values = keys_of([(r.sensor, r.observed_at) for r in repeated])
        values["stated_at"] = Times.at([r.stated_at for r in repeated])
        await connection.execute(query("restate_reading"), values)


class Revision(NamedTuple):
    """What a moment was once said to be, who changed it, and why."""

    reading: Reading
    who: str
    why: str


async def keep_revisions(connection: Connection, revisions: Sequence[Revision]) -> None:
    """Remember values and flags that gave way."""
    if revisions:
        await connection.cursor().executemany(
            query("keep_revision"),
            [
                {
                    "sensor": r.sensor, "observed_at": r.observed_at, "value": r.value, "flag": int(r.flag),
                    "reasons": int(r.reasons), "who": who, "why": why,
                }
                for r, who, why in revisions
            ],
        )  # fmt: skip


async def readings_at(connection: Connection, moments: Collection[Key]) -> dict[SensorId, dict[datetime, Reading]]:
    """What is stored at these moments, by sensor and moment."""
    found: dict[SensorId, dict[datetime, Reading]] = {}
    if moments:
        cursor = await connection.execute(query("readings_at"), keys_of(moments), binary=True)
        for row in await cursor.fetchall():
            found.setdefault(row[0], {})[row[1]] = reading_of(row)
    return found


async def statements_of(
    connection: Connection, moments: Collection[Key]
) -> tuple[dict[Key, dict[str, Statement]], dict[Key, Reading]]:
    """Of each moment what every device last stated about it, and the reading that stands."""
    values = keys_of(moments)
    words: dict[Key, dict[str, Statement]] = {}
    cursor = await connection.execute(query("statements_of"), values, binary=True)
    for sensor, at, device, value, stated_at, disputed in await cursor.fetchall():
        words.setdefault((sensor, at), {})[device] = Statement(value, stated_at, disputed)
    cursor = await connection.execute(query("readings_at"), values, binary=True)
    return words, {(row[0], row[1]): reading_of(row) for row in await cursor.fetchall()}


async def put_statements(connection: Connection, words: Mapping[tuple[SensorId, datetime, str], Statement]) -> None:
    """Store what devices last stated about moments: (sensor, moment, device) to statement."""
    if words:
        await connection.cursor().executemany(
            query("put_statement"),
            [
                {
                    "sensor": sensor, "observed_at": at, "device": device, "value": word.value, "stated_at": word.at,
                    "disputed": word.disputed,
                }
                for (sensor, at, device), word in words.items()
            ],
        )  # fmt: skip


async def drop_statements(connection: Connection, moments: Sequence[Key], device: str) -> None:
    """Forget what stands in this name about these moments."""
    if moments:
        await connection.cursor().executemany(
            query("drop_statement"), [{"sensor": s, "observed_at": at, "device": device} for s, at in moments]
        )


async def totals_around(
    connection: Connection, sensor: SensorId, device: str, start: datetime, end: datetime
) -> dict[datetime, Total]:
    """A counter's totals of the span, with its neighbours on both sides."""
    values = {"sensor": sensor, "device": device, "start": start, "end": end}
    rows = await (await connection.execute(query("totals_around"), values, binary=True)).fetchall()
    return {at: Total(Statement(total, said, disputed), received) for at, total, said, disputed, received in rows}


async def put_totals(connection: Connection, sensor: SensorId, device: str, totals: Mapping[datetime, Total]) -> None:
    """Store a counter's totals."""
    if totals:
        await connection.cursor().executemany(
            query("put_total"),
            [
                {
                    "sensor": sensor, "device": device, "observed_at": at, "total": word.value, "stated_at": word.at,
                    "disputed": word.disputed, "received_at": received_at,
                }
                for at, (word, received_at) in totals.items()
            ],
        )  # fmt: skip
