"""Quantities a sensor may report, the units they come in, and the way to the stored unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of one dimension: base = value x scale + shift (base units: m, mm of rain, kPa, °C, …)."""

    symbol: str
    dimension: str
    scale: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of measurement: `water_level`, `rainfall`, … and the unit it is stored in."""

    name: str
    unit: Unit


def convert(value: float, source: Unit, target: Unit) -> float:
    """Express `value` in `target`; raises ValueError when the two measure different things.

    The result is rounded to the nanounit, so that 213.4 cm is 2.134 m and not 2.1340000000000003 m.
    """
    if source.dimension != target.dimension:
        raise ValueError(f"{source.symbol} is a unit of {source.dimension}, not of {target.dimension}")
    if source.symbol == target.symbol:
        return value
    return round((value * source.scale + source.shift - target.shift) / target.scale, 9)
