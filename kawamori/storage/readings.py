"""Writing readings: lock the sensors, store rows, keep the newest of each, summaries and the change feed in step.

Everything here runs inside the caller's transaction. The one that holds a sensor's row of `latest_reading` is alone
with that sensor, so rows known to be new go in by COPY.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from kawamori.domain.calendar import Calendar
from kawamori.domain.reading import FLAGS, Reading, SensorId
from kawamori.storage.binary import Float8s, Int2s, Int4s, Times, copied
from kawamori.storage.database import Connection, query
from kawamori.storage.summaries import LEFT_OUT, recompute_summaries, summary_columns

#: Sensors whose last readings are read at once: what the driver holds of them is several times what is remembered.
_TAILS_TOGETHER = 250
#: Neighbours of late readings are looked for no further away than this.
_REACH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LatestRow:
    """A sensor's row of `latest_reading`: its newest reading, how fast it moves, since when it has not."""

    latest: Reading
    trend_h: float | None
    flat_since: datetime | None


#: A sensor's moment.
Key = tuple[SensorId, datetime]


async def lock_sensors(connection: Connection, sensors: Iterable[SensorId]) -> dict[SensorId, int]:
    """Lock these sensors until the transaction ends, and return the revision of each."""
    cursor = await connection.execute(query("lock_sensors"), {"sensors": Int4s.of(sorted(sensors))}, binary=True)
    return dict(await cursor.fetchall())


async def make_latest(connection: Connection, sensors: Iterable[SensorId]) -> None:
    """Make the rows that `lock_sensors` did not find, for sensors that exist."""
    await connection.execute(query("make_latest"), {"sensors": sorted(sensors)})


async def bump(connection: Connection, sensor: SensorId) -> None:
    """Let every worker read anew what it knows of the sensor."""
    await connection.execute(query("bump_sensor"), {"sensor": sensor})


async def tails(
    connection: Connection, sensors: Sequence[SensorId], limit: int
) -> dict[SensorId, tuple[Reading | None, tuple[Reading, ...], datetime | None]]:
    """Of each sensor the newest reading, the last `limit` within its range, oldest first, and since when it is flat."""
    found: dict[SensorId, tuple[Reading | None, tuple[Reading, ...], datetime | None]] = {}
    for start in range(0, len(sensors), _TAILS_TOGETHER):
        found |= await _some_tails(connection, sensors[start : start + _TAILS_TOGETHER], limit)
    return found


async def _some_tails(
    connection: Connection, sensors: Sequence[SensorId], limit: int
) -> dict[SensorId, tuple[Reading | None, tuple[Reading, ...], datetime | None]]:
    wanted = Int4s.of(sensors)
    newest = await (await connection.execute(query("tails"), {"sensors": wanted}, binary=True)).fetchall()
    recent: dict[SensorId, list[Reading]] = {row[0]: [] for row in newest}
    id_of = {row[0]: row[0] for row in newest}  # one number a sensor, however many of its readings are remembered
    times = [row[1] for row in newest if row[1] is not None]
    if times:
        cursor = await connection.execute(
            query("recent_readings"),
            {"sensors": wanted, "limit": limit, "earliest": min(times) - _REACH, "latest": max(times)},
            binary=True,
        )
        for row in await cursor.fetchall():
            recent[row[0]].append(reading_of((id_of[row[0]], *row[1:])))
    return {row[0]: (None if row[1] is None else reading_of(row[:6]), tuple(recent[row[0]]), row[6]) for row in newest}


def reading_of(row: Sequence[Any]) -> Reading:
    """A row of sensor, observed_at, value, received_at, flag, reasons; where asked for, stated_at and stated too."""
    sensor, at, value, received, flag, reasons, *statement = row
    return Reading(sensor, at, value, received, FLAGS[flag], reasons, *statement)


async def readings_around(
    connection: Connection, spans: Sequence[tuple[SensorId, datetime, datetime]]
) -> list[list[Reading]]:
    """What is stored in each span and next to it, oldest first, in the order of the spans."""
    cursor = await connection.execute(
        query("readings_around"),
        {
            "sensors": Int4s.of([s for s, _, _ in spans]),
            "starts": Times.at([a for _, a, _ in spans]),
            "ends": Times.at([b for _, _, b in spans]),
            "earliest": min(a for _, a, _ in spans) - _REACH,
            "latest": max(b for _, _, b in spans) + _REACH,
        },
        binary=True,
    )
    found: list[list[Reading]] = [[] for _ in spans]
    for row in await cursor.fetchall():
        found[row[0] - 1].append(reading_of(row[1:]))
    return found


async def add_readings(connection: Connection, readings: Sequence[Reading]) -> None:
    """Store rows that are known to be new, sorted by key."""
    if readings:
        async with connection.cursor().copy(query("copy_readings")) as copy:
            await copy.write(copied(readings))


async def change_readings(connection: Connection, changed: Sequence[tuple[Reading, Reading]]) -> None:
    """Change stored rows; only what differs is written, so a tail's rows need no time of arrival."""
    full: list[Reading] = []
    flags: list[Reading] = []
    for before, after in changed:
        same = before._replace(flag=after.flag, reasons=after.reasons) == after
        (flags if same else full).append(after)
    if full:
        values = _judged(full) | {
            "values": Float8s.of([r.value for r in full]),
            "received": Times.at([r.received_at for r in full]),
            "stated_at": Times.at([r.stated_at for r in full]),
            "stated": Float8s.of([r.stated for r in full]),
        }
        await connection.execute(query("change_reading"), values)
    if flags:
        await connection.execute(query("reflag_reading"), _judged(flags))


def keys_of(moments: Collection[Key]) -> dict[str, Any]:
    """The keys of stored rows, and the bounds that let the planner leave out chunks."""
    sensors, times = [s for s, _ in moments], [at for _, at in moments]
    return {"sensors": Int4s.of(sensors), "times": Times.at(times), "earliest": min(times), "latest": max(times)}


def _judged(readings: Sequence[Reading]) -> dict[str, Any]:
    return keys_of([(r.sensor, r.observed_at) for r in readings]) | {
        "flags": Int2s.of([int(r.flag) for r in readings]),
        "reasons": Int2s.of([int(r.reasons) for r in readings]),
    }


class Noted(NamedTuple):
    """What the second look noted of a sensor."""

    sensor: SensorId
    #: Since when its values lie beyond the limits and agree with each other.
    beyond_since: datetime | None = None


async def noteworthy(connection: Connection) -> tuple[list[Noted], datetime]:
    """The sensors that are worth a second look, with what was noted of them; and the time, by the database's clock."""
    rows = await (await connection.execute(query("noteworthy"))).fetchall()
    return [Noted(*row[:2]) for row in rows], rows[0][2] if rows else datetime.min.replace(tzinfo=UTC)


async def newest_readings(
    connection: Connection, sensors: Sequence[SensorId], limit: int
) -> dict[SensorId, list[Reading]]:
    """The newest readings of each sensor, newest first."""
    found: dict[SensorId, list[Reading]] = {}
    if sensors:
        values = {"sensors": Int4s.of(sorted(sensors)), "limit": limit}
        for row in await (await connection.execute(query("newest_readings"), values, binary=True)).fetchall():
            found.setdefault(row[0], []).append(reading_of(row))
    return found


async def newest_times(connection: Connection) -> dict[SensorId, datetime]:
    """When each sensor that was heard of late was last measured."""
    return dict(await (await connection.execute(query("newest_times"))).fetchall())


async def note(connection: Connection, noted: Sequence[Noted]) -> None:
    """Write down what the second look found; the caller holds the sensors' locks."""
    if noted:
        await connection.cursor().executemany(query("note_look"), [one._asdict() for one in noted])


async def reconsider(
    connection: Connection, changed: Sequence[tuple[Reading, Reading]], calendars: Mapping[SensorId, Calendar]
) -> None:
    """Change stored flags and all that follows from them; the caller holds the sensors' locks."""
    await change_readings(connection, changed)
    await connection.cursor().executemany(
        query("reflag_latest"),
        [
            {"sensor": r.sensor, "observed_at": r.observed_at, "flag": int(r.flag), "reasons": int(r.reasons)}
            for _, r in changed
        ],
    )
    await recompute_summaries(connection, changed, calendars)
    await connection.execute(query("feed_changes"), _feed_row([], [after for _, after in changed]))


async def store(
    connection: Connection,
    latest: Sequence[LatestRow],
    added: Sequence[tuple[Sequence[Reading], Calendar]],
    changed: Iterable[Reading],
) -> None:
    """Keep in step with new readings: newest of each sensor, hours and days, and one row of the change feed.

    `added` are each sensor's new readings, oldest first, and how its hours and days are cut; sensors in order of id.
    """
    newest = [row.latest for row in latest]
    await connection.execute(
        query("store"),
        {
            "sensors": Int4s.of([r.sensor for r in newest]), "times": Times.at([r.observed_at for r in newest]),
            "values": Float8s.of([r.value for r in newest]), "flags": Int2s.of([r.flag for r in newest]),
            "reasons": Int2s.of([r.reasons for r in newest]), "received": Times.at([r.received_at for r in newest]),
            "trends": Float8s.of([row.trend_h for row in latest]),
            "flats": Times.at([row.flat_since for row in latest]),
            **summary_columns(added), **_feed_row([line for line, _ in added], changed),
        },
    )  # fmt: skip


def _feed_row(added: Iterable[Sequence[Reading]], changed: Iterable[Reading]) -> dict[str, Any]:
    """The touched sensors, of each the span and the highest value that is new in it."""
    spans: dict[SensorId, tuple[datetime, datetime, float]] = {}
    count = 0
    for line in added:
        if line:
            count += len(line)
            first, last = line[0], line[-1]
            high = max([r.value for r in line if r.flag not in LEFT_OUT], default=-inf)
            spans[first.sensor] = (first.observed_at, last.observed_at, high)
    for r in changed:
        count += 1
        start, end, _ = spans.get(r.sensor, (r.observed_at, r.observed_at, inf))
        spans[r.sensor] = (min(start, r.observed_at), max(end, r.observed_at), inf)
    sensors = sorted(spans)
    return {
        "b_readings": count, "b_sensors": Int4s.of(sensors),
        "b_starts": Times.at([spans[s][0] for s in sensors]), "b_ends": Times.at([spans[s][1] for s in sensors]),
        "b_highs": Float8s.of([spans[s][2] for s in sensors]),
    }  # fmt: skip
