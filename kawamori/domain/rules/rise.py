"""Rapid rise: the water rises so fast that people by the river should know, at any height."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading
from kawamori.domain.rules import Episode, SeriesRule
from kawamori.domain.rules.stay import Stay, go_on, positive, up_to_a_day

#: Without any one reading the others must still show so much of the rise, at the same length of time.
_WITHOUT_ONE = 0.5
#: How many windows back the water before the rise may have been measured last: slow loggers, and gaps.
_BACK = 2
#: Readings are stored to the micrometre; sums of them are not exact.
_EXACT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class RiseRule(SeriesRule):
    """So much in such a time, shown by more than one reading: a single wrong one raises nothing.

    0.5 m in half an hour is 1 m/h. On the recorded rivers that is 14 rises at 7 of 47 stations in the storm of January
    2020, 37 at 32 of 1,293 gauges on a wet day in England, and none at nine stations with tides in seven weeks
    (tests/alerts/test_recorded_rivers.py). Readings must come three times in the window: every 15 minutes at least.
    """

    kind = "rise"
    name_ja, name_en = "急上昇", "rapid rise"

    rise_m: float = 0.5
    window: timedelta = timedelta(minutes=30)
    #: It is over once the water has risen less than this in the window. None: half of `rise_m`.
    clear_m: float | None = None
    #: … for so long: a rise that takes breath for a reading or two at ten minutes is one rise.
    keep_firing: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        if not 0.01 <= self.rise_m <= 20:
            raise ValueError("rise_m: must be 0.01 to 20 m")
        if self.clear_m is not None and not 0 <= self.clear_m <= self.rise_m:
            raise ValueError("clear_m: must be 0 to rise_m")
        positive(window=self.window)
        up_to_a_day(keep_firing=self.keep_firing)

    @property
    def reach(self) -> timedelta:
        """Two windows for the water before the rise, and the time in which an end may still be undone."""
        return _BACK * self.window + self.keep_firing

    def watch(self, thresholds: tuple[Threshold, ...]) -> "RiseWatch":  # noqa: ARG002 - at any height
        """A watch that has seen nothing yet."""
        return RiseWatch(self)

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`↑62cm/30分`."""
        if "rise_m" not in detail:
            return ""
        unit = "分" if language == "ja" else " min"
        return f"↑{100 * detail['rise_m']:.0f}cm/{detail['minutes']:.0f}{unit}"


def risen(window: timedelta, rise_m: float, recent: Iterable[Reading]) -> tuple[float, timedelta] | None:
    """How far the water has risen up to the newest of these readings within `window`, and in what time, where that is
    `rise_m` or more and not the word of one reading; `recent` goes back two windows, oldest first.

    More readings never make less of a rise: what is shown by some of them is shown by all.
    """
    *before, newest = recent
    near = [r for r in before if newest.observed_at - r.observed_at <= window]
    if not near:
        return None
    lowest = min(near, key=lambda r: r.value)
    rise, least = newest.value - lowest.value, _WITHOUT_ONE * rise_m - _EXACT
    if rise < rise_m - _EXACT or _highest_rise(near) < least:
        return None
    for other in before:  # is it shown without the lowest too?
        lasted = (newest.observed_at - other.observed_at) / window
        if other is not lowest and newest.value - other.value >= least * max(1.0, lasted):
            return rise, newest.observed_at - lowest.observed_at
    return None


def _highest_rise(readings: Iterable[Reading]) -> float:
    lowest, highest = float("inf"), 0.0
    for reading in readings:
        lowest = min(lowest, reading.value)
        highest = max(highest, reading.value - lowest)
    return highest


class RiseWatch:
    """One sensor's rise."""

    def __init__(self, rule: RiseRule) -> None:
        self._rule = rule
        self._clear_m = rule.rise_m / 2 if rule.clear_m is None else rule.clear_m
        self._recent: deque[Reading] = deque()
        self._stay: Stay | None = None

    def is_calm_below(self, value: float) -> bool:  # noqa: ARG002
        """Never: how fast the water rises matters at any height."""
        return False

    def lasting(self) -> list[Episode]:
        """The rise that lasts."""
        return [] if self._stay is None else [self._stay.episode]

    def feed(self, reading: Reading) -> list[Episode]:
        """Take a reading later than all before; return the rise it ended."""
        if reading.flag in (Flag.FAIL, Flag.MISSING):
            return []
        rule, recent, at = self._rule, self._recent, reading.observed_at
        recent.append(reading)
        while at - recent[0].observed_at > _BACK * rule.window:
            recent.popleft()
        lowest = min(r.value for r in recent if at - r.observed_at <= rule.window)
        if self._stay is None:
            if reading.value - lowest >= rule.rise_m - _EXACT:
                found = risen(rule.window, rule.rise_m, recent)
                self._stay = None if found is None else Stay(self._begin(reading, *found), last=reading)
            return []
        shown = reading.value - lowest >= self._clear_m - _EXACT and reading.value > lowest
        self._stay, ended = go_on(self._stay, reading, shown=shown, keep_firing=rule.keep_firing)
        return [] if ended is None else [ended]

    def _begin(self, reading: Reading, rise: float, lasted: timedelta) -> Episode:
        return Episode(
            kind=RiseRule.kind, started_at=reading.observed_at, value_m=reading.value, peak_m=reading.value,
            detail={
                "rise_m": round(rise, 6), "minutes": round(_minutes(lasted), 1),
                "rate_m_per_h": round(rise / _minutes(lasted) * 60, 3),
            },
        )  # fmt: skip


def _minutes(length: timedelta) -> float:
    return length / timedelta(minutes=1)
