"""The hourly self-test: a synthetic crossing goes from the broker to the outbox; if it does not come out, we shout."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from alerts.channels import Channel
from alerts.delivery import send_directly
from alerts.engine import SELF_TEST, Engine
from alerts.messages import JST
from kawamori import wire
from kawamori.domain.reading import StationId
from kawamori.errors import BrokerUnavailable, StorageUnavailable
from kawamori.mqtt import Publisher
from kawamori.observe import log
from kawamori.runtime import sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

DEVICE = "kawamori-self-test"
STATION = StationId("kawamori-self-test")
#: How long the crossing may take from the broker to its delivery.
PATIENCE = timedelta(seconds=60)
_LOOK_S = 5.0
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_PLAN = StationPlan(
    station_id=STATION, name_ja="自己点検", name_en="Self-test", river_id=STATION, river_name_ja="", river_name_en="",
    valid_from=_EPOCH, internal=True, thresholds={1: 0.5}, hysteresis_m=0.1,
    sensors=(SensorPlan(quantity=SELF_TEST, device_id=DEVICE, valid_from=_EPOCH),),
)  # fmt: skip


class SelfTest:
    """Sends the synthetic crossing, and waits for it at the other end."""

    def __init__(
        self, database: Database, settings: Settings, channels: Sequence[Channel], engine: Engine,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._database, self._settings, self._channels = database, settings, channels
        self._engine, self._clock = engine, clock
        #: Why the last one failed.
        self.trouble: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Test whenever it is due, as long as this engine leads."""
        async with Publisher(self._settings.mqtt(), f"{DEVICE}-{os.getpid()}") as publisher:
            while not await sleep_or_stop(_LOOK_S, stop):
                try:
                    if self._engine.leads and await self._is_due():
                        await self._test(publisher, stop)
                except StorageUnavailable:
                    continue  # that the database is away is shouted elsewhere

    async def _is_due(self) -> bool:
        rows = await self._database.fetch("last_self_test")
        return not rows or self._clock() - rows[0][0] >= self._settings.alerts.self_test_every

    async def _test(self, publisher: Publisher, stop: asyncio.Event) -> None:
        if STATION not in self._engine.registry.stations:
            await register(self._database, [_PLAN])
        begun = self._clock()
        while not stop.is_set() and self._clock() - begun < PATIENCE:
            try:
                self._publish(publisher, begun, 1.0)
                break
            except BrokerUnavailable:
                await sleep_or_stop(1.0, stop)
        while not stop.is_set() and self._clock() - begun < PATIENCE:
            if await self._database.fetch("self_test_came_out", {"since": begun}):
                await self._note("self_test_passed", begun)
                self.trouble = None
                self._publish(publisher, self._clock(), 0.0)
                return
            await sleep_or_stop(0.5, stop)
        if not stop.is_set():
            self.trouble = f"the self-test of {begun.astimezone(JST):%H:%M} did not come out"
            log().error("the self-test did not come out: alerts may not reach anybody; look at every service")
            await self._note("self_test_failed", begun)
            await send_directly(
                self._channels, watchers(self._settings),
                "【自己点検失敗】川守の通知が届いていません",
                f"{begun.astimezone(JST):%m月%d日 %H:%M} の自己点検が {PATIENCE.total_seconds():.0f} 秒以内に通知まで"
                "届きませんでした。水位は別の手段で確かめ、各サービスの状態を見てください。\n\n"
                "The self-test did not come out: alerts may not reach anybody. Watch the levels by other means.",
                f"self-test-{begun:%Y%m%d%H%M}",
            )  # fmt: skip

    def _publish(self, publisher: Publisher, at: datetime, value: float) -> None:
        reading = {"time": at.isoformat(), "quantity": SELF_TEST, "value": value, "unit": "m"}
        publisher.publish(wire.device_topic(DEVICE, "reading"), json.dumps(reading).encode())

    async def _note(self, event: str, begun: datetime) -> None:
        seconds = round((self._clock() - begun).total_seconds(), 3)
        async with self._database.transaction() as connection:
            await record.note(
                connection, subject="alerting", subject_id=SELF_TEST, event=event, detail={"seconds": seconds}
            )


def watchers(settings: Settings) -> list[str]:
    """Whom to tell without the database: those the settings name, else whoever gets the mails."""
    alerts = settings.alerts
    return alerts.watchers or [f"smtp:{address}" for address in alerts.mail_to if alerts.smtp_host]
