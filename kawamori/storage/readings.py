"""Writing readings: lock the sensors, store rows, keep latest, summaries and the change feed in step.

Everything here runs inside the caller's transaction. Whoever holds a sensor's row of `latest_reading` is alone
with that sensor, so rows known to be new go in by COPY.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from math import inf
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kawamori.domain.counter import Total
from kawamori.domain.freshness import GATEWAY_SILENT_AFTER
from kawamori.domain.reading import FLAGS, MICRO, Flag, Reading, SensorId
from kawamori.domain.statement import Statement
from kawamori.storage.binary import Float8s, Int2s, Int4s, Int8s, Times, copied
from kawamori.storage.database import Connection, query
from kawamori.storage.quarantine import Quarantined, quarantine, unknown_bytes

__all__ = [
    "LatestRow", "Quarantined", "add_readings", "change_readings", "day_of", "hour_of", "keep_revisions",
    "lock_sensors", "make_latest", "quarantine", "readings_around", "recompute_summaries", "save_statuses",
    "see_clocks", "see_gateways", "see_process", "see_unknown_gateways", "store", "tails", "unknown_bytes",
]  # fmt: skip

#: Flags whose value is no part of a summary.
_LEFT_OUT = (Flag.FAIL, Flag.MISSING)
#: Neighbours of late readings are looked for no further away than this.
_REACH = timedelta(days=30)


_TICK = timedelta(microseconds=1)


class Calendar(NamedTuple):
    """How a sensor's hours and days are cut: by the station's clock."""

    zone: ZoneInfo
    #: Its values are amounts of the period that ends at their time: what is stamped 10:00 fell before ten.
    at_end: bool = False

    @property
    def shift(self) -> timedelta:
        """What a time is moved by so that it lies in the bucket that it counts for."""
        return _TICK if self.at_end else timedelta(0)


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
        found[row[0] - 1].append(_reading(row[1:]))
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


def _keys(moments: Collection[Key]) -> dict[str, Any]:
    """The keys of stored rows, and the bounds that let the planner leave out chunks."""
    sensors, times = [s for s, _ in moments], [at for _, at in moments]
    return {"sensors": Int4s.of(sensors), "times": Times.at(times), "earliest": min(times), "latest": max(times)}


def _judged(readings: Sequence[Reading]) -> dict[str, Any]:
    return _keys([(r.sensor, r.observed_at) for r in readings]) | {
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
            found.setdefault(row[0], []).append(_reading(row))
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


async def restate_readings(connection: Connection, repeated: Sequence[Reading]) -> None:
    """Note when the statements of stored rows were made once more."""
    if repeated:
        stated = {"stated_at": Times.at([r.stated_at for r in repeated])}
        await connection.execute(
            query("restate_reading"), _keys([(r.sensor, r.observed_at) for r in repeated]) | stated
        )


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
        cursor = await connection.execute(query("readings_at"), _keys(moments), binary=True)
        for row in await cursor.fetchall():
            found.setdefault(row[0], {})[row[1]] = _reading(row)
    return found


async def statements_of(
    connection: Connection, moments: Collection[Key]
) -> tuple[dict[Key, dict[str, Statement]], dict[Key, Reading]]:
    """Of each moment what every device last stated about it, and the reading that stands."""
    values = _keys(moments)
    words: dict[Key, dict[str, Statement]] = {}
    cursor = await connection.execute(query("statements_of"), values, binary=True)
    for sensor, at, device, value, stated_at, disputed in await cursor.fetchall():
        words.setdefault((sensor, at), {})[device] = Statement(value, stated_at, disputed)
    cursor = await connection.execute(query("readings_at"), values, binary=True)
    return words, {(row[0], row[1]): _reading(row) for row in await cursor.fetchall()}


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
            **_summaries(added), **_feed_row([line for line, _ in added], changed),
        },
    )  # fmt: skip


_HOUR = timedelta(hours=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UTC = ZoneInfo("UTC")


@cache
def _by_whole_hours(zone: ZoneInfo) -> bool:
    """Whether the zone's hours are those of UTC, in every month that readings may be of: asking for each is slow."""
    months = (datetime(year, month, 1, tzinfo=UTC) for year in range(1990, 2060) for month in range(1, 13))
    return all((at.astimezone(zone).utcoffset() or timedelta(0)) % _HOUR == timedelta(0) for at in months)


def hour_of(at: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the hour by the clock of that zone, in UTC; zones may be off by 30 or 45 minutes.

    The same as PostgreSQL's date_trunc('hour', at, zone): by the offset that holds at `at`. Where a clock is set by
    less than an hour, the hour before and the one after begin at different times, and only a part of them exists.
    """
    if _by_whole_hours(zone):
        return at.replace(minute=0, second=0, microsecond=0)
    beyond = (at.astimezone(zone).utcoffset() or timedelta(0)) % _HOUR
    return (at + beyond).replace(minute=0, second=0, microsecond=0) - beyond


def hour_span(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, datetime]:
    """The hour's name (`hour_of`), its first moment, and the first one after it."""
    hour = hour_of(at, zone)
    start, stop = hour, hour + _HOUR
    if hour_of(start, zone) != hour:  # the clock was set since then, and before `at`
        start = _set_between(start, at, zone)
    if hour_of(stop - _TICK, zone) != hour:
        stop = _set_between(at, stop, zone)
    return hour, start, stop


def _set_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """When the clock was set; zones do it at full seconds."""
    before = early.astimezone(zone).utcoffset()
    early, late = early.replace(microsecond=0), late.replace(microsecond=0) + timedelta(seconds=1)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // timedelta(seconds=2) * timedelta(seconds=1)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def day_of(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Midnight before and midnight after, in that zone."""
    midnight = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight, midnight + timedelta(days=1)


def _summaries(added: Iterable[tuple[Sequence[Reading], Calendar]]) -> dict[str, bytes]:
    """What new rows add to their hours and days."""
    hours: list[tuple[Any, ...]] = []
    days: list[tuple[Any, ...]] = []
    zone, day, day_ends = _UTC, _NEVER, _NEVER
    for readings, calendar in added:
        line = [r for r in readings if r.flag not in _LEFT_OUT]
        if not line:
            continue
        sensor, times = line[0].sensor, [r.observed_at for r in line]
        if calendar.at_end:
            times = [at - _TICK for at in times]
        values = [r.value for r in line]
        exact = [round(value * MICRO) for value in values]
        start = 0
        while start < len(line):
            hour = hour_of(times[start], calendar.zone)
            stop = bisect_left(times, hour + _HOUR, start)
            if stop - start > 1 and hour_of(times[stop - 1], calendar.zone) != hour:
                stop = bisect_left(times, hour_span(times[start], calendar.zone)[2], start)
            part = values[start:stop]
            hours.append((sensor, hour, stop - start, sum(exact[start:stop]), min(part), max(part)))
            start = stop
        start = 0
        while start < len(line):
            if not day <= times[start] < day_ends or calendar.zone is not zone:
                zone = calendar.zone
                day, day_ends = day_of(times[start], zone)
            stop = bisect_left(times, day_ends, start)
            part = values[start:stop]
            days.append((sensor, day, stop - start, sum(exact[start:stop]), min(part), max(part)))
            start = stop
    return {**_columns("h", hours), **_columns("d", days)}


def _columns(table: str, rows: list[tuple[Any, ...]]) -> dict[str, bytes]:
    sensors, buckets, ns, sums, mins, maxs = zip(*rows, strict=True) if rows else [()] * 6
    return {
        f"{table}_sensors": Int4s.of(sensors), f"{table}_buckets": Times.at(buckets), f"{table}_ns": Int4s.of(ns),
        f"{table}_sums": Int8s.of(sums), f"{table}_mins": Float8s.of(mins), f"{table}_maxs": Float8s.of(maxs),
    }  # fmt: skip


async def recompute_summaries(
    connection: Connection, changed: Sequence[tuple[Reading, Reading]], calendars: Mapping[SensorId, Calendar]
) -> None:
    """Make anew the hours and days in which a stored row's part in the summary changed."""
    hours, days = set(), set()
    for before, after in changed:
        if before.value == after.value and (before.flag in _LEFT_OUT) == (after.flag in _LEFT_OUT):
            continue
        calendar = calendars[after.sensor]
        shift = calendar.shift
        hour, start, stop = hour_span(after.observed_at - shift, calendar.zone)
        hours.add((after.sensor, hour, start + shift, stop + shift))
        day, next_day = day_of(after.observed_at - shift, calendar.zone)
        days.add((after.sensor, day, day + shift, next_day + shift))
    for name, wanted in (("recompute_hours", hours), ("recompute_days", days)):
        if wanted:
            sensors, buckets, starts, stops = zip(*sorted(wanted), strict=True)
            await connection.execute(
                query(name),
                {
                    "sensors": Int4s.of(sensors), "buckets": Times.at(buckets), "starts": Times.at(starts),
                    "stops": Times.at(stops),
                },
            )  # fmt: skip


def _feed_row(added: Iterable[Sequence[Reading]], changed: Iterable[Reading]) -> dict[str, Any]:
    """The touched sensors, of each the span and the highest value that is new in it."""
    spans: dict[SensorId, tuple[datetime, datetime, float]] = {}
    count = 0
    for line in added:
        if line:
            count += len(line)
            high = max([r.value for r in line if r.flag not in _LEFT_OUT], default=-inf)
            spans[line[0].sensor] = (line[0].observed_at, line[-1].observed_at, high)
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


async def see_gateways(connection: Connection, waiting: Mapping[str, int]) -> None:
    """These gateways are there now, and have so many rows still to forward; those not registered are left out."""
    if not waiting:
        return
    ordered = dict(sorted(waiting.items()))  # two workers that meet take the rows in one order
    values = {"gateways": list(ordered), "waiting": list(ordered.values()), "silent": GATEWAY_SILENT_AFTER}
    await connection.execute(query("see_gateways"), values)


async def see_set_aside(connection: Connection, counts: Mapping[str, int]) -> None:
    """So many rows these gateways could not deliver and set aside."""
    if counts:
        ordered = dict(sorted(counts.items()))
        await connection.execute(query("see_set_aside"), {"gateways": list(ordered), "rows": list(ordered.values())})


async def see_clocks(connection: Connection, off_s: Mapping[str, float]) -> None:
    """How many seconds these gateways' clocks are ahead of the database's (negative: behind)."""
    if off_s:
        ordered = dict(sorted(off_s.items()))
        await connection.execute(query("see_clocks"), {"gateways": list(ordered), "offs": list(ordered.values())})


async def see_unknown_gateways(connection: Connection, messages: Mapping[str, int]) -> None:
    """So many messages came from gateways that are not registered; '' stands for what is no name."""
    if messages:
        ordered = dict(sorted(messages.items()))
        values = {"gateways": list(ordered), "counts": list(ordered.values())}
        await connection.execute(query("see_unknown_gateways"), values)


async def see_process(
    connection: Connection, name: str, service: str, ways: Mapping[SensorId, str], committed: Collection[str]
) -> None:
    """This process of the service is there now, committed these gateways' rows, and heard sensors through them."""
    await connection.execute(query("see_process"), {"name": name, "service": service})
    if committed:
        await connection.execute(query("see_commits"), {"gateways": sorted(committed)})
    if ways:
        ordered = dict(sorted(ways.items()))
        values = {"sensors": list(ordered), "gateways": list(ordered.values())}
        await connection.execute(query("see_ways"), values)


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
