"""Simulated devices: they measure the city's rivers and publish as real ones do."""

import asyncio
import json
import os
import random
from datetime import datetime, timedelta

from kawamori.errors import BrokerUnavailable, StorageUnavailable
from kawamori.mqtt import Publisher
from kawamori.observe import log
from kawamori.runtime import forever, now, sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.registry import register
from kawamori.wire import device_topic
from simulators.city import COMPRESSION, CYCLE, REPORT_EVERY, RIVERS, plans, weather
from simulators.sensor import Fault, Report, noise, silence, spike, through

#: Which demo stations are not well: one spits spikes, one falls silent for a while.
SPIKY, SILENT = "asagiri-shinden", "asagiri-tanaka"


def as_sent(value: float) -> float:
    """The number as devices send it: to a millionth."""
    return round(value, 6)


def payload(report: Report, quantity: str, unit: str, mark: str | None = None) -> bytes:
    """The report as a device sends it; `mark` is what its source says beside the number."""
    message = {"time": report.at.isoformat(), "quantity": quantity, "value": as_sent(report.value), "unit": unit}
    return json.dumps(message if mark is None else message | {"mark": mark}).encode()


def faults_of(station: str, begun: datetime, chance: random.Random) -> list[Fault]:
    """What is wrong with a demo station's sensor."""
    faults: list[Fault] = [noise(chance)]
    if station == SPIKY:
        faults.append(spike(chance, 0.02, -0.45))
    if station == SILENT:
        faults.append(silence(begun + timedelta(seconds=75), begun + timedelta(seconds=135)))
    return faults


def reports_at(scenario: str, elapsed: timedelta) -> tuple[dict[str, float], dict[str, float]]:
    """Levels (m) and rain (mm since the last report) of the city so long after the demo began."""
    minutes = elapsed.total_seconds() * COMPRESSION / 60
    cycle, minute = divmod(minutes, CYCLE)
    city = weather(scenario, int(cycle))
    levels = {}
    for station, series in city.levels.items():
        i, rest = int(minute), minute - int(minute)
        levels[station] = float(series[i] + (series[min(i + 1, CYCLE - 1)] - series[i]) * rest)
    step = REPORT_EVERY.total_seconds() * COMPRESSION / 60
    rain = {station: float(series[int(minute)]) * step for station, series in city.rain.items()}
    return levels, rain


async def run(settings: Settings, stop: asyncio.Event, scenario: str = "typhoon") -> None:
    """Register the city, then publish its reports every two seconds until stopped."""
    registered = False

    async def register_city() -> None:
        nonlocal registered
        if not registered:
            async with Database(settings.database(), "simulate", size=1) as database:
                await register(database, plans(now()))
            registered = True

    async with Publisher(settings.mqtt(), f"kawamori-simulator-{os.getpid()}") as link:
        one_time = asyncio.Event()

        async def once() -> None:
            await register_city()
            one_time.set()

        await forever(once, one_time, StorageUnavailable, "the city cannot be registered yet")
        begun = now()
        chance = random.Random(2026)  # noqa: S311 - a seeded simulation
        faults = {gauge.id: faults_of(gauge.id, begun, chance) for stream in RIVERS for gauge in stream.gauges}
        tick = 0
        while not stop.is_set():
            at = begun + tick * REPORT_EVERY
            wait = (at - now()).total_seconds()
            if wait > 0 and await sleep_or_stop(wait, stop):
                return
            levels, rain = await asyncio.to_thread(reports_at, scenario, at - begun)
            try:
                for station, level in levels.items():
                    for report in through(faults[station], Report(at, level)):
                        link.publish(device_topic(f"{station}-level", "reading"), payload(report, "water_level", "m"))
                for station, amount in rain.items():
                    message = payload(Report(at, amount), "rainfall", "mm")
                    link.publish(device_topic(f"{station}-rain", "reading"), message)
            except BrokerUnavailable as error:
                log().warning("the simulated devices cannot reach the broker", error=str(error))
            tick += 1
