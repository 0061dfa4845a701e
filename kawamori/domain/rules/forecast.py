"""Will the water reach an evacuation threshold within the hour, if it goes on rising as it does? 参考, staff only."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, doubtful
from kawamori.domain.rules import Episode, SeriesRule
from kawamori.domain.rules.stay import Stay, go_on, positive, up_to_a_day
from kawamori.domain.trend import HORIZON, Arrival, Rise, rise

JST = timezone(timedelta(hours=9), "JST")

#: The line is drawn through so much.
_WINDOW = timedelta(hours=1)
#: A longer gap in it, or before it, and nothing is said: what a short series says would depend on where it begins.
_GAP = timedelta(minutes=30)
#: It is over once the arrival is so many times further off than it may be to raise.
_CLEAR = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRule(SeriesRule):
    """Raised while the water is below a threshold that a straight line through the last hour reaches in time.

    An hour of lead is what the city needs to open shelters and is within what a straight line can say: the design
    hides it beyond three hours (kawamori.domain.trend.HORIZON). Levels from 3 on, where people are to leave.
    """

    kind = "forecast"
    name_ja, name_en = "到達見込み（参考）", "threshold expected (for reference)"

    min_level: int = 3
    within: timedelta = timedelta(minutes=60)
    #: It is over once it has not been foreseen for so long.
    keep_firing: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        if not 1 <= self.min_level <= 5:
            raise ValueError("min_level: must be 1 to 5")
        positive(within=self.within)
        if self.within > HORIZON:
            raise ValueError("within: must be at most 3 hours")
        up_to_a_day(keep_firing=self.keep_firing)

    @property
    def reach(self) -> timedelta:
        """The line, the gap allowed before it, and the time in which an end may still be undone."""
        return _WINDOW + _GAP + self.keep_firing

    def watch(self, thresholds: tuple[Threshold, ...]) -> "ForecastWatch":
        """A watch that has seen nothing yet."""
        return ForecastWatch(self, tuple(t for t in thresholds if t.level >= self.min_level))

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`見込み02:49（02:35–03:20）`."""
        if "likely" not in detail:
            return ""
        earliest, likely, latest = (
            datetime.fromisoformat(detail[name]).astimezone(JST).strftime("%H:%M")
            for name in ("earliest", "likely", "latest")
        )
        if language == "ja":
            return f"見込み{likely}（{earliest}–{latest}）"
        return f"about {likely} ({earliest}-{latest}), seen at"


class ForecastWatch:
    """One sensor's way towards its station's thresholds."""

    def __init__(self, rule: ForecastRule, thresholds: tuple[Threshold, ...]) -> None:
        self._rule, self._thresholds = rule, thresholds
        self._recent: deque[Reading] = deque()
        self._stays: dict[int, Stay] = {}

    def is_calm_below(self, value: float) -> bool:  # noqa: ARG002
        """Never: every reading bears on the line."""
        return not self._thresholds

    def lasting(self) -> list[Episode]:
        """What is foreseen, the lowest threshold first."""
        return [stay.episode for _, stay in sorted(self._stays.items())]

    def feed(self, reading: Reading) -> list[Episode]:
        """Take a reading later than all before; return what is no longer foreseen, or has come about."""
        if reading.flag in (Flag.FAIL, Flag.MISSING) or not self._thresholds:
            return []
        at = reading.observed_at
        self._recent.append(reading)
        while at - self._recent[0].observed_at > _WINDOW + _GAP:
            self._recent.popleft()
        in_force = {t.level: t for t in self._thresholds if t.in_force(at)}
        ended = [
            replace(self._stays.pop(level).episode, ended_at=at)  # it was abolished, or is another height now
            for level in sorted(self._stays)
            if level not in in_force or in_force[level].value_m != self._stays[level].episode.threshold_m
        ]
        above = [t for _, t in sorted(in_force.items()) if reading.value < t.value_m or t.level in self._stays]
        line = _line(self._recent) if above else None
        for threshold in above:
            over = self._look(threshold, reading, line)
            if over is not None:
                ended.append(over)
        return ended

    def _look(self, threshold: Threshold, reading: Reading, line: Rise | None) -> Episode | None:
        level, stay = threshold.level, self._stays.get(threshold.level)
        arrival = None if line is None else line.reaches(threshold.value_m)
        ahead = None if arrival is None else arrival.likely - reading.observed_at
        if stay is None:
            if arrival is not None and ahead is not None and ahead <= self._rule.within:
                self._stays[level] = Stay(_foreseen(threshold, reading, arrival), last=reading)
            return None
        if reading.value >= threshold.value_m and not doubtful(reading.flag, reading.reasons):  # it has come about
            del self._stays[level]
            return replace(stay.episode, ended_at=reading.observed_at, peak_m=reading.value)
        shown = ahead is not None and ahead <= _CLEAR * self._rule.within
        left, ended = go_on(stay, reading, shown=shown, keep_firing=self._rule.keep_firing)
        if left is None:
            del self._stays[level]
        else:
            self._stays[level] = left
        return ended


def _line(recent: deque[Reading]) -> Rise | None:
    """The line through the last hour, if readings lead up to it and through it without a gap."""
    begin = recent[-1].observed_at - _WINDOW
    anchor = sum(r.observed_at <= begin for r in recent) - 1
    if anchor < 0:
        return None
    known = list(recent)[anchor:]
    if any(b.observed_at - a.observed_at > _GAP for a, b in pairwise(known)):
        return None
    return rise([r.observed_at for r in known[1:]], [r.value for r in known[1:]])


def _foreseen(threshold: Threshold, reading: Reading, arrival: Arrival) -> Episode:
    """As it was foreseen first; consoles show it as it is foreseen now."""
    return Episode(
        kind=ForecastRule.kind, level=threshold.level, threshold_m=threshold.value_m, started_at=reading.observed_at,
        value_m=reading.value, peak_m=reading.value,
        detail={
            "reference": True, "earliest": arrival.earliest.isoformat(), "likely": arrival.likely.isoformat(),
            "latest": arrival.latest.isoformat(),
        },
    )  # fmt: skip
