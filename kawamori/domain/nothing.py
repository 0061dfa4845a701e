"""Numbers that loggers write for "no measurement". Pure.

A list that is registered for a deployment or a device model stands alone. Without one, a number of the usual list means
nothing only where the station cannot have it as a value: -999 mm is an ordinary level below a gauge's zero, -999 cm
is not.
"""

import struct
from functools import lru_cache
from itertools import product

from kawamori.domain.quantity import Unit, convert
from kawamori.domain.registry import Deployment, Limits

#: All nines and eights that agencies' and makers' manuals name, the ends of 16-bit integers, and the same with one to
#: three decimals moved: -999.9, -99.99, 6553.5.
_WHOLE = (-777, -888, -999, -7777, -8888, -9998, -9999, -99999, -999998, -999999, 9999, 99999, 999999,
          32767, -32768, 65534, 65535)  # fmt: skip
_NINES = (-99.0, -99.9, -99.99, -999.9, -999.99, -9999.9, -9999.99, -99999.9, -99999.99, 99.99, 999.9, 999.99, 9999.9,
          9999.99)  # fmt: skip
USUAL = frozenset({round(n / 10**d, 3) for n, d in product(_WHOLE, range(4))} | set(_NINES))
#: A broken DS18B20 says -127 °C, a kelvin scale without a sensor 0 K.
_OF_TEMPERATURE = {"°C": (-127.0, -273.15, 850.0), "Cel": (-127.0, -273.15, 850.0), "K": (0.0,)}

#: Water stands no lower than this below zero and the lowest registered height, and no higher than this above the
#: highest, as far as a number of the list is concerned; any other number is believed far beyond.
_BELOW, _ABOVE = 3.0, 5.0
#: Where nothing is registered. The deepest gauges and the highest floods above a gauge's own zero.
_LEAST, _MOST = -3.0, 30.0
#: A lowest height beyond this is one above the sea, and zero is none of its values.
_ABOVE_THE_SEA, _BELOW_ABOVE_THE_SEA = 50.0, 30.0


def plausible(quantity: str, limits: Limits) -> tuple[float, float]:
    """The least and the largest value, in the stored unit, for which a number of the usual list is taken as honest."""
    low, high = limits.range_min, limits.range_max
    if quantity not in ("water_level", "self_test"):
        return (0.0 if low is None else low, 0.0 if high is None else high)
    if low is None:
        lowest = limits.lowest
        if lowest is None:
            low = _LEAST
        else:
            low = lowest - _BELOW_ABOVE_THE_SEA if lowest > _ABOVE_THE_SEA else min(0.0, lowest) - _BELOW
    if high is None:
        high = _MOST if limits.highest is None else limits.highest + _ABOVE
    return low, high


def numbers_for_nothing(deployment: Deployment, unit: Unit, limits: Limits) -> frozenset[float]:
    """Which numbers stand for no measurement where the device sends them in `unit`, before scale and shift.

    The four-byte floats next to them are among them: many loggers send those.
    """
    if deployment.nothing is not None:
        return _with_floats(frozenset(deployment.nothing))
    sensor = deployment.sensor
    low, high = plausible(sensor.quantity, limits)
    if deployment.quantity == "distance" and sensor.quantity == "water_level" and limits.lowest is not None:
        # 9999 mm means that nothing came back; a distance that means water at the lowest threshold is believed
        low = max(low, limits.lowest)
    usual = set(USUAL) | set(_OF_TEMPERATURE.get(unit.symbol, ()))
    if sensor.is_amount or deployment.quantity == "rainfall":
        usual |= {-1.0}

    def stored(number: float) -> float:
        return convert(number, unit, deployment.unit) * deployment.scale + deployment.shift

    return _with_floats(frozenset(n for n in usual if not low <= stored(n) <= high))


@lru_cache(1000)  # thousands of devices share a few lists
def _with_floats(numbers: frozenset[float]) -> frozenset[float]:
    found = {float(n) for n in numbers}
    return frozenset(found | {struct.unpack("<f", struct.pack("<f", n))[0] for n in found if abs(n) < 1e38})
