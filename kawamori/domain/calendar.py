"""How a station's clock cuts time into hours and days, for summaries."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

#: The finest time that is stored.
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


class Calendar(NamedTuple):
    """How a sensor's hours and days are cut: by the station's clock."""

    zone: ZoneInfo
    #: Its values are amounts of the period that ends at their time: what is stamped 10:00 fell before ten.
    at_end: bool = False

    @property
    def shift(self) -> timedelta:
        """What a time is moved by so that it lies in the bucket that it counts for."""
        return TICK if self.at_end else timedelta(0)


@cache
def _by_whole_hours(zone: ZoneInfo) -> bool:
    """Whether the zone's hours are those of UTC, in every month that readings may be of: asking for each is slow."""
    months = (datetime(year, month, 1, tzinfo=UTC) for year in range(1990, 2060) for month in range(1, 13))
    return all((at.astimezone(zone).utcoffset() or timedelta(0)) % HOUR == timedelta(0) for at in months)


def hour_of(at: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the hour by the clock of that zone, in UTC; zones may be off by 30 or 45 minutes.

    The same as PostgreSQL's date_trunc('hour', at, zone): by the offset that holds at `at`. Where a clock is set by
    less than an hour, the hour before and the one after begin at different times, and only a part of them exists.
    """
    if _by_whole_hours(zone):
        return at.replace(minute=0, second=0, microsecond=0)
    beyond = (at.astimezone(zone).utcoffset() or timedelta(0)) % HOUR
    return (at + beyond).replace(minute=0, second=0, microsecond=0) - beyond


def hour_span(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, datetime]:
    """The hour's name (`hour_of`), its first moment, and the first one after it."""
    hour = hour_of(at, zone)
    start, stop = hour, hour + HOUR
    if hour_of(start, zone) != hour:  # the clock was set since then, and before `at`
        start = _set_between(start, at, zone)
    if hour_of(stop - TICK, zone) != hour:
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
