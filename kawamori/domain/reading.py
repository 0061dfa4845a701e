"""A reading: one value of one sensor at one time, and how far it is to be trusted."""

from datetime import datetime
from enum import IntEnum, IntFlag
from functools import cache
from typing import NamedTuple, NewType

SensorId = NewType("SensorId", int)
StationId = NewType("StationId", str)
DeviceId = NewType("DeviceId", str)
RiverId = NewType("RiverId", str)

#: Readings are stored to the micro-unit; sums of them are exact integers in any order.
MICRO = 1_000_000
#: Larger magnitudes than this are no measurement of anything on a river, and would overflow the sums.
LARGEST_VALUE = 1e9


class Flag(IntEnum):
    """QARTOD primary flag (IOOS manual for water level, 2021); the number is what is stored."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


#: Flags by their number: a tenth of the time of `Flag(number)`.
FLAGS = {int(flag): flag for flag in Flag}
_FAIL = int(Flag.FAIL)


def failed(flag: int | None) -> bool:
    """Return whether quality control has failed a value, or it is missing: nothing may be concluded from it.

    The page decides the same: both read tests/contracts/believed.json.
    """
    return flag is not None and flag >= _FAIL


def believed(value: float | None, flag: int | None) -> float | None:
    """Return the value, in the sensor's stored unit; None where it has failed."""
    return None if failed(flag) else value


class Reason(IntFlag):
    """Why a reading carries its flag; several may hold at once. The sum is what is stored."""

    LATE = 1
    RANGE = 2
    RATE = 4
    FLAT = 8
    SPIKE = 16
    #: Its time is in doubt.
    CLOCK = 32
    #: Two devices state different values for the moment, or one device at once.
    CONFLICT = 64
    #: Marked by its source as estimated, or at the sensor's limit.
    ESTIMATED = 128
    #: A step that nothing confirms yet.
    STEP = 256
    #: The sensor contradicts itself.
    UNFIT = 512
    #: A person put another value in the place of the device's.
    CORRECTED = 1024
    #: A person declared it worthless.
    CONDEMNED = 2048
    #: Beyond what is known of the station, or a limit that may itself be wrong.
    LIMIT = 4096


#: What is no doubt about the value itself: when it arrived, and when it was measured.
_OF_TIME = int(Reason.LATE | Reason.CLOCK)


def doubtful(flag: Flag, reasons: int) -> bool:
    """Whether the value may be no water level. A doubt about its time alone leaves the value good."""
    return flag == Flag.SUSPECT and (reasons == 0 or reasons & ~_OF_TIME != 0)


@cache
def reason_names(reasons: int) -> tuple[str, ...]:
    """`("late", "spike")`."""
    return tuple(str(reason.name).lower() for reason in Reason if reason & reasons)


class Reading(NamedTuple):
    """One value of one sensor, in the sensor's stored unit, above its own zero.

    A tuple, because tens of thousands are made a second: a frozen dataclass takes four times as long to make.
    """

    sensor: SensorId
    #: When the sensor measured it, not when it arrived. Always UTC-aware.
    observed_at: datetime
    value: float
    #: When the gateway heard of it. Always UTC-aware.
    received_at: datetime
    flag: Flag = Flag.NOT_EVALUATED
    #: A sum of `Reason`s; a plain number, because arithmetic of enum members is slow.
    reasons: int = 0
    #: When the gateway heard the statement that stands, where that is not `received_at`, the first one of the moment.
    stated_at: datetime | None = None
    #: What the device stated, where a person's correction stands in `value`.
    stated: float | None = None
    #: Who states it, on its way only, where several devices measure for the sensor or the value is a running total.
    device: str | None = None

    @property
    def key(self) -> tuple[SensorId, datetime]:
        """What makes two deliveries the same reading (MQTT redelivers)."""
        return (self.sensor, self.observed_at)
