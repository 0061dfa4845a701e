"""The hourly self-test: a synthetic crossing goes from the broker to the outbox; if it does not come out, we shout."""

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from alerts.channels import Channel
from alerts.delivery import send_directly, watchers
from alerts.engine import SELF_TEST, Engine
from alerts.messages import JST
from kawamori import wire
from kawamori.domain.reading import StationId
from kawamori.errors import BrokerUnavailable, KawamoriError, StorageUnavailable
from kawamori.mqtt.publisher import Publisher
from kawamori.observe import log
from kawamori.runtime import sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage import audit
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

DEVICE = "kawamori-self-test"
STATION = StationId("kawamori-self-test")
#: How long the crossing may take from the broker to its delivery.
PATIENCE = timedelta(seconds=60)
_LOOK_S = 5.0
#: The crossing is as high as this, and a random part above it in mm: above the threshold, within the sensor's range.
_LEAST, _VALUES = 1.0, 4000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PLAN = StationPlan(
    station_id=STATION, name_ja="自己点検", name_en="Self-test", river_id=STATION, river_name_ja="", river_name_en="",
    valid_from=_EPOCH, internal=True, thresholds={1: 0.5}, hysteresis_m=0.1,
    sensors=(SensorPlan(quantity=SELF_TEST, device_id=DEVICE, valid_from=_EPOCH),),
)  # fmt: skip


class SelfTest:
    """Sends the synthetic crossing, and waits for it at the other end.

    `steady` counts seconds whatever happens to the clocks; `clock` only dates the readings.
    """

    def __init__(
        self, database: Database, settings: Settings, channels: Sequence[Channel], engine: Engine,
        clock: Callable[[], datetime], *, steady: Callable[[], float] = time.monotonic,
        patience: timedelta = PATIENCE,
    ) -> None:  # fmt: skip
        self._database, self._settings, self._channels = database, settings, channels
        self._engine, self._clock, self._steady = engine, clock, steady
        self._patience = patience.total_seconds()
        #: When this process tested last, as long as it leads.
        self._tested_at: float | None = None
        #: Why the last one failed.
        self.trouble: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Test whenever it is due, as long as this engine leads."""
        async with Publisher(self._settings.mqtt(), f"{DEVICE}-{os.getpid()}") as publisher:
            while not await sleep_or_stop(_LOOK_S, stop):
                if not self._engine.leads:
                    self._tested_at = None
                    continue
                try:
                    if await self._is_due():
                        await self.test(publisher, stop)
                except StorageUnavailable:
                    continue  # that the database is away is shouted elsewhere
                except KawamoriError as error:
                    self.trouble = f"the self-test could not be made: {error}"
                    log().error("the self-test could not be made: report this with the log", error=str(error))

    async def _is_due(self) -> bool:
        every = self._settings.alerts.self_test_every
        if self._tested_at is not None:
            return self._steady() - self._tested_at >= every.total_seconds()
        ((age,),) = await self._database.fetch("self_test_age")
        # one that lies ahead was before the database's clock was set back: it says nothing
        return age is None or age < timedelta(0) or age >= every

    async def test(self, publisher: Publisher, stop: asyncio.Event) -> bool:
        """Send the crossing once, and say whether it came out; raises StorageUnavailable.

        The water falls before it rises, so that what an earlier test or anybody else left behind does not count as the
        same crossing. The value is this test's own: nobody else's crossing passes for it.
        """
        if STATION not in self._engine.registry.stations:
            await register(self._database, [_PLAN])
        begun, begun_at = self._clock(), self._steady()
        self._tested_at = begun_at
        value = _LEAST + secrets.randbelow(_VALUES) / 1000
        sent = False
        while not stop.is_set() and self._steady() - begun_at < self._patience:
            sent = sent or self._send(publisher, begun, value)
            values = {"since": begun, "value": value}
            if sent and await self._database.fetch("self_test_came_out", values):
                await self._note("self_test_passed", begun_at)
                self.trouble = None
                return True
            await sleep_or_stop(0.5, stop)
        if not stop.is_set():
            await self._failed(begun, begun_at)
        return False

    async def _failed(self, begun: datetime, begun_at: float) -> None:
        self.trouble = f"the self-test of {begun.astimezone(JST):%H:%M} did not come out"
        log().error("the self-test did not come out: alerts may not reach anybody; look at every service")
        try:
            await self._note("self_test_failed", begun_at)
        finally:
            await send_directly(
                self._channels, watchers(self._settings),
                "【自己点検失敗】川守の通知が届いていません",
                f"{begun.astimezone(JST):%m月%d日 %H:%M} の自己点検が {self._patience:.0f} 秒以内に通知まで"
                "届きませんでした。水位は別の手段で確かめ、各サービスの状態を見てください。\n\n"
                "The self-test did not come out: alerts may not reach anybody. Watch the levels by other means.",
                f"self-test-{begun:%Y%m%d%H%M}",
            )  # fmt: skip

    def _send(self, publisher: Publisher, begun: datetime, value: float) -> bool:
        """The fall (in two readings that differ, as an end needs) and the rise; False while the broker takes none."""
        try:
            for before, low in ((2, 0.02), (1, 0.01)):
                self._publish(publisher, begun - timedelta(seconds=before), low)
            self._publish(publisher, begun, value)
        except BrokerUnavailable:
            return False
        return True

    def _publish(self, publisher: Publisher, at: datetime, value: float) -> None:
        reading = {"time": at.isoformat(), "quantity": SELF_TEST, "value": value, "unit": "m"}
        publisher.publish(wire.device_topic(DEVICE, "reading"), json.dumps(reading).encode())

    async def _note(self, event: str, begun_at: float) -> None:
        seconds = round(self._steady() - begun_at, 3)
        async with self._database.transaction() as connection:
            await audit.note(
                connection, subject="alerting", subject_id=SELF_TEST, event=event, detail={"seconds": seconds}
            )
