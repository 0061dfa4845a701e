"""Summaries of hours and days: what new readings add to them, and made anew where stored ones changed.

Everything here runs inside the caller's transaction, which holds the sensors' locks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from kawamori.domain.calendar import HOUR, TICK, Calendar, day_of, hour_of, hour_span
from kawamori.domain.reading import MICRO, Flag, Reading, SensorId
from kawamori.storage.binary import Float8s, Int4s, Int8s, Times
from kawamori.storage.database import Connection, query

#: Flags whose value is no part of a summary.
LEFT_OUT = (Flag.FAIL, Flag.MISSING)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UTC = ZoneInfo("UTC")


def summary_columns(added: Iterable[tuple[Sequence[Reading], Calendar]]) -> dict[str, bytes]:
    """Return what new rows, oldest first of each sensor, add to their hours and days, as the query `store` takes it."""
    hours: list[tuple[Any, ...]] = []
    days: list[tuple[Any, ...]] = []
    zone, day, day_ends = _UTC, _NEVER, _NEVER
    for readings, calendar in added:
        line = [r for r in readings if r.flag not in LEFT_OUT]
        if not line:
            continue
        sensor, times = line[0].sensor, [r.observed_at for r in line]
        if calendar.at_end:
            times = [at - TICK for at in times]
        values = [r.value for r in line]
        exact = [round(value * MICRO) for value in values]
        start = 0
        while start < len(line):
            hour = hour_of(times[start], calendar.zone)
            stop = bisect_left(times, hour + HOUR, start)
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
        if before.value == after.value and (before.flag in LEFT_OUT) == (after.flag in LEFT_OUT):
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
