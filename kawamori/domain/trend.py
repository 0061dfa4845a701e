"""Trend of the water level: its slope, its display as cm/10 min, and when a rising river reaches a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import combinations
from math import sqrt

from kawamori.domain.reading import Reading, failed


def trend_per_hour(times: Sequence[datetime], values: Sequence[float]) -> float | None:
    """Theil–Sen slope in units per hour: the median over all pairs, so one bad reading does not turn it.

    None for fewer than three readings. (Sen 1968, doi:10.1080/01621459.1968.10480934)
    """
    if len(values) < 3:
        return None
    slopes = _slopes(times, values)
    return _middle(slopes) * 3600.0 if slopes else None


#: The trend is that of about the last hour, or of so many intervals of a slower sensor …
_TREND_OVER = timedelta(hours=1)
_TREND_INTERVALS = 4
#: … back to a gap of more than so many intervals and of a few minutes at least: what was before an outage says nothing
#: of now, but a river does not turn while a sensor that reports every few seconds misses some.
_TREND_GAP = 3
_TREND_GAP_AT_LEAST = timedelta(minutes=5)
#: Of a fast sensor only about so many readings: the slopes of all pairs are looked at, for every new reading.
_TREND_READINGS = 8


def recent_trend(now: datetime, readings: Sequence[Reading], every: timedelta) -> float | None:
    """How fast the water moves at `now`, in units per hour, by the last readings of a sensor, oldest first.

    `every` is how often the sensor reports. Failed readings count for nothing. None where fewer than three readings
    belong together.
    """
    gap, over = _reach(every)
    if readings and now - readings[0].observed_at > min(gap, over):
        readings = _unbroken(readings, now, now - over, gap)
    step = 1 + max(0, len(readings) - 1) // _TREND_READINGS
    picked = [r for r in readings[::-step] if not failed(r.flag)]
    return trend_per_hour([r.observed_at for r in picked], [r.value for r in picked])


@cache
def _reach(every: timedelta) -> tuple[timedelta, timedelta]:
    """The longest gap in a trend, and the longest time that it is taken over."""
    return max(_TREND_GAP * every, _TREND_GAP_AT_LEAST), max(_TREND_OVER, _TREND_INTERVALS * every)


def _unbroken(readings: Sequence[Reading], now: datetime, start: datetime, gap: timedelta) -> Sequence[Reading]:
    """The good readings since `start` and since the last gap."""
    good = [r for r in readings if not failed(r.flag)]
    first, later = len(good), now
    while first > 0 and good[first - 1].observed_at >= start and later - good[first - 1].observed_at <= gap:
        first -= 1
        later = good[first].observed_at
    return good[first:]


def change_per_10min(trend_m_per_h: float) -> int:
    """Return a trend in metres per hour as whole centimetres in 10 minutes, the unit of the telephone report.

    Half a centimetre is rounded away from zero, so that falling and rising water of one speed show one number. The
    page rounds the same way: both read tests/contracts/change_per_10min.json.
    """
    exact = abs(trend_m_per_h) * 100 / 6
    whole = int(exact)
    rounded = whole + (exact - whole >= 0.5)
    return rounded if trend_m_per_h >= 0 else -rounded


#: A straight line says nothing about what lies further ahead: small Japanese rivers peak within hours of the rain.
HORIZON = timedelta(hours=3)
#: Fewer readings, or a shorter stretch, are no trend: four at ten minutes make half an hour; jittered seconds allowed.
LEAST_READINGS = 4
LEAST_SPAN = timedelta(minutes=25)
#: The slope lies in its interval in so many cases at least, where the readings' errors are independent.
CONFIDENCE = 0.90
#: When the latest arrival lies beyond this, it is of no use for planning.
LATEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When the water reaches a height if it goes on rising as it does. 参考: staff only, never a warning.

    The interval is that of the slope until now, not of what the river will do: in the storm of January 2020 a third of
    the arrivals foreseen within the hour fell into it, and half came between 5 minutes before and 44 after `likely`.
    """

    earliest: datetime
    likely: datetime
    latest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A straight line through rising water, certain enough to be drawn on."""

    #: The newest reading's time, and the water then: the median of the last three readings carried along the line.
    at: datetime
    value: float
    #: Units per second: the lower edge of the interval, the median, the upper edge. All above 0.
    lower: float
    slope: float
    upper: float

    def reaches(self, threshold_m: float) -> Arrival | None:
        """When it reaches a height; None when it has, or when that is too far ahead to say."""
        gap = threshold_m - self.value
        if gap <= 0 or gap / self.slope > HORIZON.total_seconds() or gap / self.lower > LATEST.total_seconds():
            return None
        earliest, likely, latest = (
            self.at + timedelta(seconds=round(gap / slope)) for slope in (self.upper, self.slope, self.lower)
        )
        return Arrival(earliest=earliest, likely=likely, latest=latest)


def rise(times: Sequence[datetime], values: Sequence[float]) -> Rise | None:
    """The line through these readings, oldest first; None when they are too few, or may just as well not rise.

    Theil–Sen slope with the interval that Kendall's test gives (Sen 1968; Hollander & Wolfe, Nonparametric Statistical
    Methods, 2nd ed. 1999, section 9.3).
    """
    if len(values) < LEAST_READINGS or times[-1] - times[0] < LEAST_SPAN:
        return None
    slopes = _slopes(times, values)
    rank = _interval_rank(len(values))
    if not 1 <= rank <= len(slopes) // 2 or slopes[rank - 1] <= 0:
        return None
    slope = _middle(slopes)
    carried = [v + slope * (times[-1] - at).total_seconds() for at, v in zip(times[-3:], values[-3:], strict=True)]
    return Rise(
        at=times[-1], value=sorted(carried)[1], lower=slopes[rank - 1], slope=slope, upper=slopes[len(slopes) - rank]
    )


def time_to_threshold(times: Sequence[datetime], values: Sequence[float], threshold_m: float) -> Arrival | None:
    """When the water reaches a height, judged by the readings of about the last hour, oldest first.

    None when that means nothing: it does not surely rise, is there already, or would take more than three hours.
    """
    line = rise(times, values)
    return None if line is None else line.reaches(threshold_m)


def _slopes(times: Sequence[datetime], values: Sequence[float]) -> list[float]:
    """The slopes of all pairs in units per second, the lowest first."""
    points = [((at - times[0]).total_seconds(), value) for at, value in zip(times, values, strict=True)]
    return sorted([(w - v) / (t - s) for (s, v), (t, w) in combinations(points, 2) if t != s])


def _middle(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


#: Up to so many readings the ranks are exact, beyond by the normal approximation.
_EXACT = 40
#: Upper 5 % point of the normal distribution: CONFIDENCE on two sides.
_Z = 1.6449


@cache
def _interval_rank(n: int) -> int:
    """Which slopes from both ends bound the interval; 0 where so few readings bound none.

    Without a trend each order of n readings is equally likely, so that the number of falling pairs has the
    distribution of the inversions of a permutation.
    """
    pairs = n * (n - 1) // 2
    if n > _EXACT:
        return int((pairs - _Z * sqrt(n * (n - 1) * (2 * n + 5) / 18)) / 2)
    ways = [1]  # permutations of so many readings, by their number of inversions
    for length in range(2, n + 1):
        ways = [sum(ways[max(0, k - length + 1) : k + 1]) for k in range(length * (length - 1) // 2 + 1)]
    below, total = 0, sum(ways)
    for rank, count in enumerate(ways):
        below += count
        if below > (1 - CONFIDENCE) / 2 * total:
            return rank
    return 0
