"""Is a device's or a gateway's clock off? Then readings claim to come from the future, or look like old ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.rules import Facts, Finding, GatewayFacts, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRule(SensorRule):
    """Readings measured after they came, refused of late because of their time, or as far behind as wrong clocks are.

    A minute is what clocks set once a day by a network may differ, and more than a message takes. Behind: by a time
    zone, since a reset, or by the same time for several readings (kawamori.domain.lag). Of a gateway: its clock against
    the database's.
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
        edge = self.ahead / 2 if firing else self.ahead
        gateway_is_off = facts.gateway_off_s is not None and abs(facts.gateway_off_s) > self.ahead.total_seconds() / 2
        if facts.observed_at is not None and facts.received_at is not None and not gateway_is_off:
            ahead = facts.observed_at - facts.received_at
            if ahead > edge:
                return Finding(since=facts.received_at, detail={"ahead_s": ahead.total_seconds()})
        if facts.refused_at is not None and now - facts.refused_at <= self.remember:
            return Finding(since=facts.refused_at, detail={"refused": True, "ahead": facts.refused_ahead})
        lag = facts.lag
        if lag is not None and facts.received_at is not None and (lag.is_clock or lag.kind == "constant"):
            return Finding(
                since=facts.received_at,
                detail={
                    "behind_s": lag.behind.total_seconds(), "guess": lag.kind,
                    "words": {"ja": lag.words("ja"), "en": lag.words("en")},
                },
            )  # fmt: skip
        return None

    def judge_gateway(self, facts: GatewayFacts, now: datetime, *, firing: bool) -> Finding | None:
        """A gateway's clock is off as far as it says of itself."""
        edge = self.ahead / 2 if firing else self.ahead
        if facts.clock_off_s is None or abs(facts.clock_off_s) <= edge.total_seconds():
            return None
        return Finding(since=now, value=facts.clock_off_s, detail={"ahead_s": facts.clock_off_s})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`+95秒`, that messages are refused, or how far behind and why."""
        ja = language == "ja"
        if detail.get("refused"):
            if not detail.get("ahead", True):
                return "時計の狂った電文を拒否" if ja else "messages refused: its clock is off"
            return "未来時刻の電文を拒否" if ja else "messages from the future refused"
        words = detail.get("words")
        if isinstance(words, dict):
            return str(words.get(language, ""))
        if "ahead_s" not in detail:
            return ""
        return f"{detail['ahead_s']:+.0f}{'秒' if ja else ' s'}"
