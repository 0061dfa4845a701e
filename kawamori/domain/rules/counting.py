"""Does a rain gauge send its counter instead of what fell?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingRule(SensorRule):
    """So many amounts of the last 24 hours look like a counter's running total: they never fall, and never are 0.

    Their sums are nonsense if so: register the deployment as a counter. Over when none is left.
    """

    kind = "counting"
    name_ja, name_en = "雨量が積算値の疑い", "rain looks like a counter"
    by_default = True

    at_least: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= 10_000:
            raise ValueError("at_least: must be 1 to 10000")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Wrong since it was noticed: the count moves with the clock."""
        if facts.counting < (1 if firing else self.at_least):
            return None
        return Finding(since=now, value=float(facts.counting), detail={"hours": 24})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:
        """`24時間に7件`."""
        hours = detail.get("hours", 24)
        return f"{hours}時間に{value or 0:.0f}件" if language == "ja" else f"{value or 0:.0f} readings in {hours} h"
