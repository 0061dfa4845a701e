"""What people say of readings: another value, a shift, or that they are worthless. Pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from kawamori.domain.reading import Reading, Reason, SensorId

#: The reasons that people give.
BY_PEOPLE = int(Reason.CORRECTED | Reason.CONDEMNED)


class CorrectionKind(StrEnum):
    """What a correction does to the readings of its span."""

    VALUE = "value"
    OFFSET = "offset"
    CONDEMN = "condemn"


class Correction(NamedTuple):
    """A person's word about a sensor's readings; it holds for those too that arrive later or again."""

    id: int
    sensor: SensorId
    #: Both ends included.
    starts_at: datetime
    ends_at: datetime
    kind: CorrectionKind
    #: The value, or what is added to the device's; None where readings are condemned. Stored units.
    amount: float | None
    who: str
    why: str

    def covers(self, at: datetime) -> bool:
        """Whether it is about that moment."""
        return self.starts_at <= at <= self.ends_at


def correction_of(at: datetime, corrections: Iterable[Correction]) -> Correction | None:
    """The one that holds for a moment: of several the newest."""
    return max((c for c in corrections if c.covers(at)), key=lambda c: c.id, default=None)


def as_stated(reading: Reading) -> Reading:
    """The reading as its device stated it."""
    if reading.stated is None and not reading.reasons & BY_PEOPLE:
        return reading
    value = reading.value if reading.stated is None else reading.stated
    return reading._replace(value=value, stated=None, reasons=reading.reasons & ~BY_PEOPLE)


def corrected(reading: Reading, corrections: Iterable[Correction]) -> Reading:
    """The reading with the correction that holds for it, whatever held before; `stated` keeps the device's value."""
    reading = as_stated(reading)
    found = correction_of(reading.observed_at, corrections)
    if found is None:
        return reading
    if found.amount is None:
        return reading._replace(reasons=reading.reasons | int(Reason.CONDEMNED))
    value = found.amount if found.kind is CorrectionKind.VALUE else round(reading.value + found.amount, 9)
    return reading._replace(value=value, stated=reading.value, reasons=reading.reasons | int(Reason.CORRECTED))
