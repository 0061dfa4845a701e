"""Does a sensor leave the water again and again?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRule(SensorRule):
    """So many readings of the last 24 hours left the water and came back.

    Good gauges show one or two in a month of floods (docs/decisions/0005-quality-flags.md); five a day are a loose
    mount, a spider or a bad cable. Over when half as many are left.
    """

    kind = "spike"
    name_ja, name_en = "異常値の多発", "many spikes"
    by_default = True

    at_least: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= 10_000:
            raise ValueError("at_least: must be 1 to 10000")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Wrong since it was noticed: the count moves with the clock."""
        least = (self.at_least + 1) // 2 if firing else self.at_least
        if facts.spikes < least:
            return None
        return Finding(since=now, value=float(facts.spikes), detail={"hours": 24})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:
        """`24時間に7回`."""
        hours = detail.get("hours", 24)
        return f"{hours}時間に{value or 0:.0f}回" if language == "ja" else f"{value or 0:.0f} in {hours} h"
