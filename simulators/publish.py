"""Simulated devices: they measure the city's rivers and publish as real ones do."""

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from kawamori import wire
from kawamori.errors import BrokerUnavailable, StorageUnavailable
from kawamori.mqtt import Link
from kawamori.mqtt.publisher import Publisher
from kawamori.observe import log
from kawamori.runtime import forever, now, sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.registry import StationPlan, register
from kawamori.wire import device_topic
from simulators import opening
from simulators.city import COMPRESSION, CYCLE, REPORT_EVERY, RIVERS, plans, weather
from simulators.night import Heard
from simulators.sensor import Fault, Report, noise, silence, spike, through

#: Which demo stations are not well: one spits spikes, one falls silent for a while.
SPIKY, SILENT = "asagiri-shinden", "asagiri-minato"
#: Readings of the past in one batch, and seconds after which what ingest has not acknowledged is sent again.
_TOGETHER, _ACKNOWLEDGED_WITHIN = 2000, 5.0


def as_sent(value: float) -> float:
    """The number as devices send it: to a millionth."""
    return round(value, 6)


def payload(report: Report, quantity: str, unit: str, mark: str | None = None) -> bytes:
    """The report as a device sends it; `mark` is what its source says beside the number."""
    message = {"time": report.at.isoformat(), "quantity": quantity, "value": as_sent(report.value), "unit": unit}
    return json.dumps(message if mark is None else message | {"mark": mark}).encode()


def faults_of(station: str, begun: datetime, chance: random.Random) -> list[Fault]:
    """What is wrong with a demo station's sensor."""
    faults: list[Fault] = [noise(chance, 0.002)]
    if station == SPIKY:
        faults.append(spike(chance, 0.01, -0.45))
    if station == SILENT:
        faults.append(silence(begun + timedelta(seconds=200), begun + timedelta(seconds=320)))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What the simulated devices report, and how often."""

    plans: Callable[[datetime], list[StationPlan]]
    #: What their gateway hands on first, in the order of arrival.
    history: Callable[[datetime], list[Heard]]
    #: Levels (m) and rain (mm since the last report) so long after the beginning.
    levels: Callable[[timedelta], dict[str, float]]
    rain: Callable[[timedelta], dict[str, float]]
    every: timedelta
    rain_every: timedelta


def show_of(scenario: str, *, fast: bool) -> Show:
    """A night that began a day ago at its true pace, or one that begins now, sixty times as fast. Raises KeyError."""
    if fast:
        return Show(
            plans=plans, history=lambda _: [], every=REPORT_EVERY, rain_every=REPORT_EVERY,
            levels=lambda elapsed: reports_at(scenario, elapsed)[0],
            rain=lambda elapsed: reports_at(scenario, elapsed)[1],
        )  # fmt: skip
    return Show(
        plans=opening.plans, history=partial(opening.history, scenario), levels=partial(opening.levels_at, scenario),
        rain=lambda elapsed: opening.rain_at(scenario, elapsed // opening.RAIN_EVERY),
        every=opening.REPORT_EVERY, rain_every=opening.RAIN_EVERY,
    )  # fmt: skip


async def tell_history(settings: Settings, heard: list[Heard]) -> None:
    """Hand on what was measured before, as the site's gateway does after an outage: until ingest has stored it.

    Each reading keeps the time at which it was heard of, so that nothing of the past is told to people as new.
    """
    gateway, epoch = settings.gateway.id, f"history-{os.getpid()}"
    waiting: dict[int, bytes] = {}
    for seq, first in enumerate(range(0, len(heard), _TOGETHER), start=1):
        rows = [
            wire.UplinkReading(h.device_id, h.received_at, msgspec.Raw(wire.encode(h.reading)))
            for h in heard[first : first + _TOGETHER]
        ]
        waiting[seq] = wire.encode(wire.Batch(epoch, seq, readings=rows))
    link = Link(settings.mqtt(), f"kawamori-simulator-history-{os.getpid()}", [wire.ack_topic(gateway)])
    connection = asyncio.create_task(link.stay_connected(), name="history")
    try:
        await link.wait_connected()
        while waiting:
            for payload in waiting.values():
                link.publish(wire.batch_topic(gateway), payload)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ACKNOWLEDGED_WITHIN):
                    while waiting:
                        messages = await link.receive(100)
                        link.acknowledge(messages)
                        for ack in (wire.decode_ack(message.payload) for message in messages):
                            if ack.epoch == epoch:
                                waiting.pop(ack.seq, None)
    finally:
        connection.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connection


async def run(settings: Settings, stop: asyncio.Event, scenario: str = "typhoon", *, fast: bool = False) -> None:
    """Register the city, tell what was before, then publish its reports until stopped."""
    show = show_of(scenario, fast=fast)
    registered = False

    async def register_city() -> None:
        nonlocal registered
        if not registered:
            async with Database(settings.database(), "simulate", size=1) as database:
                await register(database, show.plans(now()))
            registered = True

    async with Publisher(settings.mqtt(), f"kawamori-simulator-{os.getpid()}") as link:
        one_time = asyncio.Event()

        async def once() -> None:
            await register_city()
            one_time.set()

        await forever(once, one_time, StorageUnavailable, "the city cannot be registered yet")
        begun = now()
        heard = await asyncio.to_thread(show.history, begun)
        if heard:
            telling = asyncio.create_task(tell_history(settings, heard), name="history")
            stopped = asyncio.create_task(stop.wait(), name="stopped")
            await asyncio.wait({telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not telling.done():
                telling.cancel()
                return
            await telling
        await _report(show, link, begun, stop)


async def _report(show: Show, link: Publisher, begun: datetime, stop: asyncio.Event) -> None:
    """What the devices measure from `begun` on, each at its time."""
    chance = random.Random(2026)  # noqa: S311 - a seeded simulation
    faults = {gauge.id: faults_of(gauge.id, begun, chance) for stream in RIVERS for gauge in stream.gauges}
    # what was measured while the history was handed on is not made up for: the next report is
    tick = max(0, (now() - begun) // show.every)
    while not stop.is_set():
        at = begun + tick * show.every
        wait = (at - now()).total_seconds()
        if wait > 0 and await sleep_or_stop(wait, stop):
            return
        levels = await asyncio.to_thread(show.levels, at - begun)
        rain = show.rain(at - begun) if (at - begun) % show.rain_every < show.every else {}
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
