"""What the alert engine reads to judge: readings by span and by page, and what of them was put off."""

from collections.abc import Collection, Sequence
from datetime import datetime

from kawamori.domain.reading import FLAGS, Reading, SensorId, StationId
from kawamori.domain.registry import Registry
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.database import Connection, query

Span = tuple[SensorId, datetime, datetime]


async def rows_to_evaluate(connection: Connection, spans: Sequence[Span]) -> dict[SensorId, list[Reading]]:
    """Each sensor's readings after the start and up to the end of its span, failed ones left out."""
    cursor = await connection.execute(
        query("rows_to_evaluate"),
        {
            "sensors": Int4s.of([s for s, _, _ in spans]),
            "starts": Times.at([a for _, a, _ in spans]),
            "ends": Times.at([b for _, _, b in spans]),
            "earliest": min(a for _, a, _ in spans),
            "latest": max(b for _, _, b in spans),
        },
        binary=True,
    )
    found: dict[SensorId, list[Reading]] = {sensor: [] for sensor, _, _ in spans}
    for sensor, at, value, flag, reasons in await cursor.fetchall():
        found[sensor].append(Reading(sensor, at, value, at, FLAGS[flag], reasons))
    return found


async def page_to_evaluate(
    connection: Connection, sensor: SensorId, after: datetime, until: datetime, limit: int
) -> list[Reading]:
    """A sensor's next readings after a moment, at most `limit`, in order of measurement, failed ones left out."""
    values = {"sensor": sensor, "after": after, "until": until, "limit": limit}
    cursor = await connection.execute(query("page_to_evaluate"), values, binary=True)
    return [
        Reading(sensor, at, value, at, FLAGS[flag], reasons) for at, value, flag, reasons in await cursor.fetchall()
    ]


async def put_off(connection: Connection, sensor: SensorId, since: datetime, until: datetime) -> None:
    """A sensor's late readings of that span are to be judged by pages, beside everything else."""
    await connection.execute(query("put_off"), {"sensor": sensor, "since": since, "until": until})


async def next_late(connection: Connection) -> Span | None:
    """The sensor put off for longest, and the span of its late readings."""
    row = await (await connection.execute(query("next_late"))).fetchone()
    return None if row is None else (SensorId(row[0]), row[1], row[2])


async def late_done(connection: Connection, sensor: SensorId) -> None:
    """A sensor's late readings have been judged."""
    await connection.execute(query("late_done"), {"sensor": sensor})


async def calm_before(connection: Connection, sensor: SensorId, before: datetime, below: float) -> datetime | None:
    """The last reading before a moment that is lower than `below`."""
    row = await (
        await connection.execute(query("calm_before"), {"sensor": sensor, "before": before, "below": below})
    ).fetchone()
    return row[0] if row else None


async def trends(
    connection: Connection, sensors: Sequence[SensorId]
) -> dict[SensorId, tuple[float | None, datetime | None]]:
    """Each sensor's trend in units an hour, and the time of its newest reading."""
    rows = await (await connection.execute(query("trends"), {"sensors": list(sensors)})).fetchall()
    return {sensor: (trend, newest) for sensor, trend, newest in rows}


async def level_names(connection: Connection) -> dict[int, tuple[str, str]]:
    """The levels' names in force now, Japanese and English."""
    rows = await (await connection.execute(query("all_flood_levels"))).fetchall()
    return {r[0]: (r[1], r[2]) for r in rows}


async def values_now(connection: Connection, sensors: Sequence[SensorId]) -> dict[SensorId, tuple[float, datetime]]:
    """The newest values of these sensors, and when they were measured."""
    rows = await connection.execute(query("values_now"), {"sensors": list(sensors)})
    return {sensor: (value, at) for sensor, value, at in await rows.fetchall()}


async def levels_of(
    connection: Connection, registry: Registry, stations: Collection[StationId], since: datetime
) -> dict[StationId, tuple[float, datetime]]:
    """The newest water levels of these stations, and when they were measured; none older than `since`."""
    sensors = [s for s in registry.sensors.values() if s.quantity == "water_level" and s.station in stations]
    values = await values_now(connection, [s.id for s in sensors]) if sensors else {}
    return {s.station: values[s.id] for s in sensors if s.id in values and values[s.id][1] >= since}
