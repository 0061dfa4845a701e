"""A gateway that can take nothing says nothing of itself: else its sensors would be called silent."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal
from gateway.service import Gateway
from kawamori import wire
from kawamori.mqtt import Link
from kawamori.mqtt.publisher import Publisher
from kawamori.operate.servers import private_broker
from kawamori.settings import GatewaySettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
#: A sign comes every 10 s, and a second later at most; a link may be away for 10 s.
USUAL, CUT_OFF = 11.0, 10.0
MIB = 1024 * 1024


@asynccontextmanager
async def gateway_between(devices_url: str, uplink_url: str, journal: Journal) -> AsyncIterator[list[float]]:
    """A gateway whose devices and whose ingest are on brokers of their own; yields when its signs of life came."""
    signs: list[float] = []
    stop = asyncio.Event()
    devices = Link(devices_url, "devices", [wire.DEVICE_READINGS], keep_session=True)
    uplink, ingest = Link(uplink_url, "uplink", [wire.ack_topic("g")]), Link(uplink_url, "ingest", [wire.ALIVE])
    gateway = Gateway(journal, GatewaySettings(id="g"), devices, uplink)

    async def hear() -> None:
        while True:
            messages = await ingest.receive(10)
            ingest.acknowledge(messages)
            signs.extend(time.monotonic() for _ in messages)

    async with asyncio.TaskGroup() as group:
        work: list[Any] = [
            *(link.stay_connected() for link in (devices, uplink, ingest)),
            gateway.receive(stop), gateway.say_alive(stop), hear(),
        ]  # fmt: skip
        tasks = [group.create_task(one) for one in work]
        try:
            yield signs
        finally:
            for task in tasks:
                task.cancel()


async def sign_after(signs: list[float], moment: float, within: float) -> None:
    async with asyncio.timeout_at(asyncio.get_running_loop().time() + within):
        while not signs or signs[-1] <= moment:  # noqa: ASYNC110 - the list is all there is
            await asyncio.sleep(0.05)


async def silence_after(signs: list[float], moment: float) -> None:
    """Nothing comes after that moment for longer than between two signs."""
    await asyncio.sleep(moment + USUAL + 1 - time.monotonic())
    assert not signs or signs[-1] <= moment


async def test_a_gateway_that_no_device_reaches_is_not_alive(tmp_path: Path) -> None:
    with private_broker() as devices, private_broker() as uplink:
        async with gateway_between(devices.url, uplink.url, Journal(tmp_path / "journal.db")) as signs:
            await sign_after(signs, 0, within=10)
            await asyncio.to_thread(devices.stop)
            await silence_after(signs, time.monotonic() + CUT_OFF + 1)
            await asyncio.to_thread(devices.start)
            await sign_after(signs, time.monotonic(), within=USUAL)


async def test_a_gateway_whose_journal_takes_nothing_is_not_alive_until_there_is_room(
    tmp_path: Path, payload: Callable[..., bytes]
) -> None:
    ballast = tmp_path / "ballast"
    journal = Journal(tmp_path / "journal.db", keep_free=shutil.disk_usage(tmp_path).free - 512 * MIB)
    with private_broker() as devices, private_broker() as uplink:
        async with (
            gateway_between(devices.url, uplink.url, journal) as signs,
            Publisher(devices.url, "device") as device,
        ):
            await device.wait_connected()
            await sign_after(signs, 0, within=10)
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 1024 * MIB)
            try:
                device.publish(wire.device_topic("dev", "reading"), payload("2026-07-14T00:00:00Z", 1.0))
                await silence_after(signs, time.monotonic() + 1)
                assert journal.waiting() == 0
            finally:
                ballast.unlink()
            await sign_after(signs, time.monotonic(), within=5)
            assert journal.waiting() == 1
