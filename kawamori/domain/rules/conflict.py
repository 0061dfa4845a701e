"""Do devices that measure for one sensor state different values?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictRule(SensorRule):
    """So many readings of the last 24 hours are disputed: two devices, or one at once, state different values.

    The higher value stands until a person ends one deployment or corrects the readings. Over when none is left.
    """

    kind = "conflict"
    name_ja, name_en = "値の食い違い", "devices disagree"
    by_default = True

    at_least: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= 10_000:
            raise ValueError("at_least: must be 1 to 10000")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Wrong since it was noticed: the count moves with the clock."""
        if facts.disputed < (1 if firing else self.at_least):
            return None
        return Finding(since=now, value=float(facts.disputed), detail={"hours": 24})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:
        """`24時間に7件`."""
        hours = detail.get("hours", 24)
        return f"{hours}時間に{value or 0:.0f}件" if language == "ja" else f"{value or 0:.0f} readings in {hours} h"
