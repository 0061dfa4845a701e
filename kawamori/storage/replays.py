"""Replays of recorded files: registered beside the real stations, and removed again exactly."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

from kawamori.domain.calendar import Calendar
from kawamori.domain.reading import FLAGS, Flag, Reading, SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import StorageRefused
from kawamori.storage import readings as rows
from kawamori.storage.audit import note
from kawamori.storage.database import Connection, Database, query
from kawamori.storage.registration import register_in
from kawamori.storage.registry import StationPlan
from kawamori.storage.summaries import recompute_summaries

#: The recording's last moment belongs to the deployment.
_MOMENT = timedelta(microseconds=1)
#: The alert engine follows a removal within a second; it may be away for longer.
_ENGINE_FOLLOWS = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A replay that stands."""

    id: int
    #: How far the file's times were moved.
    shift: timedelta


@dataclass(slots=True, kw_only=True)
class Gone:
    """What was taken off."""

    readings: int = 0
    stations_gone: list[str] = field(default_factory=list)
    stations_kept: list[str] = field(default_factory=list)


async def begin(
    database: Database, plans: Sequence[StationPlan], *, last: Mapping[str, datetime], digest: bytes, file: str,
    shift: timedelta, who: str,
) -> list[str]:  # fmt: skip
    """Register what a replay needs, in one transaction, and write down that it is played.

    Stations that are registered stay as they are, apart from the replay's own device: their ids are returned. `last` is
    each station's last row. Raises StorageUnavailable, StorageRefused.
    """
    async with database.transaction() as connection:
        cursor = await connection.execute(
            query("registered_stations"), {"stations": sorted({plan.station_id for plan in plans})}
        )
        known = {row[0] for row in await cursor.fetchall()}
        cursor = await connection.execute(
            query("put_replay"), {"digest": digest, "file": file, "shift": shift, "who": who}
        )
        ((replay_id,),) = await cursor.fetchall()
        await register_in(connection, [plan for plan in plans if plan.station_id not in known], who=who)
        for plan in plans:
            made = plan.station_id not in known
            for sensor in plan.sensors:
                await _deploy(connection, plan, last[plan.station_id])
                await connection.execute(
                    query("put_replay_station"),
                    {
                        "replay_id": replay_id, "station_id": plan.station_id, "device_id": sensor.device_id,
                        "quantity": sensor.quantity, "made": made,
                    },
                )  # fmt: skip
        await note(connection, subject="replay", subject_id=str(replay_id), event="played", who=who,
                   detail={"file": file, "stations": len(plans)})  # fmt: skip
    return sorted(known)


async def _deploy(connection: Connection, plan: StationPlan, last: datetime) -> None:
    """Let the replay's device measure for its sensor while the recording lasts."""
    (sensor,) = plan.sensors
    cursor = await connection.execute(
        query("replay_sensor"),
        {"station_id": plan.station_id, "quantity": sensor.quantity, "report_every": sensor.report_every},
    )
    ((sensor_id,),) = await cursor.fetchall()
    await connection.execute(query("replay_device"), {"device_id": sensor.device_id})
    await connection.execute(
        query("put_replay_deployment"),
        {
            "device_id": sensor.device_id, "quantity": sensor.reports or sensor.quantity, "sensor_id": sensor_id,
            "first": sensor.valid_from, "last": last + _MOMENT,
        },
    )  # fmt: skip


async def last_of(database: Database, digest: bytes) -> Played | None:
    """The newest replay of a file with this SHA-256 that stands."""
    found = await database.fetch("last_replay", {"digest": digest})
    return Played(id=found[0][0], shift=found[0][1]) if found else None


async def remove(
    database: Database, registry: Registry, played: Played, readings: Mapping[str, Sequence[tuple[datetime, float]]], *,
    who: str,
) -> Gone:  # fmt: skip
    """Take off these readings (time and value, by station), one transaction a station, then stations nobody needs.

    Alerts follow by the change feed; a station that an alert names stays registered. Raises StorageUnavailable: called
    again, it goes on where it stopped.
    """
    gone = Gone()
    stations = await database.fetch("replay_stations", {"replay_id": played.id})
    for station, _, _, sensor in stations:
        async with database.transaction() as connection:
            gone.readings += await _take_off(connection, registry, sensor, readings.get(station, ()))
    async with database.transaction() as connection:
        await connection.execute(query("end_replay"), {"replay_id": played.id, "who": who})
        for _, device, _, _ in stations:
            await connection.execute(query("forget_replay_device"), {"device_id": device})
        await note(connection, subject="replay", subject_id=str(played.id), event="removed", who=who,
                   detail={"readings": gone.readings})  # fmt: skip
    deadline = asyncio.get_running_loop().time() + _ENGINE_FOLLOWS.total_seconds()
    for station in [station for station, _, made, _ in stations if made]:
        forgotten = await _forget(database, station)
        while not forgotten and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)  # its alerts go when the engine has followed
            forgotten = await _forget(database, station)
        (gone.stations_gone if forgotten else gone.stations_kept).append(station)
    return gone


async def _take_off(
    connection: Connection, registry: Registry, sensor: SensorId, played: Sequence[tuple[datetime, float]]
) -> int:
    if not played:
        return 0
    await rows.lock_sensors(connection, [sensor])
    times, values = [at for at, _ in played], [round(value, 9) for _, value in played]
    cursor = await connection.execute(
        query("take_off_readings"),
        {"sensor": sensor, "times": times, "values": values, "first": min(times), "last": max(times)},
    )
    removed = [Reading(r[0], r[1], r[2], r[3], FLAGS[r[4]], r[5]) for r in await cursor.fetchall()]
    if not removed:
        return 0
    known = registry.sensors[sensor]
    calendar = Calendar(ZoneInfo(known.time_zone), known.is_amount)
    # A row that is gone has no more part in its hour and day than one that failed.
    await recompute_summaries(connection, [(r, r._replace(flag=Flag.FAIL)) for r in removed], {sensor: calendar})
    taken = [r.observed_at for r in removed]
    await connection.execute(query("forget_revisions"), {"sensor": sensor, "times": taken})
    await connection.execute(query("settle_latest"), {"sensor": sensor, "earliest": min(taken) - timedelta(days=3653)})
    await connection.execute(
        query("note_removal"),
        {"readings": len(removed), "sensors": [sensor], "starts": [min(taken)], "ends": [max(taken)], "highs": [inf]},
    )
    await connection.execute("SELECT pg_notify('kawamori_batch', '')")
    return len(removed)


async def _forget(database: Database, station: str) -> bool:
    """Unregister a station that nothing needs any more; False while something does."""
    try:
        async with database.transaction() as connection:
            cursor = await connection.execute(query("is_left_alone"), {"station_id": station})
            ((left_alone,),) = await cursor.fetchall()
            if left_alone:
                await connection.execute(query("forget_station"), {"station_id": station})
            return bool(left_alone)
    except StorageRefused:  # something new refers to it
        return False
