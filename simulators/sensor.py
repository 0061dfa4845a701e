"""How a sensor sees the river, and what goes wrong with sensors. Faults are small functions that compose.

A fault takes a report and gives the reports that are sent in its place: none, one or several, in sending order.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Report:
    """What a sensor says: when, and how much in its stored unit."""

    at: datetime
    value: float


Fault = Callable[[Report], list[Report]]


def noise(chance: random.Random, sigma: float = 0.003, resolution: float = 0.001) -> Fault:
    """Normal noise (3 mm is a good gauge's in quiet water), then the sensor's resolution."""

    def apply(report: Report) -> list[Report]:
        value = round((report.value + chance.gauss(0, sigma)) / resolution) * resolution
        return [replace(report, value=round(value, 6))]

    return apply


def spike(chance: random.Random, probability: float, size: float) -> Fault:
    """Now and then a single value out of the water."""
    return lambda report: [replace(report, value=report.value + size) if chance.random() < probability else report]


def stuck(start: datetime, end: datetime) -> Fault:
    """The first value after `start` again and again until `end`."""
    held: list[float] = []

    def apply(report: Report) -> list[Report]:
        if not start <= report.at < end:
            return [report]
        held.append(report.value)
        return [replace(report, value=held[0])]

    return apply


def silence(start: datetime, end: datetime) -> Fault:
    """Nothing at all between the two."""
    return lambda report: [] if start <= report.at < end else [report]


def clock_skew(by: timedelta) -> Fault:
    """A clock that is off."""
    return lambda report: [replace(report, at=report.at + by)]


def duplicate(chance: random.Random, probability: float) -> Fault:
    """The same report twice."""
    return lambda report: [report] * (2 if chance.random() < probability else 1)


def reorder(chance: random.Random, depth: int) -> Fault:
    """Reports leave in another order than they were measured, at most twice `depth` reports too late."""
    waiting: list[tuple[int, Report]] = []
    count = 0

    def apply(report: Report) -> list[Report]:
        nonlocal count
        count += 1
        waiting.append((count, report))
        if len(waiting) <= depth:
            return []
        overdue = count - waiting[0][0] >= 2 * depth
        return [waiting.pop(0 if overdue else chance.randrange(len(waiting)))[1]]

    return apply


def through(faults: Iterable[Fault], report: Report) -> list[Report]:
    """Send a report through the faults, one after the other."""
    reports = [report]
    for fault in faults:
        reports = [out for one in reports for out in fault(one)]
    return reports
