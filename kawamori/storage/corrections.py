"""People's corrections of readings: what they say, what of it is undone, and what ingest has still to apply."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.correction import Correction, CorrectionKind
from kawamori.domain.reading import SensorId
from kawamori.storage.binary import Int4s
from kawamori.storage.database import Connection, query


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A correction as it is recorded."""

    id: int
    sensor: SensorId
    quantity: str
    starts_at: datetime
    ends_at: datetime
    kind: CorrectionKind
    amount: float | None
    who: str
    why: str
    made_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    #: Whether the readings show it as it stands, and why not, where the database refused that.
    applied: bool
    refused: str | None


async def add_correction(connection: Connection, correction: Correction) -> int:
    """Record a correction for ingest to apply; returns its new id; the object's own is ignored."""
    values = {
        "sensor": correction.sensor, "starts_at": correction.starts_at, "ends_at": correction.ends_at,
        "kind": correction.kind.value, "amount": correction.amount, "who": correction.who, "why": correction.why,
    }  # fmt: skip
    row = await (await connection.execute(query("add_correction"), values)).fetchone()
    assert row is not None
    return int(row[0])


async def undo_correction(connection: Connection, station: str, correction: int, who: str) -> bool:
    """Let a correction of that station hold no more; False where there is none that holds."""
    values = {"station": station, "correction": correction, "who": who}
    return (await connection.execute(query("undo_correction"), values)).rowcount == 1


async def corrections_of_station(
    connection: Connection, station: str, *, before: int, limit: int
) -> list[CorrectionRow]:
    """A station's corrections, undone ones too, the newest first, older than the id `before`."""
    values = {"station": station, "before_id": before, "limit": limit}
    rows = await (await connection.execute(query("corrections_of_station"), values)).fetchall()
    return [CorrectionRow(row[0], row[1], row[2], row[3], row[4], CorrectionKind(row[5]), *row[6:]) for row in rows]


async def corrections_in_force(
    connection: Connection, sensors: Iterable[SensorId]
) -> dict[SensorId, tuple[Correction, ...]]:
    """What holds of these sensors' readings; sensors without any are left out."""
    found: dict[SensorId, tuple[Correction, ...]] = {}
    cursor = await connection.execute(query("corrections_in_force"), {"sensors": Int4s.of(sorted(sensors))})
    for row in await cursor.fetchall():
        one = _correction(row)
        found[one.sensor] = (*found.get(one.sensor, ()), one)
    return found


def _correction(row: Sequence[Any]) -> Correction:
    id_, sensor, starts_at, ends_at, kind, amount, who, why, *_ = row
    return Correction(id_, sensor, starts_at, ends_at, CorrectionKind(kind), amount, who, why)


@dataclass(frozen=True, slots=True)
class ToApply:
    """A correction that the readings do not show as it stands."""

    correction: Correction
    #: Who undid it; None while it holds.
    undone_by: str | None


async def next_to_apply(connection: Connection) -> ToApply | None:
    """Lock and return the oldest correction that waits to be applied and that no other worker holds."""
    row = await (await connection.execute(query("next_correction_to_apply"))).fetchone()
    if row is None:
        return None
    return ToApply(_correction(row), row[8])


async def note_applied(connection: Connection, correction: int) -> None:
    """The readings show it now."""
    await connection.execute(query("note_correction_applied"), {"correction": correction})


async def note_refused(connection: Connection, correction: int, why: str) -> None:
    """The database refuses what it would make of the readings: it is set aside, and the others go on."""
    await connection.execute(query("note_correction_refused"), {"correction": correction, "why": why})


async def reading_stands_at(connection: Connection, sensor: SensorId, start: datetime, end: datetime) -> bool:
    """Whether the sensor has any reading from `start` to `end`, both included."""
    values = {"sensor": sensor, "start": start, "end": end}
    return await (await connection.execute(query("reading_stands_at"), values)).fetchone() is not None
