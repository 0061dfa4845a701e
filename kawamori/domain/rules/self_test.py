"""Does a reading still come out at the other end as a message? A synthetic one is sent through the whole chain."""

from dataclasses import dataclass
from datetime import UTC, datetime

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import StationId
from kawamori.domain.rules import SeriesRule
from kawamori.domain.rules.level import LevelWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRule(SeriesRule):
    """A level of the synthetic station: above `threshold_m` the test is on its way, below half of it it is over."""

    kind = "self_test"
    name_ja, name_en = "自己点検", "self-test"
    by_default = True
    topic = "self_test"

    threshold_m: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold_m <= 10:
            raise ValueError("threshold_m: must be more than 0 and at most 10")

    def watch(self, thresholds: tuple[Threshold, ...]) -> LevelWatch:
        """The same machine as a flood's. Where the station has no thresholds, the rule's own."""
        own = Threshold(
            station=StationId(self.kind), level=0, value_m=self.threshold_m, hysteresis_m=self.threshold_m / 2,
            valid_from=datetime.min.replace(tzinfo=UTC),
        )  # fmt: skip
        return LevelWatch(thresholds or (own,), kind=self.kind, wary=False)  # its steps are ours
