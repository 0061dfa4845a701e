"""The gateway: journal first, then tell the device; forward until ingest has committed."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from prometheus_client import Counter, Gauge

from gateway.forward import Forwarder
from gateway.journal import Journal
from gateway.parts import Parts
from kawamori import wire
from kawamori.errors import BrokerUnavailable, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, now, sleep_or_stop, stopping
from kawamori.settings import GatewaySettings, Settings

RECEIVED = Counter("kawamori_gateway_messages_total", "Device messages journalled")
SET_ASIDE = Gauge("kawamori_gateway_set_aside_rows", "Rows that could not be delivered and wait for a person")
WAITING = Gauge("kawamori_gateway_waiting_batches", "Rows of the journal that ingest has not acknowledged")
DISK_USED = Gauge("kawamori_gateway_journal_disk_used_ratio", "Used share of the journal's disk")

#: Messages in one journal commit.
_TOGETHER = 1000
#: Commits under way: while one waits for the disk, the next is being decoded.
_RECEIVERS = 2
#: What the broker may have in flight to us: enough that it never waits for a commit.
_IN_FLIGHT = 4 * _TOGETHER
#: Decoding holds the loop for about so many seconds at most: acknowledgements and signs of life must go on. A message
#: of so many bytes may take longer by itself, and is decoded in a thread.
_TURN, _LARGE = 0.02, 16 * 1024
#: Acknowledgements make room on a full disk at any moment: look again so often.
_ROOM_WITHIN = timedelta(seconds=1)
#: Seconds between signs of life.
_ALIVE_EVERY = 10.0
#: A gateway that devices cannot reach for so many seconds is none.
_CUT_OFF = 10.0
#: A disk fuller than this is worth a person's attention.
_DISK_ALARM = 0.85

T = TypeVar("T")


async def decoded(messages: list[Message]) -> Parts:
    """The parts of these messages, decoded in slices."""
    found = Parts()
    begun = time.monotonic()
    for message in messages:
        if len(message.payload) > _LARGE:
            await asyncio.to_thread(found.add, message)
        else:
            found.add(message)
        if time.monotonic() - begun > _TURN:
            await asyncio.sleep(0)
            begun = time.monotonic()
    return found


class Gateway:
    """Journals on one side, forwards on the other; the journal is all they share."""

    def __init__(self, journal: Journal, settings: GatewaySettings, devices: Link, uplink: Link) -> None:
        self._journal = journal
        self._settings = settings
        self._devices = devices
        self._uplink = uplink
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._forwarder = Forwarder(journal, settings, uplink, self._on_disk)
        self._moved = asyncio.Event()
        #: Why the journal takes nothing, and why nothing can be deleted from it.
        self._refused: str | None = None
        self._undeleted: str | None = None
        self._unread: str | None = None
        self.disk_used = 0.0

    @property
    def trouble(self) -> str | None:
        """Why the journal is not to be relied on now."""
        return self._refused or self._undeleted or self._unread

    @property
    def set_aside(self) -> int:
        """Rows that could not be delivered, and wait for a person."""
        return self._forwarder.aside

    async def close(self) -> None:
        """Let the journal's thread end what it has begun; only then may the file be closed."""
        await asyncio.to_thread(self._disk.shutdown)

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def receive(self, stop: asyncio.Event) -> None:
        """Journal device messages for ever; a full disk makes the broker wait, it loses nothing."""
        linger = self._settings.linger.total_seconds()
        while True:
            messages = await self._devices.receive(_TOGETHER, linger)
            fail_point("gateway.received")
            found = await decoded(messages)
            attempt = 0
            while True:
                acknowledged, self._forwarder.acknowledged = self._forwarder.acknowledged, []
                try:
                    rows = await self._on_disk(self._journal.append, found.parts, acknowledged)
                    break
                except StorageUnavailable as error:
                    self._forwarder.acknowledged = acknowledged + self._forwarder.acknowledged
                    self._refused = str(error)
                    attempt += 1
                    if attempt in (1, 10) or attempt % 100 == 0:
                        log().error("nothing is acknowledged until the journal takes it", error=str(error))
                    await self._forget()
                    if await sleep_or_stop(backoff(attempt, cap=_ROOM_WITHIN), stop):
                        return
            fail_point("gateway.journalled")
            self._refused = self._undeleted = None
            self._forwarder.keep_fresh(rows)
            self._moved.set()
            self._devices.acknowledge(messages)
            RECEIVED.inc(len(messages))
            fail_point("gateway.acknowledged")
            if found.replies:
                self._devices.answer(found.replies)

    async def say_alive(self, stop: asyncio.Event) -> None:
        """Let ingest know every few seconds that this gateway is there, and how much waits.

        One that can take nothing, because its journal refuses it or no device reaches it, says nothing: it is not the
        sensors behind it that are silent.
        """
        said = reached = -math.inf
        while not await sleep_or_stop(1.0, stop):
            moment = time.monotonic()
            if self._devices.connected:
                reached = moment
            if self._refused or moment - reached > _CUT_OFF or moment - said < _ALIVE_EVERY:
                continue
            with contextlib.suppress(BrokerUnavailable, StorageUnavailable):
                alive = wire.Alive(await self._on_disk(self._journal.waiting), self.set_aside, now())
                self._uplink.publish(wire.alive_topic(self._settings.id), wire.encode(alive))
                said = moment

    async def hear_acks(self) -> None:
        """Take ingest's acknowledgements for ever."""
        while True:
            messages = await self._uplink.receive(_TOGETHER)
            self._uplink.acknowledge(messages)
            fail_point("gateway.heard_ack")
            for message in messages:
                try:
                    ack = wire.decode_ack(message.payload)
                except UndecodableMessage as error:
                    log().warning("an acknowledgement that cannot be read", error=str(error))
                    continue
                self._forwarder.heard(ack)
            self._moved.set()

    async def forward(self) -> None:
        """Send rows in order, at most a window of batches at once, and again until they are acknowledged."""
        looked = 0.0
        while True:
            try:
                await self._uplink.wait_connected()
                await self._forwarder.forward_some()
                self._unread = None
                if time.monotonic() - looked > 1:
                    looked = time.monotonic()
                    await self._look_at_disk()
            except BrokerUnavailable:
                await asyncio.sleep(backoff(1))
            except StorageUnavailable as error:
                self._unread = str(error)
                log().error("the journal cannot be read or written: nothing of it is forwarded", error=str(error))
                await asyncio.sleep(backoff(8, cap=_ROOM_WITHIN))
            self._moved.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self._moved.wait()
            except TimeoutError:
                pass

    async def _look_at_disk(self) -> None:
        await self._forget()
        self._forwarder.aside = len(await self._on_disk(self._journal.aside))
        SET_ASIDE.set(self._forwarder.aside)
        WAITING.set(await self._on_disk(self._journal.waiting))
        self.disk_used = await self._on_disk(self._journal.disk_used)
        if self.disk_used > _DISK_ALARM and not self._refused:
            await self._on_disk(self._journal.give_back)
            self.disk_used = await self._on_disk(self._journal.disk_used)
        DISK_USED.set(self.disk_used)

    async def _forget(self) -> None:
        """Delete acknowledged rows; a busy gateway does it along with the next append."""
        acknowledged, self._forwarder.acknowledged = self._forwarder.acknowledged, []
        if acknowledged:
            try:
                await self._on_disk(self._journal.append, [], acknowledged)
                self._undeleted = None
            except StorageUnavailable as error:
                self._forwarder.acknowledged += acknowledged
                self._undeleted = str(error)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve devices until stopped."""
    journal = Journal(settings.gateway.journal, settings.gateway.journal_keep_free)
    name = f"kawamori-gateway-{settings.gateway.id}"
    health = Health()
    gateway = None
    try:
        devices = Link(settings.mqtt(), name, [wire.DEVICE_READINGS], receive_maximum=_IN_FLIGHT, keep_session=True)
        uplink = Link(settings.mqtt(), f"{name}-uplink", [wire.ack_topic(settings.gateway.id)])
        gateway = Gateway(journal, settings.gateway, devices, uplink)
        health.check("broker", lambda: devices.trouble or uplink.trouble)
        health.check("journal", lambda: gateway.trouble)
        health.warn(
            "journal's disk", lambda: f"{gateway.disk_used:.0%} used" if gateway.disk_used > _DISK_ALARM else None
        )
        health.warn("set aside", lambda: _aside_words(gateway.set_aside))
        async with stopping(stop) as group:
            group.create_task(devices.stay_connected(), name="devices")
            group.create_task(uplink.stay_connected(), name="uplink")
            for n in range(_RECEIVERS):
                group.create_task(gateway.receive(stop), name=f"receive-{n}")
            group.create_task(gateway.hear_acks(), name="acks")
            group.create_task(gateway.forward(), name="forward")
            group.create_task(gateway.say_alive(stop), name="alive")
            if settings.gateway.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.gateway.health_port, stop), name="health"
                )
    finally:
        if gateway is not None:
            await gateway.close()
        journal.close()


def _aside_words(rows: int) -> str | None:
    return f"{rows} rows could not be delivered: see `kawamori journal`" if rows else None
