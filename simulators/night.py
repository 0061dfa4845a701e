"""The demo city at the pace of real sensors: four days that end in the middle of a typhoon night's rise. Pure."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from kawamori.domain.registry import Limits
from kawamori.storage.registry import SensorPlan, StationPlan
from kawamori.wire import DeviceReading
from simulators import city, river
from simulators.city import RIVERS, STORM, Weather

#: The station that people look at: it rains there too, and its sensor has had its troubles.
SHOWN = "shigi-ohashi"
#: Its mast has fallen silent, and a branch lies under its radar.
SILENT, DOUBTFUL = "asagiri-shinden", "asagiri-minato"
#: Minutes before now, and after it.
PAST, AHEAD = 96 * 60, 60
YEAR = timedelta(days=380)
MINUTE = timedelta(minutes=1)
#: From measurement to the gateway.
ON_THE_WAY = timedelta(seconds=2)
#: Minutes ago: a gap in SHOWN's record, what came an hour late, and its values out of the water or beside it.
_GAP, _HELD_UP = range(215, 250), range(60, 84)
_OFF = {600: -0.9, 599: -0.8, 431: -0.7} | dict.fromkeys(range(140, 146), 0.75)
_SILENT_SINCE, _SPIKE_AT = 25, 2


class Heard(NamedTuple):
    """What a gateway heard, when, of which device."""

    received_at: datetime
    device_id: str
    reading: DeviceReading


@cache
def weather(scenario: str) -> Weather:
    """Levels and rain, a value a minute: a first band of rain sixteen hours ago, then the typhoon's own."""
    share = {"typhoon": 1.0, "calm": 0.008}[scenario]
    storms = {}
    for n, stream in enumerate(RIVERS):
        total = STORM[stream.id] * share
        bands = [(131 + 10 * i + n, 0.22 * total, -16 * 60.0, 90.0) for i in range(2)]
        bands += [(7 + 10 * i + n, 0.58 * total, 20.0 + 25 * n, 130.0) for i in range(4)]
        falls = sum(
            (river.rain(seed, PAST + AHEAD, mm, PAST + centre, spread) for seed, mm, centre, spread in bands),
            start=np.zeros(PAST + AHEAD),
        )
        storms[stream.id] = np.convolve(falls, np.ones(15) / 15, "same")
    return city.under(storms)


def plans(now: datetime) -> list[StationPlan]:
    """The city with sensors that report every minute (one of them every ten), registered a year ago and more."""
    since = now - YEAR - timedelta(days=1)
    limits = Limits(range_min=-3, range_max=20, max_step=0.5, max_rate_h=8.0, spike=0.25)
    found = []
    for plan in city.plans(now):
        every = timedelta(minutes=10) if plan.station_id == DOUBTFUL else MINUTE
        sensors = [
            replace(s, report_every=every, valid_from=since, limits=limits if s.quantity == "water_level" else s.limits)
            for s in plan.sensors
        ]
        if plan.station_id == SHOWN:
            sensors.append(
                SensorPlan(
                    quantity="rainfall", device_id=f"{SHOWN}-rain", valid_from=since, report_every=timedelta(minutes=1)
                )
            )
        found.append(replace(plan, valid_from=since, sensors=tuple(sensors)))
    return found


def heard_at(scenario: str, minute: int, now: datetime, *, well: bool) -> Iterator[Heard]:
    """What the city's devices measured `minute` minutes after `now` (before it: negative). `well`: nothing is amiss."""
    skies, at = weather(scenario), now + minute * MINUTE
    chance = random.Random(f"{scenario} {minute}")  # noqa: S311 - a seeded simulation
    ago = -minute
    for station, series in skies.levels.items():
        value = float(series[PAST + minute]) + chance.gauss(0, 0.003)
        received_at = at + ON_THE_WAY
        if station == DOUBTFUL and minute % 10 != -_SPIKE_AT % 10:
            continue
        if not well:
            if (station == SHOWN and ago in _GAP) or (station == SILENT and ago < _SILENT_SINCE):
                continue
            if station == SHOWN:
                value += _OFF.get(ago, 0.0)
                received_at += timedelta(minutes=50 if ago in _HELD_UP else 0)
            if station == DOUBTFUL and ago <= _SPIKE_AT:
                value += 1.75
        yield Heard(received_at, f"{station}-level", DeviceReading(at, "water_level", round(value, 3), "m"))
    for station, rain in {**skies.rain, SHOWN: skies.rain["shigi-takinoue"]}.items():
        amount = round(float(rain[PAST + minute]), 2)
        yield Heard(at + ON_THE_WAY, f"{station}-rain", DeviceReading(at, "rainfall", amount, "mm"))


def history(scenario: str, now: datetime, *, well: bool) -> list[Heard]:
    """All of it up to `now`, in the order of arrival, after an hourly year of SHOWN."""
    found = list(_year(now))
    for minute in range(-PAST, 1):
        found += heard_at(scenario, minute, now, well=well)
    return sorted(found, key=attrgetter("received_at"))


def _year(now: datetime) -> Iterator[Heard]:
    """Once an hour: low water, and a few floods that came and went."""
    chance = np.random.default_rng(2026)
    low = weather("calm").levels[SHOWN]
    wave = city.weather("typhoon", 0).levels[SHOWN]
    wave = (wave - wave[0]) / float(wave.max() - wave[0])
    hours = np.arange(int((YEAR - PAST * MINUTE) / timedelta(hours=1)))
    level = float(low[0]) + 0.15 * np.sin(hours / 8766 * 2 * np.pi) + chance.normal(0, 0.004, hours.size)
    for begin in chance.choice(hours[:-200], 16, replace=False):
        minutes = (hours - begin) * 12.0  # it takes five times as long as the city's typhoon
        level += chance.gamma(2.0) * np.interp(minutes, np.arange(wave.size), wave, left=0.0, right=0.0)
    for hour, value in zip(hours, level, strict=True):
        at = now - YEAR + int(hour) * timedelta(hours=1)
        reading = DeviceReading(at, "water_level", round(float(value), 3), "m")
        yield Heard(at + ON_THE_WAY, f"{SHOWN}-level", reading)
