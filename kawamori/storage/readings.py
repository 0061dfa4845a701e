"""Writing readings: lock the sensors, store rows, keep latest, summaries and the change feed in step.

Everything here runs inside the caller's transaction. Whoever holds a sensor's row of `latest_reading` is alone
with that sensor, so rows known to be new go in by COPY.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

from kawamori.domain.reading import FLAGS, Flag, Reading, SensorId, micro
from kawamori.storage.binary import Float8s, Int2s, Int4s, Int8s, Times, copied
from kawamori.storage.database import Connection, query

#: Flags whose value is no part of a summary.
_LEFT_OUT = (Flag.FAIL, Flag.MISSING)
#: Neighbours of late readings are looked for no further away than this.
_REACH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class LatestRow:
    """A sensor's row of `latest_reading`: its newest reading, how fast it moves, since when it has not."""

    latest: Reading
    trend_h: float | None
    flat_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A message that could not be stored, byte for byte."""

    received_at: datetime
    topic: str
    device_id: str | None
    reason: str
    payload: bytes
    gateway_id: str


async def lock_sensors(connection: Connection, sensors: Iterable[SensorId]) -> dict[SensorId, int]:
    """Lock these sensors until the transaction ends, and return the revision of each."""
    cursor = await connection.execute(query("lock_sensors"), {"sensors": Int4s.of(sorted(sensors))}, binary=True)
    return dict(await cursor.fetchall())


async def tails(
    connection: Connection, sensors: Sequence[SensorId], limit: int
) -> dict[SensorId, tuple[Reading | None, tuple[Reading, ...], datetime | None]]:
    """Of each sensor the newest reading, the last `limit` within its range, oldest first, and since when it is flat."""
    wanted = Int4s.of(sensors)
    newest = await (await connection.execute(query("tails"), {"sensors": wanted}, binary=True)).fetchall()
    recent: dict[SensorId, list[Reading]] = {row[0]: [] for row in newest}
    times = [row[1] for row in newest if row[1] is not None]
    if times:
        cursor = await connection.execute(
            query("recent_readings"),
            {"sensors": wanted, "limit": limit, "earliest": min(times) - _REACH, "latest": max(times)},
            binary=True,
        )
        for row in await cursor.fetchall():
            recent[row[0]].append(_reading(row))
    return {row[0]: (None if row[1] is None else _reading(row[:6]), tuple(recent[row[0]]), row[6]) for row in newest}


def _reading(row: Sequence[Any]) -> Reading:
    """A row of sensor, observed_at, value, received_at, flag, reasons."""
    sensor, at, value, received, flag, reasons = row
    return Reading(sensor, at, value, received, FLAGS[flag], reasons)


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
        found[row[0] - 1].append(_reading(row[1:]))
    return found


async def add_readings(connection: Connection, readings: Sequence[Reading]) -> None:
    """Store rows that are known to be new, sorted by key."""
    if readings:
        async with connection.cursor().copy(query("copy_readings")) as copy:
            await copy.write(copied(readings))


async def change_readings(connection: Connection, changed: Sequence[tuple[Reading, Reading]]) -> None:
    """Change stored rows; only what differs is written, so a tail's rows need no time of arrival."""
    full: list[dict[str, Any]] = []
    flags: list[dict[str, Any]] = []
    for before, after in changed:
        row = {
            "sensor": after.sensor,
            "observed_at": after.observed_at,
            "value": after.value,
            "flag": int(after.flag),
            "reasons": int(after.reasons),
            "received_at": after.received_at,
        }
        same = before.value == after.value and before.received_at == after.received_at
        (flags if same else full).append(row)
    cursor = connection.cursor()
    if full:
        await cursor.executemany(query("change_reading"), full)
    if flags:
        await cursor.executemany(query("reflag_reading"), flags)


async def keep_revisions(connection: Connection, outvoted: Sequence[Reading]) -> None:
    """Remember values that gave way."""
    if outvoted:
        await connection.cursor().executemany(
            query("keep_revision"),
            [{"sensor": r.sensor, "observed_at": r.observed_at, "value": r.value} for r in outvoted],
        )


async def save_latest(connection: Connection, rows: Sequence[LatestRow]) -> None:
    """Store each sensor's newest reading."""
    readings = [row.latest for row in rows]
    await connection.execute(
        query("save_latest"),
        {
            "sensors": Int4s.of([r.sensor for r in readings]), "times": Times.at([r.observed_at for r in readings]),
            "values": Float8s.of([r.value for r in readings]), "flags": Int2s.of([r.flag for r in readings]),
            "reasons": Int2s.of([r.reasons for r in readings]),
            "received": Times.at([r.received_at for r in readings]),
            "trends": Float8s.of([row.trend_h for row in rows]), "flats": Times.at([row.flat_since for row in rows]),
        },
    )  # fmt: skip


_HOUR = timedelta(hours=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UTC = ZoneInfo("UTC")


def hour_of(at: datetime) -> datetime:
    """The hour's beginning."""
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Midnight before and midnight after, in that zone."""
    midnight = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight, midnight + timedelta(days=1)


async def add_to_summaries(
    connection: Connection, readings: Sequence[Reading], zones: dict[SensorId, ZoneInfo]
) -> None:
    """Add new rows, sorted by key, to their hours and days."""
    hours: list[list[Any]] = []
    days: list[list[Any]] = []
    zone = _UTC
    sensor: SensorId | None = None
    hour_ends = day = day_ends = _NEVER
    for r in readings:
        if r.flag in _LEFT_OUT:
            continue
        at = r.observed_at
        if new_sensor := r.sensor != sensor:
            sensor = r.sensor
            if zones[sensor] is not zone:
                zone, day_ends = zones[sensor], _NEVER
        if new_sensor or at >= hour_ends:
            hour = hour_of(at)
            hour_ends = hour + _HOUR
            hours.append([sensor, hour, 0, 0, inf, -inf])
        if new_day := not day <= at < day_ends:
            day, day_ends = day_of(at, zone)
        if new_sensor or new_day:
            days.append([sensor, day, 0, 0, inf, -inf])
        value, exact = r.value, micro(r.value)
        for entry in (hours[-1], days[-1]):
            entry[2] += 1
            entry[3] += exact
            entry[4] = min(entry[4], value)
            entry[5] = max(entry[5], value)
    if hours:
        await connection.execute(query("add_to_summaries"), {**_columns("h", hours), **_columns("d", days)})


def _columns(table: str, rows: list[list[Any]]) -> dict[str, bytes]:
    sensors, buckets, ns, sums, mins, maxs = zip(*rows, strict=True)
    return {
        f"{table}_sensors": Int4s.of(sensors), f"{table}_buckets": Times.at(buckets), f"{table}_ns": Int4s.of(ns),
        f"{table}_sums": Int8s.of(sums), f"{table}_mins": Float8s.of(mins), f"{table}_maxs": Float8s.of(maxs),
    }  # fmt: skip


async def recompute_summaries(
    connection: Connection, changed: Sequence[tuple[Reading, Reading]], zones: dict[SensorId, ZoneInfo]
) -> None:
    """Make anew the hours and days in which a stored row's part in the summary changed."""
    hours, days = set(), set()
    for before, after in changed:
        if before.value == after.value and (before.flag in _LEFT_OUT) == (after.flag in _LEFT_OUT):
            continue
        hour = hour_of(after.observed_at)
        hours.add((after.sensor, hour, hour + timedelta(hours=1)))
        days.add((after.sensor, *day_of(after.observed_at, zones[after.sensor])))
    for name, wanted in (("recompute_hours", hours), ("recompute_days", days)):
        if wanted:
            rows = sorted(wanted)
            await connection.execute(
                query(name),
                {"sensors": [r[0] for r in rows], "buckets": [r[1] for r in rows], "stops": [r[2] for r in rows]},
            )


async def record_batch(connection: Connection, added: Sequence[Reading], changed: Sequence[Reading]) -> None:
    """One row of the change feed for what this transaction did, and a wake-up for the followers."""
    spans: dict[SensorId, list[Any]] = {}
    for readings, fixed in ((added, None), (changed, inf)):
        for r in readings:
            high = fixed or (-inf if r.flag in _LEFT_OUT else r.value)
            span = spans.get(r.sensor)
            if span is None:
                spans[r.sensor] = [r.observed_at, r.observed_at, high]
                continue
            if r.observed_at < span[0]:
                span[0] = r.observed_at
            elif r.observed_at > span[1]:
                span[1] = r.observed_at
            if high > span[2]:
                span[2] = high
    sensors = sorted(spans)
    await connection.execute(
        query("record_batch"),
        {
            "readings": len(added) + len(changed), "sensors": Int4s.of(sensors),
            "starts": Times.at([spans[s][0] for s in sensors]), "ends": Times.at([spans[s][1] for s in sensors]),
            "highs": Float8s.of([spans[s][2] for s in sensors]),
        },
    )  # fmt: skip


def _storable(text: str) -> str:
    """Quarantine takes everything: no NUL, which PostgreSQL refuses, and no more than its index can hold."""
    return text.replace("\0", "\ufffd")[:500]


async def quarantine(connection: Connection, messages: Sequence[Quarantined]) -> None:
    """Keep what could not be stored; a message that comes again changes nothing."""
    if messages:
        await connection.cursor().executemany(
            query("quarantine"),
            [
                {
                    "received_at": m.received_at, "topic": _storable(m.topic),
                    "device_id": m.device_id and _storable(m.device_id), "reason": _storable(m.reason),
                    "payload": m.payload, "gateway_id": m.gateway_id,
                }
                for m in messages
            ],
        )  # fmt: skip


async def save_statuses(connection: Connection, statuses: Sequence[tuple[str, datetime, bytes]]) -> None:
    """Keep the newest status of each device: (device, received_at, JSON)."""
    if statuses:
        newest = {device: (device, at, status) for device, at, status in sorted(statuses, key=lambda s: s[1])}
        await connection.cursor().executemany(
            query("save_status"),
            [
                {"device_id": d, "received_at": at, "status": status.decode()}
                for d, at, status in sorted(newest.values())
            ],
        )
