"""What a sheet says that would keep people from being told in time, or at all: long waits, heights taken as nothing."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any

from kawamori.domain.registration.plans import Remark, SensorPlan, StationPlan

#: An alert that waits longer after the water has come comes too late: small rivers of Japan peak within the hour.
WAITS = timedelta(minutes=30)
#: An alert that lasts so long after the water has fallen covers the next rise.
OUTLASTS = timedelta(hours=12)
#: Water that has to fall so far below the threshold leaves an alert standing for days.
FALLS_M = 1.0
#: A sensor that reports more seldom than this is missed only days after it fell silent.
SELDOM = timedelta(hours=6)
#: Readings that usually come later than this are told of when it is over.
LATE = timedelta(hours=3)
#: No gauge's threshold lies so far below its own zero.
BELOW_ZERO_M = -10.0
#: Where heights are those above the sea, water stands no further below the lowest threshold.
BELOW_ABOVE_THE_SEA_M = 20.0


def of_station(plan: StationPlan) -> Iterator[Remark]:
    """What of this station's plan would keep an alarm back."""
    every = next((s.report_every for s in plan.sensors if s.quantity == "water_level"), timedelta(minutes=10))
    yield from _terms(plan.station_id, "", {"hold": plan.hold, "hysteresis_m": plan.hysteresis_m}, every)
    for level, terms in sorted(plan.terms.items()):
        yield from _terms(plan.station_id, f"thresholds.{level}.", terms, every)
    for level, value in sorted(plan.thresholds.items()):
        if value < BELOW_ZERO_M:
            text = f"{value:g} m lies far below the gauge's zero: water there alarms always; is it right?"
            yield Remark(plan.station_id, f"thresholds.{level}", text)
    for place, sensor in enumerate(plan.sensors):
        yield from _sensor(plan, f"sensors.{place}", sensor)


def _terms(about: str, at: str, terms: Mapping[str, Any], every: timedelta) -> Iterator[Remark]:
    hold, consecutive = terms.get("hold"), terms.get("consecutive")
    lasts, falls = terms.get("keep_firing"), terms.get("hysteresis_m")
    if hold is not None and hold > WAITS:
        yield Remark(about, f"{at}hold", f"people are told only {_long(hold)} after the water came: is it meant?")
    if consecutive is not None and (waits := (consecutive - 1) * every) > WAITS:
        text = f"{consecutive} readings of one every {_long(every)} take {_long(waits)}: nobody is told before"
        yield Remark(about, f"{at}consecutive", text)
    if lasts is not None and lasts > OUTLASTS:
        text = f"the alert lasts {_long(lasts)} longer than the water: a second rise meanwhile is told to nobody"
        yield Remark(about, f"{at}keep_firing", text)
    if falls is not None and falls > FALLS_M:
        text = f"the alert ends only when the water is {falls:g} m below its threshold: is it in metres?"
        yield Remark(about, f"{at}hysteresis_m", text)


def _sensor(plan: StationPlan, at: str, sensor: SensorPlan) -> Iterator[Remark]:
    if sensor.report_every > SELDOM:
        text = f"one reading in {_long(sensor.report_every)}: its silence is noticed as late"
        yield Remark(plan.station_id, f"{at}.report_every", text)
    if sensor.usual_delay is not None and sensor.usual_delay > LATE:
        text = f"readings that are {_long(sensor.usual_delay)} old when they come warn nobody in time"
        yield Remark(plan.station_id, f"{at}.usual_delay", text)
    if sensor.quantity == "water_level" and sensor.nothing:
        yield from _nothing(plan, at, sensor, sensor.nothing)


def _nothing(plan: StationPlan, at: str, sensor: SensorPlan, numbers: Sequence[float]) -> Iterator[Remark]:
    """Numbers for "no measurement" that are heights at which the water can stand."""
    crests = [mark for kind, mark in plan.marks.items() if kind.startswith("crest") and mark is not None]
    top, lowest = max([*plan.thresholds.values(), *crests], default=-inf), min(plan.thresholds.values(), default=0.0)
    bottom = lowest - BELOW_ABOVE_THE_SEA_M if lowest > BELOW_ABOVE_THE_SEA_M else 0.0
    for number in numbers:
        height = number * sensor.scale + sensor.shift
        no_echo = sensor.reports == "distance" and number <= 0
        if bottom < height <= top and not no_echo:
            text = f"{number:g} is a height at which water can stand here ({height:g} m): that reading would be refused"
            yield Remark(plan.station_id, f"{at}.nothing", text)


def _long(time: timedelta) -> str:
    """A span of time in the largest whole unit."""
    minutes = time / timedelta(minutes=1)
    if minutes >= 2880:
        return f"{minutes / 1440:.3g} days"
    return f"{minutes / 60:.3g} h" if minutes >= 120 else f"{minutes:.3g} min"
