"""Summaries of hours and days: what new readings add to them, and made anew where stored ones changed.

Everything here runs inside the caller's transaction, which holds the sensors' locks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kawamori.domain.calendar import TICK, Calendar, day_of, hour_span
from kawamori.domain.reading import MICRO, Flag, Reading, SensorId
from kawamori.storage.binary import Float8s, Int4s, Int8s, Times
from kawamori.storage.database import Connection, query

#: Flags whose value is no part of a summary.
LEFT_OUT = (Flag.FAIL, Flag.MISSING)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UTC = ZoneInfo("UTC")


class _Span(NamedTuple):
    """An hour or a day: its name, its first moment, and the first one after it."""

    name: datetime
    start: datetime
    stop: datetime


_NO_SPAN = _Span(_NEVER, _NEVER, _NEVER)


def summary_columns(added: Iterable[tuple[Sequence[Reading], Calendar]]) -> dict[str, bytes]:
    """Return what new rows, oldest first of each sensor, add to their hours and days, as the query `store` takes it."""
    hours: list[tuple[Any, ...]] = []
    days: list[tuple[Any, ...]] = []
    zone, hour, day = _UTC, _NO_SPAN, _NO_SPAN  # most readings of a commit are of the same hour
    for readings, calendar in added:
        line = [r for r in readings if r.flag not in LEFT_OUT]
        if not line:
            continue
        sensor, times = line[0].sensor, [r.observed_at for r in line]
        if calendar.at_end:
            times = [at - TICK for at in times]
        values = [r.value for r in line]
        exact = [round(value * MICRO) for value in values]
        if calendar.zone is not zone:
            zone, hour, day = calendar.zone, _NO_SPAN, _NO_SPAN
        if hour.start <= times[0] and times[-1] < hour.stop and day.start <= times[0] and times[-1] < day.stop:
            total = _sums(values, exact, 0, len(line))
            hours.append((sensor, hour.name, *total))
            days.append((sensor, day.name, *total))
            continue
        start = 0
        while start < len(line):
            if not hour.start <= times[start] < hour.stop:
                hour = _Span(*hour_span(times[start], zone))
            stop = bisect_left(times, hour.stop, start)
            hours.append((sensor, hour.name, *_sums(values, exact, start, stop)))
            start = stop
        start = 0
        while start < len(line):
            if not day.start <= times[start] < day.stop:
                midnight, next_midnight = day_of(times[start], zone)
                day = _Span(midnight, midnight, next_midnight)
            stop = bisect_left(times, day.stop, start)
            days.append((sensor, day.name, *_sums(values, exact, start, stop)))
            start = stop
    return {**_columns("h", hours), **_columns("d", days)}


def _sums(values: list[float], exact: list[int], start: int, stop: int) -> tuple[int, int, float, float]:
    """Count, sum, least and largest of a part of the values."""
    if stop - start == 1:
        return 1, exact[start], values[start], values[start]
    part = values[start:stop]
    return stop - start, sum(exact[start:stop]), min(part), max(part)


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
