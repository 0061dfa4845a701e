"""Does a device's clock run ahead? Then its readings claim to come from the future, and hide the newer ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRule(SensorRule):
    """Readings measured after they arrived, or refused of late because their time lies too far ahead.

    A minute is what clocks set once a day by a network may differ, and more than a message takes. A clock that is
    behind looks like late data and raises nothing.
    """

    kind = "clock"
    name_ja, name_en = "時計ずれ", "clock off"
    by_default = True

    ahead: timedelta = timedelta(seconds=60)
    #: How long a refused message counts: several reporting intervals of ten minutes.
    remember: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.ahead <= timedelta(days=1):
            raise ValueError("ahead: must be more than 0 and at most 24 hours")
        if not timedelta(0) < self.remember <= timedelta(days=1):
            raise ValueError("remember: must be more than 0 and at most 24 hours")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Off since the message that showed it; firing, until a reading is at most half as far ahead."""
        if facts.observed_at is not None and facts.received_at is not None:
            ahead = facts.observed_at - facts.received_at
            if ahead > (self.ahead / 2 if firing else self.ahead):
                return Finding(since=facts.received_at, detail={"ahead_s": ahead.total_seconds()})
        if facts.ahead_at is not None and now - facts.ahead_at <= self.remember:
            return Finding(since=facts.ahead_at, detail={"refused": True})
        return None

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`+95秒`, or that messages are refused."""
        if detail.get("refused"):
            return "未来時刻の電文を拒否" if language == "ja" else "messages from the future refused"
        if "ahead_s" not in detail:
            return ""
        return f"+{detail['ahead_s']:.0f}{'秒' if language == 'ja' else ' s'}"
