"""Has a sensor stopped reporting? Judged by how often it should report now, at this height of the water."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.freshness import DEAD_AFTER, expected_interval
from kawamori.domain.reading import believed
from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentRule(SensorRule):
    """No reading for `factor` reporting intervals; or its neighbours rise and it is still in its once-a-day mode.

    A sensor that never reported raises nothing: it is being installed, and the field engineer's page says so.
    """

    kind = "silent"
    name_ja, name_en = "欠測", "sensor silent"
    by_default = True

    #: Three intervals are what the screens call dead (kawamori.domain.freshness).
    factor: float = DEAD_AFTER
    #: On the way: radio, gateway and batch take seconds; a re-sent batch some tens of them.
    grace: timedelta = timedelta(seconds=60)
    #: Rising water: 10 cm/h is far above the noise of any gauge (0.7 to 4 mm) and below every flood's rise.
    neighbours_rise_h: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 1000:
            raise ValueError("factor: must be 1 to 1000")
        if not timedelta(0) <= self.grace <= timedelta(days=1):
            raise ValueError("grace: must be 0 to 24 hours")
        if self.neighbours_rise_h <= 0:
            raise ValueError("neighbours_rise_h: must be positive")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Silent since its last reading. What the neighbours raised stays until the sensor itself reports.

        A sensor whose newest reading was old when it came was replayed, or filled in: it never was live, and is not
        silent. Where its readings come at their own pace, or its clock is off, silence is judged by their arrival.
        """
        if facts.observed_at is None:
            return None
        age, usual = now - facts.observed_at, facts.sensor.report_every
        interval = expected_interval(
            believed(facts.value, facts.flag), usual, facts.sensor.report_every_low, facts.station.observation_start_m
        )
        longest = self.factor * interval + self.grace + facts.sensor.usual_delay
        late = timedelta(0) if facts.received_at is None else facts.received_at - facts.observed_at
        if late > longest and not firing:
            if facts.lag is None or not (facts.lag.live or facts.lag.is_clock):
                return None
            age -= late
        if age > longest:
            return Finding(
                since=facts.observed_at, value=facts.value,
                detail={"reason": "silent", "expected_every_s": interval.total_seconds()},
            )  # fmt: skip
        if interval <= usual or age <= self.factor * usual + self.grace + facts.sensor.usual_delay:
            return None
        rising = {station: rate for station, rate in facts.neighbours.items() if rate >= self.neighbours_rise_h}
        if not rising and not firing:
            return None
        return Finding(
            since=facts.observed_at, value=facts.value,
            detail={
                "reason": "low_mode", "expected_every_s": usual.total_seconds(),
                "neighbours_m_per_h": {str(station): rate for station, rate in sorted(rising.items())},
            },
        )  # fmt: skip

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """That neighbours rise while it sleeps; a plain silence needs no more words."""
        if detail.get("reason") != "low_mode":
            return ""
        return "隣接上昇中・低水モードのまま" if language == "ja" else "asleep while its neighbours rise; last heard"
