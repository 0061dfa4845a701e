"""Thresholds and the flood levels 1 to 5: which one the water has reached, and which comes next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kawamori.domain.reading import StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A level of the water, above gauge zero, at which people are to act. Dated: rules change in mid-season."""

    station: StationId
    #: 1 (standby) to 5 (overflow).
    level: int
    value_m: float
    #: How far the water must fall below `value_m` before the crossing counts as over.
    hysteresis_m: float = 0.05
    #: How long, and in how many readings, the water must stay at or above `value_m` before it counts as a crossing.
    hold: timedelta = timedelta(0)
    consecutive: int = 1
    #: How long the water must stay below the lower edge before the crossing counts as over.
    keep_firing: timedelta = timedelta(0)
    valid_from: datetime
    #: Exclusive; None while the threshold is in force.
    valid_to: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether this threshold holds at that time."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


def flood_level(value_m: float, thresholds: Iterable[Threshold]) -> int:
    """The highest level whose threshold the water has reached; 0 below all of them."""
    return max((t.level for t in thresholds if value_m >= t.value_m), default=0)


def next_threshold(value_m: float, thresholds: Iterable[Threshold]) -> Threshold | None:
    """The lowest threshold still above the water; None once the highest is reached."""
    return min((t for t in thresholds if value_m < t.value_m), key=lambda t: t.value_m, default=None)
