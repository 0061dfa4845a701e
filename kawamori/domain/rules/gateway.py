"""Has a gateway gone quiet? Then everything behind it is dark, and nothing is lost as long as it has its journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.freshness import GATEWAY_SILENT_AFTER
from kawamori.domain.rules import Finding, GatewayFacts, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRule(Rule):
    """Not heard of for so long: a minute, several of its signs of life."""

    kind = "gateway"
    name_ja, name_en = "ゲートウェイ無通信", "gateway silent"
    by_default = True
    topic = "equipment"

    silent_after: timedelta = GATEWAY_SILENT_AFTER

    def __post_init__(self) -> None:
        if not timedelta(seconds=5) <= self.silent_after <= timedelta(days=1):
            raise ValueError("silent_after: must be 5 seconds to 24 hours")

    def judge(self, facts: GatewayFacts, now: datetime, *, firing: bool) -> Finding | None:  # noqa: ARG002
        """Silent since it was last heard of; any sign of life ends it."""
        if now - facts.seen_at <= self.silent_after:
            return None
        return Finding(since=facts.seen_at, value=float(facts.backlog), detail={"backlog": facts.backlog})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """What it still had to forward when it was last heard of."""
        backlog = detail.get("backlog", 0)
        if not backlog:
            return ""
        return f"未送信{backlog}件" if language == "ja" else f"{backlog} messages not forwarded; last heard"
