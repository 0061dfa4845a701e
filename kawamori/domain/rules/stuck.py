"""Does a sensor repeat one number while the water moves?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckRule(SensorRule):
    """One value for long while the water is high, or while every neighbour rises. At low flow that is normal.

    How long, and what is high, are the sensor's limits of quality control; `after` holds where it has none. Gauges of
    centimetre resolution stand still for days at low flow beside a tidal neighbour, so that all neighbours must rise.
    """

    kind = "stuck"
    name_ja, name_en = "値の固着", "value stuck"
    by_default = True

    after: timedelta = timedelta(hours=6)
    #: The same 10 cm/h as of a silent sensor's neighbours.
    neighbours_rise_h: float = 0.1

    def __post_init__(self) -> None:
        if not timedelta(0) < self.after <= timedelta(days=30):
            raise ValueError("after: must be more than 0 and at most 30 days")
        if self.neighbours_rise_h <= 0:
            raise ValueError("neighbours_rise_h: must be positive")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:  # noqa: ARG002 - in the readings' time
        """Stuck since the value last changed, until it changes."""
        if facts.flat_since is None or facts.observed_at is None or facts.sensor.quantity != "water_level":
            return None
        limits = facts.sensor.limits
        after = self.after if limits.flat_after is None else limits.flat_after
        if facts.observed_at - facts.flat_since < after:
            return None
        high = limits.flat_above is not None and facts.value is not None and facts.value > limits.flat_above
        move = bool(facts.neighbours) and min(facts.neighbours.values()) >= self.neighbours_rise_h
        if not (high or move or firing):
            return None
        reason = "high" if high else "neighbours_move"
        return Finding(since=facts.flat_since, value=facts.value, detail={"reason": reason})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`2.13mのまま`."""
        if value is None:
            return ""
        return f"{value:.2f}mのまま" if language == "ja" else f"at {value:.2f} m since"
