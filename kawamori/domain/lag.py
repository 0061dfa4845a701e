"""Is a device's clock behind, by how long after its measurement a reading arrives? Pure.

Late readings are common: devices keep them while the network is away, and some feeds are always late. A clock is at
fault where the newest reading that a device has is late by whole half hours (a time zone with the wrong label), or by
the same days or years again and again (a date that was reset).
"""

from datetime import datetime, timedelta

#: Shorter than this is no time zone, and what a message may take.
LONG = timedelta(minutes=29)
#: Zones differ by whole half hours (the few of 45 minutes are not asked for), by 14 hours at most.
_HALF_HOUR = timedelta(minutes=30)
_WIDEST_ZONE = timedelta(hours=14)
#: From measurement to arrival, beyond the zone's part; a clock may be a little ahead.
_EARLY, _ON_THE_WAY = timedelta(seconds=30), timedelta(seconds=150)
#: A longer lag than this is no zone.
_DAYS = timedelta(hours=26)
#: Lags that differ by no more than this are one.
SAME = timedelta(minutes=3)
#: A device sends the readings that it kept one after the other: none came for so long, so it has no newer one.
SETTLED = timedelta(seconds=15)
#: What arrived longer ago than this is not looked at any more.
_LOOKED_AT = timedelta(hours=2)


def is_whole_half_hours(lag: timedelta) -> bool:
    """Whether a lag is a time zone's difference and the time a message takes."""
    halves = round((lag - _ON_THE_WAY / 2) / _HALF_HOUR)
    rest = lag - halves * _HALF_HOUR
    return 1 <= halves <= _WIDEST_ZONE / _HALF_HOUR and -_EARLY <= rest <= _ON_THE_WAY


def is_clock_behind(
    observed_at: datetime, received_at: datetime, now: datetime, usual_delay: timedelta, lag_since: datetime | None
) -> bool:
    """Whether a sensor's newest reading is so late because its device's clock is wrong.

    `lag_since`: when the first reading arrived that lagged as much. Half an hour and days must be seen twice, a whole
    hour or more once: a feed that is late by exactly that has its `usual_delay` registered.
    """
    lag = received_at - observed_at
    if lag <= LONG or not SETTLED <= now - received_at <= _LOOKED_AT:
        return False
    if timedelta(0) < usual_delay and lag <= usual_delay + LONG:
        return False
    again = lag_since is not None and received_at - lag_since > timedelta(minutes=1)
    if lag > _DAYS:
        return again
    if not (is_whole_half_hours(lag) or (usual_delay and is_whole_half_hours(lag - usual_delay))):
        return False
    return again or lag > 2 * _HALF_HOUR - _EARLY
