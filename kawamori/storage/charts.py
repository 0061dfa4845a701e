"""Read models of the charts: readings and their summaries, at a resolution that a chart can show."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from kawamori.domain.calendar import Calendar, hour_of
from kawamori.domain.registry import Sensor
from kawamori.storage.database import Database

#: What a chart can show and a phone can load.
CHART_POINTS = 2000
#: Counting raw readings over more time than this would visit too many chunks.
_RAW_SPAN = timedelta(days=92)


class Resolution(StrEnum):
    """How fine a history is; `auto` is replaced by what fits a chart."""

    AUTO = "auto"
    RAW = "raw"
    TEN_MINUTES = "10min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


_QUERY = {
    Resolution.RAW: "raw_readings",
    Resolution.TEN_MINUTES: "ten_minute_readings",
    Resolution.HOUR: "hourly_readings",
    Resolution.DAY: "daily_readings",
    Resolution.WEEK: "weekly_readings",
}


def bucket_start(at: datetime, resolution: Resolution, time_zone: str) -> datetime:
    """The start of the bucket that holds `at`; for raw readings `at` itself."""
    if resolution is Resolution.TEN_MINUTES:
        beyond = (at.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta(0)) % timedelta(minutes=10)
        local = at.astimezone(UTC) + beyond
        start = local - timedelta(minutes=local.minute % 10, seconds=local.second, microseconds=local.microsecond)
        return start - beyond
    if resolution is Resolution.HOUR:
        return hour_of(at.astimezone(UTC), ZoneInfo(time_zone))
    if resolution in (Resolution.DAY, Resolution.WEEK):
        local = at.astimezone(ZoneInfo(time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        if resolution is Resolution.WEEK:
            local -= timedelta(days=local.weekday())
        return local.astimezone(UTC)
    return at


async def choose_resolution(
    database: Database, sensor: Sensor, start: datetime, end: datetime, kept_from: datetime | None = None
) -> Resolution:
    """The finest resolution with no more points than a chart can show; before `kept_from` only summaries are left."""
    bounds = {"sensor": sensor.id, "start": start, "end": end, "limit": CHART_POINTS + 1}
    span = end - start
    raw_is_kept = kept_from is None or kept_from <= start
    if raw_is_kept and span <= _RAW_SPAN and (await database.fetch("count_raw_readings", bounds))[0][0] <= CHART_POINTS:
        return Resolution.RAW
    if raw_is_kept and span <= (CHART_POINTS - 1) * timedelta(minutes=10):
        return Resolution.TEN_MINUTES
    bounds["start"] = bucket_start(start, Resolution.HOUR, sensor.time_zone)
    if (await database.fetch("count_hourly_readings", bounds))[0][0] <= CHART_POINTS:
        return Resolution.HOUR
    return Resolution.DAY if span <= timedelta(days=CHART_POINTS - 1) else Resolution.WEEK


async def readings_page(
    database: Database, sensor: Sensor, resolution: Resolution, start: datetime, end: datetime, limit: int
) -> list[tuple[Any, ...]]:
    """Up to `limit` points from `start` (its whole bucket) until before `end` (its whole bucket), oldest first.

    Raw: (time, value, flag, reasons, what the device stated where a person corrected it). Summaries: (time, min, mean,
    max, n, sum); amounts count for the bucket that they fell in, so that one stamped 10:00 counts before ten.
    """
    start = bucket_start(start, resolution, sensor.time_zone)
    if resolution in (Resolution.TEN_MINUTES, Resolution.WEEK):
        end = next_bucket(
            bucket_start(end - timedelta(microseconds=1), resolution, sensor.time_zone), resolution, sensor
        )
    return await database.fetch(
        _QUERY[resolution],
        {
            "sensor": sensor.id,
            "start": start,
            "end": end,
            "limit": limit,
            "time_zone": sensor.time_zone,
            "shift": Calendar(ZoneInfo(sensor.time_zone), sensor.is_amount).shift,
        },
    )


def expected_readings(start: datetime, resolution: Resolution, sensor: Sensor) -> int:
    """How many readings a whole bucket holds where none is missing, by the sensor's slower interval."""
    length = next_bucket(start, resolution, sensor) - start
    return max(1, length // max(sensor.report_every, sensor.report_every_low or sensor.report_every))


def next_bucket(start: datetime, resolution: Resolution, sensor: Sensor) -> datetime:
    """Where the bucket after the one that starts at `start` starts; for raw readings the next microsecond."""
    if resolution is Resolution.RAW:
        return start + timedelta(microseconds=1)
    if resolution in (Resolution.DAY, Resolution.WEEK):
        days = 7 if resolution is Resolution.WEEK else 1
        local = start.astimezone(ZoneInfo(sensor.time_zone)) + timedelta(days=days)
        return local.astimezone(UTC)
    return start + (timedelta(hours=1) if resolution is Resolution.HOUR else timedelta(minutes=10))
