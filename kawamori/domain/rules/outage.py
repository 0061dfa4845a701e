"""Many sensors fall silent at once: a power cut or a dead line, one alert instead of two hundred."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageRule(Rule):
    """Gathers the silences that began together."""

    kind = "outage"
    name_ja, name_en = "一斉欠測", "many sensors silent"
    by_default = True
    topic = "equipment"

    #: So many sensors at least, and this share of all.
    least: int = 5
    share: float = 0.1
    #: Their last readings lie within this time: two usual reporting intervals of ten minutes.
    within: timedelta = timedelta(minutes=20)

    def __post_init__(self) -> None:
        if self.least < 2:
            raise ValueError("least: must be 2 or more")
        if not 0 <= self.share <= 1:
            raise ValueError("share: must be 0 to 1")
        if self.within <= timedelta(0):
            raise ValueError("within: must be positive")

    def gathered(self, silent: Mapping[int, datetime], sensors: int) -> set[int]:
        """The largest set of sensors whose silences began within `within`, if it is large enough; else none."""
        ordered = sorted(silent.items(), key=lambda pair: (pair[1], pair[0]))
        best: list[int] = []
        first = 0
        for last, (_, since) in enumerate(ordered):
            while since - ordered[first][1] > self.within:
                first += 1
            if last + 1 - first > len(best):
                best = [sensor for sensor, _ in ordered[first : last + 1]]
        return set(best) if len(best) >= max(self.least, self.share * sensors) else set()

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """How many."""
        return f"{value or 0:.0f}{'か所' if language == 'ja' else ' sensors'}"
