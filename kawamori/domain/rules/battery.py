"""Is a device's battery about to give up?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryRule(SensorRule):
    """Below so many volts; well again `margin_v` higher, because a cell recovers between transmissions.

    3.3 V is for a 3.6 V lithium cell, which holds its voltage until it is nearly empty. Set it for other batteries:
    a 12 V lead battery about 11.8.
    """

    kind = "battery"
    name_ja, name_en = "電池低下", "battery low"
    by_default = True

    below_v: float = 3.3
    margin_v: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.below_v <= 100:
            raise ValueError("below_v: must be more than 0 and at most 100 V")
        if not 0 <= self.margin_v <= 10:
            raise ValueError("margin_v: must be 0 to 10 V")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Low since it was noticed. A device that does not tell its voltage is no trouble."""
        edge = self.below_v + (self.margin_v if firing else 0.0)
        if facts.battery_v is None or facts.battery_v >= edge:
            return None
        return Finding(since=now, value=facts.battery_v)

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`3.21V`."""
        return "" if value is None else f"{value:.2f}V"
