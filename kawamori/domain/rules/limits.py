"""Do a sensor's limits fail water? Values beyond them that agree with each other are a wrong limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsRule(SensorRule):
    """Several readings in a row lie beyond what is registered, and move like water (`kawamori.domain.limits`).

    Ingest's second look notes it within seconds of the third, or of the second after ten minutes. The values are shown
    and alarm in doubt until a person mends the range, the thresholds or the height system.
    """

    kind = "limits"
    name_ja, name_en = "範囲設定の疑い", "wrong limit?"
    by_default = True

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:  # noqa: ARG002 - ingest decides
        """Wrong since the first of the readings that agree."""
        if facts.beyond_since is None:
            return None
        return Finding(since=facts.beyond_since, value=facts.value)

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """`235.50m`."""
        if value is None:
            return ""
        return f"{value:.2f}m" if language == "ja" else f"{value:.2f} m"
