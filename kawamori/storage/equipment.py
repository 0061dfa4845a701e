"""What is known now of sensors, devices and gateways, for the rules that judge equipment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kawamori.domain.reading import SensorId
from kawamori.domain.rules import GatewayFacts
from kawamori.storage.database import Connection, query


class Doubts(NamedTuple):
    """How many of a sensor's readings left the water and came back, are disputed, and look like a counter's totals."""

    spikes: int = 0
    disputed: int = 0
    counting: int = 0


async def doubts_since(connection: Connection, since: datetime, now: datetime) -> dict[SensorId, Doubts]:
    """What each sensor's readings of that time are in doubt for, where it is told when they are many."""
    rows = await (await connection.execute(query("recent_doubts"), {"since": since, "now": now})).fetchall()
    return {row[0]: Doubts(*row[1:]) for row in rows}


async def refused_clocks(connection: Connection, since: datetime) -> dict[str, tuple[datetime, str]]:
    """When a message of each device was last refused because of its time, by our own clock, and the reason."""
    rows = await (await connection.execute(query("refused_clocks"), {"since": since})).fetchall()
    return {device: (at, reason) for device, at, reason in rows}


async def recent_arrivals(
    connection: Connection, sensors: Sequence[SensorId], last: int
) -> dict[SensorId, list[tuple[datetime, datetime]]]:
    """Of each sensor when its last readings were measured and when they came, in order of measurement."""
    found: dict[SensorId, list[tuple[datetime, datetime]]] = {}
    if sensors:
        rows = await connection.execute(query("recent_arrivals"), {"sensors": list(sensors), "last": last})
        for sensor, at, came in await rows.fetchall():
            found.setdefault(sensor, []).append((at, came))
    return found


async def jumping(connection: Connection, since: datetime, now: datetime, least: int) -> list[SensorId]:
    """Sensors of which at least so many readings since a moment were doubted for a jump."""
    rows = await connection.execute(query("jumping"), {"since": since, "now": now, "least": least})
    return [SensorId(sensor) for (sensor,) in await rows.fetchall()]


async def values_since(
    connection: Connection, sensors: Sequence[SensorId], since: datetime, now: datetime
) -> dict[SensorId, list[tuple[datetime, float]]]:
    """What these sensors sent since a moment, failed readings too, in order of measurement."""
    found: dict[SensorId, list[tuple[datetime, float]]] = {}
    if sensors:
        values = {"sensors": list(sensors), "since": since, "now": now}
        for sensor, at, value in await (await connection.execute(query("values_since"), values)).fetchall():
            found.setdefault(sensor, []).append((at, value))
    return found


async def sensor_facts(connection: Connection) -> list[tuple[Any, ...]]:
    """Of every sensor (id, observed_at, received_at, value, flag, trend_h, flat_since, device, the device's status, the
    seconds that its gateway's clock is ahead of ours).
    """
    return await (await connection.execute(query("sensor_facts"))).fetchall()


async def ingest_is_there(connection: Connection) -> bool:
    """Whether an ingest says that it is there and has been for a minute; also where none ever said anything."""
    row = await (await connection.execute(query("ingest_is_there"))).fetchone()
    return row is not None and bool(row[0])


async def gateway_facts(connection: Connection) -> list[GatewayFacts]:
    """What is known now of every gateway."""
    rows = await (await connection.execute(query("gateway_facts"))).fetchall()
    return [GatewayFacts(gateway_id=r[0], seen_at=r[1], backlog=r[2], clock_off_s=r[3]) for r in rows]
