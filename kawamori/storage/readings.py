"""Writing readings: lock the sensors, store rows, keep latest, summaries and the change feed in step.

Everything here runs inside the caller's transaction. Whoever holds a sensor's row of `latest_reading` is alone
with that sensor, so rows known to be new go in by COPY.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from kawamori.domain.reading import Flag, Reading, Reason, SensorId, micro
from kawamori.storage.database import Connection, query

#: Flags whose value is no part of a summary.
_LEFT_OUT = (Flag.FAIL, Flag.MISSING)


@dataclass(frozen=True, slots=True)
class TailRow:
    """A sensor's row of `latest_reading`."""

    sensor: SensorId
    latest: Reading | None
    recent: tuple[Reading, ...]
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


async def lock_tails(connection: Connection, sensors: Iterable[SensorId]) -> dict[SensorId, TailRow]:
    """Lock these sensors until the transaction ends, and return what is newest of each."""
    cursor = await connection.execute(query("lock_tails"), {"sensors": sorted(sensors)}, binary=True)
    tails = {}
    async for sensor, at, value, flag, reasons, received, since, times, values, flags, whys in cursor:
        latest = (
            None
            if at is None
            else Reading(
                sensor=sensor,
                observed_at=at,
                value=value,
                received_at=received,
                flag=Flag(flag),
                reasons=Reason(reasons),
            )
        )
        recent = tuple(
            Reading(sensor=sensor, observed_at=t, value=v, received_at=t, flag=Flag(f), reasons=Reason(w))
            for t, v, f, w in zip(times, values, flags, whys, strict=True)
        )
        tails[sensor] = TailRow(sensor, latest, recent, since)
    return tails


async def readings_around(
    connection: Connection, spans: Sequence[tuple[SensorId, datetime, datetime]]
) -> list[list[Reading]]:
    """What is stored in each span and next to it, oldest first, in the order of the spans."""
    cursor = await connection.execute(
        query("readings_around"),
        {"sensors": [s for s, _, _ in spans], "starts": [a for _, a, _ in spans], "ends": [b for _, _, b in spans]},
        binary=True,
    )
    found: list[list[Reading]] = [[] for _ in spans]
    for i, sensor, at, value, flag, reasons, received in await cursor.fetchall():
        found[i - 1].append(
            Reading(
                sensor=sensor,
                observed_at=at,
                value=value,
                received_at=received,
                flag=Flag(flag),
                reasons=Reason(reasons),
            )
        )
    return found


async def add_readings(connection: Connection, readings: Sequence[Reading]) -> None:
    """Store rows that are known to be new, sorted by key."""
    if not readings:
        return
    cursor = connection.cursor()
    async with cursor.copy(query("copy_readings")) as copy:
        copy.set_types(["int4", "timestamptz", "float8", "int2", "int2", "timestamptz"])
        for r in sorted(readings, key=lambda r: (r.sensor, r.observed_at)):
            await copy.write_row((r.sensor, r.observed_at, r.value, int(r.flag), int(r.reasons), r.received_at))


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


async def save_tails(connection: Connection, tails: Sequence[tuple[TailRow, float | None]]) -> None:
    """Store each sensor's newest reading, tail and trend."""
    rows: list[dict[str, Any]] = [
        {
            "sensor": tail.sensor,
            "observed_at": tail.latest.observed_at, "value": tail.latest.value, "flag": int(tail.latest.flag),
            "reasons": int(tail.latest.reasons), "received_at": tail.latest.received_at, "trend_h": trend,
            "flat_since": tail.flat_since,
            "tail_times": [r.observed_at for r in tail.recent], "tail_values": [r.value for r in tail.recent],
            "tail_flags": [int(r.flag) for r in tail.recent], "tail_reasons": [int(r.reasons) for r in tail.recent],
        }
        for tail, trend in tails
        if tail.latest is not None
    ]  # fmt: skip
    if rows:
        await connection.cursor().executemany(query("save_tail"), rows)


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
    """Add new rows to their hours and days."""
    hours: dict[tuple[SensorId, datetime], list[Any]] = {}
    days: dict[tuple[SensorId, datetime], list[Any]] = {}
    for r in readings:
        if r.flag in _LEFT_OUT:
            continue
        value, exact = r.value, micro(r.value)
        for table, bucket in ((hours, hour_of(r.observed_at)), (days, day_of(r.observed_at, zones[r.sensor])[0])):
            entry = table.get((r.sensor, bucket))
            if entry is None:
                table[r.sensor, bucket] = [1, exact, value, value]
            else:
                entry[0] += 1
                entry[1] += exact
                entry[2] = min(entry[2], value)
                entry[3] = max(entry[3], value)
    for name, table in (("add_to_hours", hours), ("add_to_days", days)):
        if table:
            rows = sorted(table.items())
            await connection.execute(
                query(name),
                {
                    "sensors": [k[0] for k, _ in rows], "buckets": [k[1] for k, _ in rows],
                    "ns": [v[0] for _, v in rows], "sums": [v[1] for _, v in rows],
                    "mins": [v[2] for _, v in rows], "maxs": [v[3] for _, v in rows],
                },
            )  # fmt: skip


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


async def record_batch(connection: Connection, touched: Sequence[Reading]) -> None:
    """One row of the change feed for what this transaction added or changed, and a wake-up for the followers."""
    spans: dict[SensorId, tuple[datetime, datetime]] = {}
    for r in touched:
        start, end = spans.get(r.sensor, (r.observed_at, r.observed_at))
        spans[r.sensor] = (min(start, r.observed_at), max(end, r.observed_at))
    rows = sorted(spans.items())
    await connection.execute(
        query("record_batch"),
        {
            "readings": len(touched), "sensors": [s for s, _ in rows], "starts": [a for _, (a, _) in rows],
            "ends": [b for _, (_, b) in rows],
        },
    )  # fmt: skip
    await connection.execute(query("wake_followers"))


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
