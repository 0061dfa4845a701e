"""The night that the demo opens on: a day before now, and what the rivers do from now on at their true pace. Pure."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from kawamori.domain.registry import Limits
from kawamori.storage.registry import StationPlan
from kawamori.wire import DeviceReading
from simulators import city, river
from simulators.city import RIVERS, STORM, Gauge, Weather
from simulators.night import MINUTE, ON_THE_WAY, Heard

#: Registered for the level sensors; they report twice as often, so that one lost report makes nothing late.
LEVEL_EVERY = timedelta(seconds=10)
REPORT_EVERY = timedelta(seconds=5)
RAIN_EVERY = MINUTE
#: Minutes of the river before the demo begins, and after it; what is told of the past is its last day.
PAST, AHEAD = 30 * 60, 14 * 60
TOLD = 24 * 60
#: Which level each station reaches next, and after about how many seconds of the demo. The others stay calm.
REACHES = {
    "shigi-takinoue": (4, 60), "shigi-yamaguchi": (3, 90), "shigi-kamimachi": (3, 135), "shigi-ohashi": (2, 75),
    "shigi-nakasu": (2, 150), "shigi-shiomi": (1, 70),
    "asagiri-minenosawa": (2, 1200), "asagiri-tanaka": (1, 60), "asagiri-ekimae": (1, 135),
}  # fmt: skip
#: Where thresholds 1 to 5 lie between low water and the one that is reached first, which lies at its own share.
_SHARES = (0.46, 0.62, 0.80, 1.00, 1.22)
#: Where they lie at the stations that stay calm: between low water and the highest of the night.
_CALM = (1.25, 1.45, 1.70, 2.00, 2.40)
_SCENARIOS = {"typhoon": 1.0, "calm": 0.008}


@cache
def weather(scenario: str) -> Weather:
    """Levels and rain, a value a minute: a band of rain half a day ago, then the typhoon. Raises KeyError."""
    storms, minutes = {}, PAST + AHEAD
    at = np.arange(minutes) - PAST
    for n, stream in enumerate(RIVERS):
        total = STORM[stream.id] * _SCENARIOS[scenario]
        swell = np.exp(-0.5 * ((at - 55.0 - 15 * n) / 75.0) ** 2)
        falls = 0.74 * total * swell / swell.sum()
        for seed, share, centre, spread in ((131 + n, 0.09, -13 * 60.0, 90.0), (7 + n, 0.18, -20.0, 200.0)):
            falls += river.rain(seed, minutes, share * total, PAST + centre, spread)
        storms[stream.id] = np.convolve(falls, np.ones(30) / 30, "same")
    return city.under(storms)


def level_at(scenario: str, station: str, minute: float) -> float:
    """A station's level (m) so many minutes after the demo began; after the last hour of the night, its last."""
    series = weather(scenario).levels[station]
    return float(np.interp(PAST + minute, np.arange(series.size), series))


def thresholds(gauge: Gauge) -> dict[int, float]:
    """The gauge's thresholds 1 to 5 in m, to the centimetre: one of them is just above the water as the demo begins."""
    series = weather("typhoon").levels[gauge.id]
    low = float(series[PAST - TOLD : PAST - TOLD + 60].mean())
    if gauge.id not in REACHES:
        return {n: round(low + share * (float(series.max()) - low), 2) for n, share in enumerate(_CALM, start=1)}
    level, seconds = REACHES[gauge.id]
    first = level_at("typhoon", gauge.id, seconds / 60)
    rise = (first - low) / _SHARES[level - 1]
    steps = {n: round(low + share * rise, 2) for n, share in enumerate(_SHARES, start=1)}
    return steps | {level: math.ceil(first * 100) / 100}


def plans(now: datetime) -> list[StationPlan]:
    """The city with sensors that report every few seconds, registered before the night begins."""
    since = now - timedelta(days=2)
    limits = Limits(range_min=-3, range_max=20, max_step=0.5, max_rate_h=8.0, spike=0.25)
    found = []
    for gauge, plan in zip((g for stream in RIVERS for g in stream.gauges), city.plans(now), strict=True):
        steps = thresholds(gauge)
        left, right = round(steps[5] + 0.35, 2), round(steps[5] + 0.30, 2)
        sensors = [
            replace(sensor, valid_from=since, report_every=LEVEL_EVERY, limits=limits)
            if sensor.quantity == "water_level"
            else replace(sensor, valid_from=since, report_every=RAIN_EVERY)
            for sensor in plan.sensors
        ]
        found.append(
            replace(
                plan, valid_from=since, thresholds=steps, sensors=tuple(sensors),
                marks={"crest_left": left, "crest_right": right},
                cross_section=city.cross_section(gauge, left, right, bank=steps[1]),
            )
        )  # fmt: skip
    return found


def history(scenario: str, now: datetime) -> list[Heard]:
    """A day of the city, minute by minute, up to a minute before `now`, in the order of arrival."""
    return [heard for minute in range(-TOLD, 0) for heard in _heard_at(scenario, minute, now)]


def _heard_at(scenario: str, minute: int, now: datetime) -> Iterator[Heard]:
    at = now + minute * MINUTE
    chance = random.Random(f"{scenario} {minute}")  # noqa: S311 - a seeded simulation
    for stream in RIVERS:
        for gauge in stream.gauges:
            value = round(level_at(scenario, gauge.id, minute) + chance.gauss(0, 0.002), 3)
            yield Heard(at + ON_THE_WAY, f"{gauge.id}-level", DeviceReading(at, "water_level", value, "m"))
    for station, amount in rain_at(scenario, minute).items():
        yield Heard(at + ON_THE_WAY, f"{station}-rain", DeviceReading(at, "rainfall", amount, "mm"))


def rain_at(scenario: str, minute: int) -> dict[str, float]:
    """What fell on each rain gauge (mm) in the minute that ends so many minutes after the demo began."""
    place = min(max(PAST + minute - 1, 0), PAST + AHEAD - 1)
    return {station: round(float(series[place]), 2) for station, series in weather(scenario).rain.items()}


def levels_at(scenario: str, elapsed: timedelta) -> dict[str, float]:
    """Every station's level (m) so long after the demo began."""
    return {gauge.id: level_at(scenario, gauge.id, elapsed / MINUTE) for s in RIVERS for gauge in s.gauges}
