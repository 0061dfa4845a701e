# ruff: noqa: E501 - tables read best unbroken
"""The self-test begins anew each time: one that failed passes the next time, and nothing but its own crossing counts."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec import Raw

from alerts.channels.log import LogChannel
from alerts.delivery import Delivery
from alerts.selftest import DEVICE, SelfTest
from kawamori import wire
from kawamori.mqtt import Link, Message
from kawamori.mqtt.publisher import Publisher
from kawamori.settings import AlertSettings, Settings

pytestmark = pytest.mark.integration
TOPIC = wire.device_topic(DEVICE, "reading")


class Chain:
    """Broker to outbox with the test as the gateway: `let_through` says whether readings pass."""

    def __init__(self, rivers: Any, broker_url: str, tmp_path: Path) -> None:
        self.rivers = rivers
        self.settings = Settings(mqtt_url=broker_url, alerts=AlertSettings(log=tmp_path / "log"))
        self.engine = rivers.engine()
        channel = LogChannel(tmp_path / "log")
        self.delivery = Delivery(rivers.database, [channel], self.settings.alerts, lambda: datetime.now(UTC))
        self.link = Link(broker_url, f"test-{uuid4().hex[:8]}", [TOPIC])
        self.let_through = True
        self.kept: list[Message] = []
        self._seq = 0
        # behind the database's clock, by which ingest judges: hours pass in these tests, and none may lie in the future
        self.clock = datetime.now(UTC) - timedelta(hours=6)
        self.steady_at = 0.0

    def self_test(self, patience: float = 2.0) -> SelfTest:
        return SelfTest(
            self.rivers.database, self.settings, [], self.engine, lambda: self.clock, steady=self.steady,
            patience=timedelta(seconds=patience),
        )  # fmt: skip

    def steady(self) -> float:
        return asyncio.get_running_loop().time() + self.steady_at

    async def run(self) -> None:
        """Be gateway, ingest, engine and delivery, for ever."""
        while True:
            self.kept += await self.link.receive(100)
            if self.let_through:
                await self.forward()

    async def forward(self) -> None:
        kept, self.kept = self.kept, []
        self._seq += 1
        readings = [wire.UplinkReading(DEVICE, self.clock, Raw(m.payload)) for m in kept]
        payload = wire.encode(wire.Batch("test", self._seq, readings=readings))
        await self.rivers.ingest.take([Message(wire.batch_topic("g"), payload, self.clock, 0, 1, 0)])
        self.rivers.clock = self.clock
        await self.rivers.settle(self.engine)
        await self.delivery.deliver("log")

    async def outcomes(self) -> list[str]:
        rows = await self.rivers.sql("SELECT event FROM audit WHERE event LIKE 'self_test_%%' ORDER BY audit_id")
        return [event for (event,) in rows]


@pytest.fixture
async def chain(rivers: Any, broker: Any, tmp_path: Path) -> AsyncIterator[Chain]:
    one = Chain(rivers, broker.url, tmp_path)
    await rivers.settle(one.engine)
    tasks = [asyncio.create_task(one.link.stay_connected()), asyncio.create_task(one.run())]
    async with asyncio.timeout(10):
        await one.link.wait_connected()
    yield one
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_failed_passes_the_next_time(chain: Chain) -> None:
    stop, test = asyncio.Event(), chain.self_test()
    async with Publisher(chain.settings.mqtt(), f"t-{uuid4().hex[:8]}") as publisher:
        await publisher.wait_connected()
        assert await test.test(publisher, stop) or await test.test(publisher, stop)
        chain.let_through = False
        chain.clock += timedelta(hours=1)
        assert not await test.test(publisher, stop)
        assert test.trouble
        chain.let_through = True
        await chain.forward()  # it comes late: the alert lasts
        for _ in range(2):
            chain.clock += timedelta(hours=1)
            assert await chain.self_test(5).test(publisher, stop)
    assert (await chain.outcomes())[-3:] == ["self_test_failed", "self_test_passed", "self_test_passed"]


async def test_one_soon_after_another_ends_it_though_its_fall_is_doubted(chain: Chain) -> None:
    stop = asyncio.Event()
    async with Publisher(chain.settings.mqtt(), f"t-{uuid4().hex[:8]}") as publisher:
        await publisher.wait_connected()
        for _ in range(3):
            assert await chain.self_test(5).test(publisher, stop)
            chain.clock += timedelta(minutes=5)


async def test_somebody_elses_crossing_does_not_pass_for_it_and_garbage_harms_nothing(chain: Chain) -> None:
    stop, test = asyncio.Event(), chain.self_test(1.5)
    async with Publisher(chain.settings.mqtt(), f"t-{uuid4().hex[:8]}") as publisher:
        await publisher.wait_connected()
        assert await chain.self_test(5).test(publisher, stop)
        chain.let_through = False
        chain.clock += timedelta(hours=1)
        forged = {
            "time": (chain.clock + timedelta(seconds=1)).isoformat(),
            "quantity": "self_test",
            "value": 5.5,
            "unit": "m",
        }
        testing = asyncio.create_task(test.test(publisher, stop))
        payload = wire.encode(
            wire.Batch("x", 1, readings=[wire.UplinkReading(DEVICE, chain.clock, Raw(json.dumps(forged).encode()))])
        )
        await chain.rivers.ingest.take([Message(wire.batch_topic("g"), payload, chain.clock, 0, 1, 0)])
        chain.rivers.clock = chain.clock
        await chain.rivers.settle(chain.engine)
        await chain.delivery.deliver("log")
        assert not await testing
        publisher.publish(TOPIC, b"\xff{garbage", retain=True)
        publisher.publish(TOPIC, b"", retain=True)


async def test_the_wait_for_the_next_one_goes_by_a_steady_clock(chain: Chain) -> None:
    stop, test = asyncio.Event(), chain.self_test(5)
    async with Publisher(chain.settings.mqtt(), f"t-{uuid4().hex[:8]}") as publisher:
        await publisher.wait_connected()
        assert await test._is_due()
        assert await test.test(publisher, stop)
        assert not await test._is_due()
        assert not await chain.self_test()._is_due(), "another process reads it in the record"
        chain.clock -= timedelta(hours=1)  # somebody sets the clock back
        chain.steady_at += 3500
        assert not await test._is_due()
        chain.steady_at += 100
        assert await test._is_due()
        await chain.rivers.sql("ALTER TABLE audit DISABLE TRIGGER audit_stands")
        await chain.rivers.sql("UPDATE audit SET at = at + interval '1 hour' WHERE event = 'self_test_passed'")
        assert await chain.self_test()._is_due(), "a record that lies ahead says nothing"


async def test_a_broker_that_is_away_fails_the_test_and_ends_nothing(chain: Chain, unused_port: int) -> None:
    test = chain.self_test(1)
    async with Publisher(f"mqtt://127.0.0.1:{unused_port}", "t") as publisher:
        assert not await test.test(publisher, asyncio.Event())
    assert (await chain.outcomes()) == ["self_test_failed"]


@pytest.fixture
def unused_port() -> int:
    from kawamori.operate.servers import free_port

    return free_port()
