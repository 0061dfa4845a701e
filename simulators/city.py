"""The demo city: two rivers from the hills to the bay, twelve level stations, three rain gauges. All fictitious."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from kawamori.domain.registry import Limits
from kawamori.storage.registry import SensorPlan, StationPlan
from simulators import river
from simulators.river import Series

#: One second of the demo is so many of the typhoon.
COMPRESSION = 60
REPORT_EVERY = timedelta(seconds=2)
#: One typhoon and the fair weather after it, in minutes of the river's time; then the next one comes.
CYCLE = 780
#: Where thresholds 1–5 lie between the level before the typhoon and its peak there.
_QUICK = (0.22, 0.38, 0.52, 0.66, 0.86)
_SLOW = (0.30, 0.50, 0.72, 0.94, 1.20)
_MILD = (0.45, 0.80, 1.15, 1.40, 1.75)
_CALM = (1.15, 1.35, 1.60, 1.90, 2.30)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A level station and the reach above it."""

    id: str
    name_ja: str
    name_en: str
    lon: float
    lat: float
    km: float
    #: Catchment that drains into the reach above this gauge, and its quickness (Nash k, minutes).
    area_km2: float
    k_minutes: float
    #: The flood's travel time from the gauge above, minutes.
    travel: float
    #: Rating: width-like factor a; the exponent is 1.7.
    a: float
    zero_tp_m: float
    shares: tuple[float, ...] = _SLOW
    rain_gauge: bool = False


@dataclass(frozen=True, slots=True)
class River:
    """A river with its gauges from the source down, and its course for the map."""

    id: str
    name_ja: str
    name_en: str
    gauges: tuple[Gauge, ...]
    course: tuple[tuple[float, float], ...]


SHIGI = River(
    "shigi", "鴫川", "Shigi River",
    (
        Gauge("shigi-takinoue", "滝ノ上", "Takinoue", 140.412, 36.502, 24.0, 14, 7, 0, 18, 96.0, _QUICK, True),
        Gauge("shigi-yamaguchi", "山口橋", "Yamaguchi Bridge", 140.436, 36.481, 20.1, 9, 9, 10, 22, 61.5, _QUICK),
        Gauge("shigi-kamimachi", "上町", "Kamimachi", 140.463, 36.463, 15.8, 12, 12, 14, 30, 38.2, _QUICK),
        Gauge("shigi-ohashi", "鴫大橋", "Shigi Ohashi", 140.495, 36.447, 11.2, 16, 16, 18, 42, 19.6),
        Gauge("shigi-nakasu", "中洲", "Nakasu", 140.522, 36.436, 7.5, 6, 18, 16, 55, 8.1),
        Gauge("shigi-shiomi", "汐見橋", "Shiomi Bridge", 140.551, 36.424, 3.2, 5, 20, 18, 75, 1.4, rain_gauge=True),
        Gauge("shigi-kako", "鴫川河口", "Shigi Mouth", 140.574, 36.413, 0.4, 2, 20, 12, 110, -0.6, _CALM),
    ),
    ((140.395, 36.515), (140.412, 36.502), (140.424, 36.489), (140.436, 36.481), (140.452, 36.474), (140.463, 36.463),
     (140.478, 36.452), (140.495, 36.447), (140.509, 36.444), (140.522, 36.436), (140.538, 36.428), (140.551, 36.424),
     (140.574, 36.413), (140.580, 36.411)),
)  # fmt: skip
ASAGIRI = River(
    "asagiri", "朝霧川", "Asagiri River",
    (
        Gauge("asagiri-minenosawa", "峰ノ沢", "Minenosawa", 140.438, 36.402, 15.5, 8, 8, 0, 14, 72.3, _SLOW, True),
        Gauge("asagiri-tanaka", "田中橋", "Tanaka Bridge", 140.466, 36.400, 12.0, 7, 12, 12, 20, 33.0, _MILD),
        Gauge("asagiri-shinden", "新田", "Shinden", 140.496, 36.396, 8.3, 6, 14, 14, 28, 14.7, _MILD),
        Gauge("asagiri-ekimae", "駅前橋", "Ekimae Bridge", 140.524, 36.393, 4.9, 5, 15, 12, 34, 5.2, _MILD),
        Gauge("asagiri-minato", "港橋", "Minato Bridge", 140.560, 36.388, 1.1, 3, 18, 12, 60, -0.3, _CALM),
    ),
    ((140.420, 36.404), (140.438, 36.402), (140.452, 36.398), (140.466, 36.400), (140.481, 36.399), (140.496, 36.396),
     (140.510, 36.391), (140.524, 36.393), (140.543, 36.391), (140.560, 36.388), (140.569, 36.386)),
)  # fmt: skip
RIVERS = (SHIGI, ASAGIRI)
#: Millimetres of rain of the typhoon on each river's catchment; a calm day has next to none.
STORM = {"shigi": 190.0, "asagiri": 130.0}
_SCENARIOS = {"typhoon": 1.0, "calm": 0.02}


@dataclass(frozen=True, slots=True)
class Weather:
    """One cycle of the city: levels (m) and rain (mm a minute) by gauge, one value a minute."""

    levels: dict[str, Series]
    rain: dict[str, Series]


def under(storms: Mapping[str, Series], tide_from: int = 0) -> Weather:
    """What the rivers do under these storms, by river, in mm a minute; the tide began `tide_from` minutes before."""
    levels, rains = {}, {}
    for stream in RIVERS:
        storm = storms[stream.id]
        flow = np.zeros(storm.size)
        for gauge in stream.gauges:
            local = river.catchment(river.effective(storm), gauge.area_km2, gauge.k_minutes, 0.04 * gauge.area_km2)
            flow = river.muskingum(flow, gauge.travel) + local if gauge.travel else local
            level = river.stage(flow, gauge.a, 1.7, 0.1)
            # the tide goes on through the storms: its clock is not reset by the next one
            levels[gauge.id] = level + river.tide(tide_from + storm.size, 0.55, gauge.km)[tide_from:]
            if gauge.rain_gauge:
                rains[gauge.id] = storm
    return Weather(levels, rains)


@cache
def weather(scenario: str, cycle: int) -> Weather:
    """The cycle's levels and rain; the same scenario and number give the same flood. Raises KeyError."""
    share = _SCENARIOS[scenario]
    strength = share * (1.0 if cycle == 0 else float(np.random.default_rng(cycle).uniform(0.75, 1.05)))
    storms = {
        stream.id: river.rain(7 + 10 * cycle + number, CYCLE, STORM[stream.id] * strength, 88 + 14 * number, 34)
        for number, stream in enumerate(RIVERS)
    }
    return under(storms, cycle * CYCLE)


def thresholds(gauge: Gauge) -> dict[int, float]:
    """The gauge's thresholds 1–5 in m, held against the first typhoon; rounded as real ones are."""
    level = weather("typhoon", 0).levels[gauge.id]
    low, peak = float(level[:20].max()), float(level.max())
    return {n: round(low + share * (peak - low), 2) for n, share in enumerate(gauge.shares, start=1)}


#: Where the town lies along each river, by the gauge's distance from the mouth (km): (from there up, ja, en).
_WARDS = ((14.0, "山手区", "Yamate Ward"), (6.0, "中央区", "Chuo Ward"), (-1.0, "港区", "Minato Ward"))


def ward(gauge: Gauge) -> tuple[str, str]:
    """The ward that the gauge stands in: (ja, en)."""
    return next((ja, en) for km, ja, en in _WARDS if gauge.km >= km)


def cross_section(gauge: Gauge, left: float, right: float, bank: float) -> tuple[tuple[float, float], ...]:
    """A low-water channel in a flood plain at `bank` between two levees with these crests; wider downstream. Metres."""
    width = 18.0 + 1.4 * gauge.a
    shape = (
        (0.0, left - 2.6), (0.10, left), (0.13, left), (0.24, bank + 0.4), (0.36, bank), (0.42, -0.6), (0.50, -1.1),
        (0.57, -0.7), (0.63, bank - 0.1), (0.77, bank + 0.5), (0.87, right), (0.90, right), (1.0, right - 2.2),
    )  # fmt: skip
    return tuple((round(share * width, 1), round(height, 2)) for share, height in shape)


def plans(now: datetime) -> list[StationPlan]:
    """The city, ready to be registered."""
    since = now - timedelta(days=1)
    limits = Limits(range_min=-3, range_max=20, max_step=0.5, max_rate_h=8.0 * COMPRESSION, spike=0.25)
    found = []
    for stream in RIVERS:
        for gauge in stream.gauges:
            steps = thresholds(gauge)
            ward_ja, ward_en = ward(gauge)
            left, right = round(steps[5] + 0.35, 2), round(steps[5] + 0.30, 2)
            sensors = [
                SensorPlan(
                    quantity="water_level", device_id=f"{gauge.id}-level", valid_from=since,
                    report_every=REPORT_EVERY, limits=limits,
                )
            ]  # fmt: skip
            if gauge.rain_gauge:
                sensors.append(
                    SensorPlan(
                        quantity="rainfall", device_id=f"{gauge.id}-rain", valid_from=since, report_every=REPORT_EVERY
                    )
                )
            found.append(
                StationPlan(
                    station_id=gauge.id, name_ja=gauge.name_ja, name_en=gauge.name_en, river_id=stream.id,
                    river_name_ja=stream.name_ja, river_name_en=stream.name_en, valid_from=since, lon=gauge.lon,
                    lat=gauge.lat, km=gauge.km, gauge_zero_tp_m=gauge.zero_tp_m, thresholds=steps,
                    marks={"crest_left": left, "crest_right": right}, ward_ja=ward_ja, ward_en=ward_en,
                    cross_section=cross_section(gauge, left, right, bank=steps[1]),
                    sensors=tuple(sensors), course=stream.course,
                )
            )  # fmt: skip
    return found
