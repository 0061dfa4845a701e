"""What a sensor's values are held against: from the station's own registration, never one number for the world. Pure.

A limit that was never registered for a sensor fails nothing. What is registered of the station - thresholds, crests,
marks - says where its water can stand: beyond that a value is in doubt, and still alarms.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf, isfinite
from typing import NamedTuple

from kawamori.domain.quantity import convert
from kawamori.domain.reading import SensorId
from kawamori.domain.registry import Deployment, Limits, Registry, Station

#: No water on land stands lower or higher above any zero: shores of the Dead Sea at -430 m, lakes below 6,500 m.
ABSURD_M = (-500.0, 9000.0)
#: Levels are held to it as far as they are levels; the self-test's are.
LEVELS = ("water_level", "self_test")
#: A value so far below zero and the lowest registered height, or above the highest, is in doubt.
DOUBT_BELOW_M, DOUBT_ABOVE_M = 50.0, 30.0
#: A registered limit fails no value up to this above the station's highest threshold or mark.
REACH_M = 3.0


class Bounds(NamedTuple):
    """Beyond `low` and `high` a value has failed; beyond `sure_low` and `sure_high` it is in doubt."""

    low: float
    high: float
    sure_low: float
    sure_high: float


def bounds_of(limits: Limits) -> Bounds:
    """What the limits come to. A registered one that the station's own thresholds lie beyond is in doubt itself."""
    low = -inf if limits.range_min is None else limits.range_min
    high = inf if limits.range_max is None else limits.range_max
    sure_low, sure_high = low, high
    if limits.lowest is not None and limits.highest is not None:
        if limits.range_min is None:
            sure_low = min(0.0, limits.lowest) - DOUBT_BELOW_M
        elif limits.lowest < low:
            low = limits.lowest - REACH_M
        if limits.range_max is None:
            sure_high = limits.highest + DOUBT_ABOVE_M
        elif limits.highest > high:
            high = limits.highest + REACH_M
    if limits.is_level:
        low, high = max(low, ABSURD_M[0]), min(high, ABSURD_M[1])
    return Bounds(low, high, sure_low, sure_high)


def limits_of(registry: Registry) -> Mapping[SensorId, Limits]:
    """The limits of every sensor, with what the registry says of its station and of what its devices can measure."""
    edges: dict[SensorId, set[float]] = defaultdict(set)
    for found in registry.deployments.values():
        for deployment in found:
            edges[deployment.sensor.id].update(edges_of(deployment))
    complete = {}
    for id_, sensor in registry.sensors.items():
        limits = replace(sensor.limits, edges=tuple(sorted(edges.get(id_, ()))))
        if sensor.quantity in LEVELS:
            station = registry.stations.get(sensor.station)
            heights = [*_marks(station), *(t.value_m for t in registry.thresholds.get(sensor.station, ()))]
            known = [h for h in heights if isfinite(h) and ABSURD_M[0] <= h <= ABSURD_M[1]]
            limits = replace(
                limits, is_level=True, lowest=min(known, default=None), highest=max(known, default=None)
            )  # fmt: skip
        complete[id_] = limits
    return complete


def _marks(station: Station | None) -> Iterable[float]:
    if station is None:
        return ()
    marks = (station.crest_left_m, station.crest_right_m, station.design_high_water_m, station.observation_start_m)
    return (mark for mark in marks if mark is not None)


#: Where makers of distance sensors let the range end, in m: the nearest and the farthest that a sonar or radar says
#: when it sees nothing (MaxBotix MB7xxx 300, 500, 5000, 9999 mm; A02YYUW 30, 4500 mm; radars of 8, 10, 15, 20, 30 m).
_ENDS_M = (0.03, 0.2, 0.25, 0.28, 0.3, 0.5, 0.6, 0.75, 4.5, 5.0, 7.5, 7.65, 8.0, 9.998, 9.999, 10.0, 15.0, 16.5, 20.0,
           30.0)  # fmt: skip


def edges_of(deployment: Deployment) -> set[float]:
    """Stored values that stand for an end of what the device can measure; the usual ends for a distance sensor."""
    span_unit = deployment.span_unit or deployment.unit
    if span_unit.dimension != deployment.unit.dimension:
        return set()  # registered wrongly: the validator refuses every reading
    span = (deployment.span_min, deployment.span_max)
    ends = [convert(end, span_unit, deployment.unit) for end in span if end is not None]
    if deployment.quantity == "distance" and deployment.unit.dimension == "length":
        ends += [end / deployment.unit.scale for end in _ENDS_M]
    return {round(end * deployment.scale + deployment.shift, 6) for end in ends}


class Seen(NamedTuple):
    """A reading as far as a run of failed ones goes."""

    at: datetime
    value: float
    #: It lies beyond the limits.
    beyond: bool


#: So many failed readings in a row that agree, or two over ten minutes, are a wrong limit and not a wrong sensor.
AGREEING = 3
AGREEING_FOR = timedelta(minutes=10)
#: Water moves by no more than this between two readings, or as fast as the fastest recorded rise (16 m/h).
_CLOSE_M, FASTEST_H = 0.5, 20.0


def agreeing_run(newest_first: Iterable[Seen]) -> list[Seen]:
    """The newest readings that lie beyond the limits and agree with each other, newest first; empty for too few."""
    run: list[Seen] = []
    for seen in newest_first:
        if not seen.beyond:
            break
        if run:
            later = run[-1]
            hours = (later.at - seen.at).total_seconds() / 3600
            if abs(later.value - seen.value) > max(_CLOSE_M, FASTEST_H * hours):
                break
        run.append(seen)
    long = len(run) >= AGREEING or (len(run) > 1 and run[0].at - run[-1].at >= AGREEING_FOR)
    return run if long else []
