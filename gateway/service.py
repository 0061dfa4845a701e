"""The gateway: journal first, then tell the device; forward until ingest has committed."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from msgspec import Raw
from prometheus_client import Counter, Gauge

from gateway.journal import Journal
from kawamori import wire
from kawamori.domain.reading import DeviceId
from kawamori.errors import BrokerUnavailable, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, sleep_or_stop, stopping
from kawamori.settings import GatewaySettings, Settings

RECEIVED = Counter("kawamori_gateway_messages_total", "Device messages journalled")
UNDECODED = Counter("kawamori_gateway_undecoded_total", "Device messages that break the contract; they travel on")
WAITING = Gauge("kawamori_gateway_waiting_batches", "Batches on disk that ingest has not acknowledged")
RESENT = Counter("kawamori_gateway_resent_total", "Batches sent again")

#: Messages in one journal commit, and bytes in one batch.
_TOGETHER = 1000
_BATCH_BYTES = 512 * 1024
#: After so long without any acknowledgement the newest readings go first when ingest is back.
_STALLED = 5.0

Part = tuple[list[wire.UplinkReading], list[wire.UplinkUndecoded], list[wire.UplinkStatus]]
T = TypeVar("T")


def parts_of(messages: list[Message]) -> tuple[list[Part], list[tuple[DeviceId, int]]]:
    """Decode messages into parts of a batch's size, and (device, seq) of those who want to hear `stored`."""
    parts: list[Part] = [([], [], [])]
    replies = []
    size = 0
    for message in messages:
        if size and size + len(message.payload) > _BATCH_BYTES:
            parts.append(([], [], []))
            size = 0
        size += len(message.payload)
        readings, undecoded, status = parts[-1]
        at = message.received_at
        try:
            decoded = wire.decode_device_message(message.topic, message.payload)
        except UndecodableMessage as error:
            UNDECODED.inc()
            device = message.topic.split("/")[3] if message.topic.count("/") == 4 else None
            kept = message.payload[: wire.LARGEST_KEPT]
            undecoded.append(wire.UplinkUndecoded(message.topic, at, kept, str(error), device))
            continue
        readings.extend(wire.UplinkReading(decoded.device, at, Raw(raw)) for raw in decoded.readings)
        undecoded.extend(
            wire.UplinkUndecoded(message.topic, at, raw, why, decoded.device) for raw, why in decoded.refused
        )
        if decoded.status is not None:
            status.append(wire.UplinkStatus(decoded.device, at, Raw(decoded.status)))
        if decoded.seq is not None:
            replies.append((decoded.device, decoded.seq))
    return parts, replies


def newest_of_each(epoch: str, payloads: list[bytes]) -> wire.Batch:
    """The newest reading of every device and quantity in these batches, as a batch out of turn (seq 0)."""
    newest: dict[tuple[str, str], tuple[object, wire.UplinkReading]] = {}
    for payload in payloads:
        for item in wire.decode_batch(payload).readings:
            reading = wire.decode_reading(item.reading)
            key = (item.device_id, reading.quantity)
            if key not in newest or newest[key][0] < reading.time:  # type: ignore[operator]
                newest[key] = (reading.time, item)
    return wire.Batch(epoch, 0, [item for _, item in newest.values()])


@dataclass(slots=True)
class _Sent:
    at: float
    attempts: int = 1


class Gateway:
    """Journals on one side, forwards on the other; the journal is all they share."""

    def __init__(self, journal: Journal, settings: GatewaySettings, devices: Link, uplink: Link) -> None:
        self._journal = journal
        self._settings = settings
        self._devices = devices
        self._uplink = uplink
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._sent: dict[int, _Sent] = {}
        self._last_sent = 0
        self._acknowledged: list[int] = []
        self._moved = asyncio.Event()
        self._last_ack = time.monotonic()
        self._stalled = True
        self.trouble: str | None = None

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def receive(self, stop: asyncio.Event) -> None:
        """Journal device messages for ever; a full disk makes the broker wait, it loses nothing."""
        linger = self._settings.linger.total_seconds()
        while True:
            messages = await self._devices.receive(_TOGETHER, linger)
            if not messages:
                continue
            fail_point("gateway.received")
            parts, replies = parts_of(messages)
            attempt = 0
            while True:
                acknowledged, self._acknowledged = self._acknowledged, []
                try:
                    await self._on_disk(self._journal.append, parts, acknowledged)
                    break
                except StorageUnavailable as error:
                    self._acknowledged = acknowledged + self._acknowledged
                    self.trouble = str(error)
                    attempt += 1
                    log().error("nothing is acknowledged until the journal's disk has room", error=str(error))
                    if await sleep_or_stop(backoff(attempt), stop):
                        return
            fail_point("gateway.journalled")
            self.trouble = None
            self._moved.set()
            self._devices.acknowledge(messages)
            RECEIVED.inc(len(messages))
            fail_point("gateway.acknowledged")
            for device, seq in replies:
                try:
                    self._devices.publish(wire.device_topic(device, "stored"), b'{"seq":%d}' % seq)
                except BrokerUnavailable:
                    break  # the device repeats itself until it hears of us

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
                if ack.epoch == self._journal.epoch and self._sent.pop(ack.seq, None) is not None:
                    self._acknowledged.append(ack.seq)
            self._last_ack = time.monotonic()
            self._moved.set()

    async def forward(self) -> None:
        """Send batches in order, at most a window of them at once, and again until they are acknowledged."""
        while True:
            try:
                await self._uplink.wait_connected()
                await self._forward_some()
            except BrokerUnavailable:
                await asyncio.sleep(backoff(1))
            if len(self._acknowledged) >= 100:
                await self._forget()
            self._moved.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self._moved.wait()
            except TimeoutError:
                await self._forget()

    async def _forget(self) -> None:
        """Delete acknowledged batches; busy gateways do it along with the next append."""
        acknowledged, self._acknowledged = self._acknowledged, []
        if acknowledged:
            try:
                await self._on_disk(self._journal.append, [], acknowledged)
            except StorageUnavailable as error:
                self._acknowledged += acknowledged
                self.trouble = str(error)
        WAITING.set(await self._on_disk(self._journal.count))

    async def _forward_some(self) -> None:
        moment = time.monotonic()
        topic = wire.batch_topic(self._settings.id)
        if self._sent and moment - self._last_ack > _STALLED:
            self._stalled = True
        elif self._stalled and moment - self._last_ack <= _STALLED:
            self._stalled = False
            await self._send_newest_first(topic)
        for seq, sent in list(self._sent.items()):
            wait = self._settings.resend_after.total_seconds() * min(sent.attempts, 2) * random.uniform(0.8, 1.2)  # noqa: S311
            if moment - sent.at > wait:
                payload = await self._on_disk(self._journal.get, seq)
                if payload is None or seq not in self._sent:
                    continue
                self._uplink.publish(topic, payload)
                RESENT.inc()
                sent.at = moment
                sent.attempts += 1
        room = self._settings.window - len(self._sent)
        if room > 0:
            for seq, payload in await self._on_disk(self._journal.after, self._last_sent, room):
                self._uplink.publish(topic, payload)
                self._sent[seq] = _Sent(moment)
                self._last_sent = seq

    async def _send_newest_first(self, topic: str) -> None:
        """With a backlog on disk, let people see the newest level of every sensor before the history."""
        if await self._on_disk(self._journal.count) <= self._settings.window:
            return
        payloads = [payload for _, payload in await self._on_disk(self._journal.newest, 200)]
        self._uplink.publish(topic, wire.encode(newest_of_each(self._journal.epoch, payloads)))


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve devices until stopped."""
    journal = Journal(settings.gateway.journal)
    name = f"kawamori-gateway-{settings.gateway.id}"
    health = Health()
    try:
        async with (
            Link(settings.mqtt(), name, [wire.DEVICE_READINGS], manual_ack=True, keep_session=True) as devices,
            Link(settings.mqtt(), f"{name}-uplink", [wire.ack_topic(settings.gateway.id)]) as uplink,
        ):
            gateway = Gateway(journal, settings.gateway, devices, uplink)
            health.check("broker", lambda: None if devices.connected and uplink.connected else "not connected")
            health.check("journal", lambda: gateway.trouble)
            async with stopping(stop) as group:
                group.create_task(gateway.receive(stop), name="receive")
                group.create_task(gateway.hear_acks(), name="acks")
                group.create_task(gateway.forward(), name="forward")
                if settings.gateway.health_port:
                    group.create_task(
                        serve(health_app(health), "127.0.0.1", settings.gateway.health_port, stop), name="health"
                    )
    finally:
        journal.close()
