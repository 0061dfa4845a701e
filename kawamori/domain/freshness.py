"""How old a number may be before the screen must say so."""

from datetime import timedelta
from enum import StrEnum


class Freshness(StrEnum):
    """Fresh up to 1.5 reporting intervals, late up to 3, then dead."""

    FRESH = "fresh"
    LATE = "late"
    DEAD = "dead"


LATE_AFTER = 1.5
DEAD_AFTER = 3.0


def freshness(age: timedelta | None, interval: timedelta) -> Freshness:
    """Judge a reading's age by its sensor's reporting interval; a sensor that never reported is dead."""
    if age is None or age > DEAD_AFTER * interval:
        return Freshness.DEAD
    return Freshness.LATE if age > LATE_AFTER * interval else Freshness.FRESH


def expected_interval(
    value: float | None, usual: timedelta, when_low: timedelta | None, low_below: float | None
) -> timedelta:
    """How often the sensor should report now: low-cost crisis gauges report once a day while the water is low."""
    if value is not None and when_low is not None and low_below is not None and value < low_below:
        return when_low
    return usual
