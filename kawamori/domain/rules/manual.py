"""A person with the right says so: what no sensor sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kawamori.domain.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualRule(Rule):
    """Watches nothing: a person raises it, and a person ends it."""

    kind = "manual"
    name_ja, name_en = "手動通報", "raised by a person"

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """What the person wrote, as far as a first line holds it."""
        return str(detail.get("text", ""))[:30]
