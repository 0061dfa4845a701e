"""The gateway: journal first, then tell the device; forward until ingest has committed."""

import asyncio
import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Raw
from prometheus_client import Counter, Gauge

from gateway.journal import Journal
from kawamori import wire
from kawamori.errors import BrokerUnavailable, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, sleep_or_stop, stopping
from kawamori.settings import GatewaySettings, Settings

RECEIVED = Counter("kawamori_gateway_messages_total", "Device messages journalled")
UNDECODED = Counter("kawamori_gateway_undecoded_total", "Device messages that break the contract; they travel on")
WAITING = Gauge("kawamori_gateway_waiting_batches", "Rows of the journal that ingest has not acknowledged")
RESENT = Counter("kawamori_gateway_resent_total", "Batches sent again")
DISK_USED = Gauge("kawamori_gateway_journal_disk_used_ratio", "Used share of the journal's disk")

#: Messages in one journal commit, and bytes in one of its rows.
_TOGETHER = 1000
_ROW_BYTES = 512 * 1024
#: Commits under way: while one waits for the disk, the next is being decoded.
_RECEIVERS = 2
#: What the broker may have in flight to us: enough that it never waits for a commit.
_IN_FLIGHT = 4 * _TOGETHER
#: Small rows of a backlog travel together, up to about so many bytes.
_UPLINK_BYTES = 64 * 1024
#: What is kept in memory of the newest rows, so that they need not be read back to be forwarded.
_FRESH_BYTES = 8 * 1024 * 1024
#: After so long without any acknowledgement only the newest readings are sent, until ingest answers.
_STALLED = 5.0
#: Looking for them, read so much of the journal at once, and stop after so many pieces with nothing new.
_LOOK_BACK_BYTES = 2 * 1024 * 1024
_QUIET_PIECES = 5
#: While rows wait for longer than this, what was measured within `_LIVE` of its arrival overtakes them, so often.
_HURRY_EVERY, _LIVE = 5.0, timedelta(minutes=10)
#: Seconds that an acknowledgement should take at most; more, and less is sent at once.
_ACK_WITHIN = 0.5
#: What nobody acknowledges is sent again after so many seconds at the latest.
_RESENT_WITHIN = 8.0
#: Acknowledgements make room on a full disk at any moment: look again so often.
_ROOM_WITHIN = timedelta(seconds=1)
#: Seconds between signs of life.
_ALIVE_EVERY = 10.0
#: A gateway that devices cannot reach for so many seconds is none.
_CUT_OFF = 10.0
#: A disk fuller than this is worth a person's attention.
_DISK_ALARM = 0.85

Part = tuple[list[wire.UplinkReading], list[wire.UplinkUndecoded], list[wire.UplinkStatus]]
T = TypeVar("T")


def parts_of(messages: list[Message]) -> tuple[list[Part], list[tuple[str, bytes]]]:
    """Decode messages into parts of a row's size, and the `stored` replies (topic, payload) for who wants them."""
    parts: list[Part] = [([], [], [])]
    replies = []
    size = 0
    readings, undecoded, status = parts[0]
    for message in messages:
        topic, payload, at = message.topic, message.payload, message.received_at
        if size and size + len(payload) > _ROW_BYTES:
            parts.append(([], [], []))
            readings, undecoded, status = parts[-1]
            size = 0
        size += len(payload)
        try:
            decoded = wire.decode_device_message(topic, payload)
        except UndecodableMessage as error:
            UNDECODED.inc()
            device = topic.split("/")[3] if topic.count("/") == 4 else None
            undecoded.append(wire.UplinkUndecoded(topic, at, payload[: wire.LARGEST_KEPT], str(error), device))
            continue
        if decoded.readings:
            readings.append(wire.UplinkReading(decoded.device, at, Raw(decoded.readings)))
        if decoded.refused:
            undecoded.extend(wire.UplinkUndecoded(topic, at, raw, why, decoded.device) for raw, why in decoded.refused)
        if decoded.status is not None:
            status.append(wire.UplinkStatus(decoded.device, at, Raw(decoded.status)))
        if decoded.seq is not None:
            replies.append((wire.device_topic(decoded.device, "stored"), b'{"seq":%d}' % decoded.seq))
    return parts, replies


Newest = dict[tuple[str, str], tuple[datetime, wire.UplinkReading]]


def live_ones(payloads: list[bytes]) -> Newest:
    """What has just been measured, of every device and quantity that these rows have one reading of.

    Of more than one, the older would be late behind the newest, and late readings cost ingest several times as much.
    """
    found: Newest = {}
    several = set()
    for payload in payloads:
        for item in wire.readings_of(wire.decode_raw_batch(payload)):
            reading = wire.decode_reading(item.reading)
            key = (item.device_id, reading.quantity)
            if key in found:
                several.add(key)
            elif item.received_at - reading.time <= _LIVE:
                found[key] = (reading.time, item)
    return {key: one for key, one in found.items() if key not in several}


def keep_newest(newest: Newest, payloads: list[bytes]) -> bool:
    """Keep the newest reading of every device and quantity in these rows; whether there was any to keep."""
    grew = False
    for payload in payloads:
        for item in wire.readings_of(wire.decode_raw_batch(payload)):
            reading = wire.decode_reading(item.reading)
            known = newest.get((item.device_id, reading.quantity))
            if known is None or known[0] < reading.time:
                newest[item.device_id, reading.quantity] = (reading.time, item)
                grew = True
    return grew


@dataclass(slots=True)
class _Sent:
    """A span of rows on its way, known by its last one."""

    first: int
    at: float
    attempts: int = 1


class Gateway:
    """Journals on one side, forwards on the other; the journal is all they share."""

    def __init__(self, journal: Journal, settings: GatewaySettings, devices: Link, uplink: Link) -> None:
        self._journal = journal
        self._settings = settings
        self._devices = devices
        self._uplink = uplink
        self._topic = wire.batch_topic(settings.id)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        #: (seq, payload, when journalled) of the newest rows.
        self._fresh: deque[tuple[int, bytes, float]] = deque()
        self._fresh_bytes = 0
        self._sent: dict[int, _Sent] = {}
        self._last_sent = 0
        self._acknowledged: list[tuple[int, int]] = []
        self._moved = asyncio.Event()
        self._last_ack = time.monotonic()
        #: How long an acknowledgement usually takes, in seconds.
        self._usual_wait = _ACK_WITHIN
        #: When, and up to which row, live readings were last looked for among those that wait.
        self._hurried_at = 0.0
        self._hurried = 0
        #: When the newest readings were last sent out of turn, and whether there was a backlog to send them before.
        self._knocked = 0.0
        self._knocking = False
        #: Why the journal takes nothing, and why nothing can be deleted from it.
        self._refused: str | None = None
        self._undeleted: str | None = None
        self.disk_used = 0.0

    @property
    def trouble(self) -> str | None:
        """Why the journal is not to be relied on now."""
        return self._refused or self._undeleted

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def receive(self, stop: asyncio.Event) -> None:
        """Journal device messages for ever; a full disk makes the broker wait, it loses nothing."""
        linger = self._settings.linger.total_seconds()
        while True:
            messages = await self._devices.receive(_TOGETHER, linger)
            fail_point("gateway.received")
            parts, replies = parts_of(messages)
            attempt = 0
            while True:
                acknowledged, self._acknowledged = self._acknowledged, []
                try:
                    rows = await self._on_disk(self._journal.append, parts, acknowledged)
                    break
                except StorageUnavailable as error:
                    self._acknowledged = acknowledged + self._acknowledged
                    self._refused = str(error)
                    attempt += 1
                    if attempt in (1, 10) or attempt % 100 == 0:
                        log().error("nothing is acknowledged until the journal's disk has room", error=str(error))
                    await self._forget()
                    if await sleep_or_stop(backoff(attempt, cap=_ROOM_WITHIN), stop):
                        return
            fail_point("gateway.journalled")
            self._refused = self._undeleted = None
            self._keep_fresh(rows)
            self._moved.set()
            self._devices.acknowledge(messages)
            RECEIVED.inc(len(messages))
            fail_point("gateway.acknowledged")
            if replies:
                self._devices.answer(replies)

    def _keep_fresh(self, rows: list[tuple[int, bytes]]) -> None:
        """Remember the newest rows, within bounds."""
        moment = time.monotonic()
        self._fresh.extend((seq, payload, moment) for seq, payload in rows)
        self._fresh_bytes += sum(len(payload) for _, payload in rows)
        while self._fresh_bytes > _FRESH_BYTES:
            self._fresh_bytes -= len(self._fresh.popleft()[1])

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
            waiting = await self._on_disk(self._journal.waiting)
            with contextlib.suppress(BrokerUnavailable):
                self._uplink.publish(wire.alive_topic(self._settings.id), wire.encode(wire.Alive(waiting)))
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
                sent = self._sent.get(ack.seq)
                if sent is not None and (ack.epoch, ack.first or ack.seq) == (self._journal.epoch, sent.first):
                    del self._sent[ack.seq]
                    self._acknowledged.append((sent.first, ack.seq))
                    if sent.attempts == 1:
                        self._usual_wait += (time.monotonic() - sent.at - self._usual_wait) / 8
            self._last_ack = time.monotonic()
            self._moved.set()

    async def forward(self) -> None:
        """Send rows in order, at most a window of batches at once, and again until they are acknowledged."""
        looked = 0.0
        while True:
            try:
                await self._uplink.wait_connected()
                await self._forward_some()
            except BrokerUnavailable:
                await asyncio.sleep(backoff(1))
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                await self._forget()
                WAITING.set(await self._on_disk(self._journal.waiting))
                self.disk_used = await self._on_disk(self._journal.disk_used)
                DISK_USED.set(self.disk_used)
            self._moved.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self._moved.wait()
            except TimeoutError:
                pass

    async def _forget(self) -> None:
        """Delete acknowledged rows; a busy gateway does it along with the next append."""
        acknowledged, self._acknowledged = self._acknowledged, []
        if acknowledged:
            try:
                await self._on_disk(self._journal.append, [], acknowledged)
                self._undeleted = None
            except StorageUnavailable as error:
                self._acknowledged += acknowledged
                self._undeleted = str(error)

    async def _forward_some(self) -> None:
        moment = time.monotonic()
        if self._sent and moment - self._last_ack > _STALLED:
            if moment - self._knocked > self._settings.resend_after.total_seconds():
                self._knocked = moment
                self._knocking = await self._send_newest_first()
            if self._knocking:
                return  # the history waits until somebody has heard the newest
        elif not self._knocked:
            self._knocked = moment
            await self._send_newest_first()
        # A slow ingest must not be sent the same again: that would make it slower (compare TCP's RTO, RFC 6298).
        # But not for ever: what a worker that froze was given waits for the next attempt, which another may get.
        least = self._settings.resend_after.total_seconds()
        longest = max(2 * least, _RESENT_WITHIN)
        patience = max(least, min(4 * self._usual_wait, _RESENT_WITHIN))
        for last, sent in list(self._sent.items()):
            wait = patience if sent.attempts == 1 else min(2 * patience, longest)
            wait *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            if moment - sent.at > wait:
                payloads = await self._on_disk(self._journal.between, sent.first, last)
                if not payloads or last not in self._sent:
                    continue
                self._uplink.publish(self._topic, wire.merged(payloads))
                RESENT.inc()
                sent.at = moment
                sent.attempts += 1
        if moment - self._hurried_at > _HURRY_EVERY:
            self._hurried_at = moment
            await self._send_live_first()
        # So much under way that an acknowledgement takes half a second: what is live must not queue behind what is old.
        window = min(self._settings.window, max(2, round(self._settings.window * _ACK_WITHIN / self._usual_wait)))
        while len(self._sent) < window:
            rows = await self._next_rows()
            if not rows:
                break
            last = rows[-1][0]
            self._uplink.publish(self._topic, wire.merged([payload for _, payload in rows]))
            self._sent[last] = _Sent(rows[0][0], moment)
            self._last_sent = last

    async def _next_rows(self) -> list[tuple[int, bytes]]:
        """The rows to send next, about a batch of them: from memory if they are fresh, else from the disk."""
        fresh = self._fresh
        while fresh and fresh[0][0] <= self._last_sent:
            self._fresh_bytes -= len(fresh.popleft()[1])
        if not fresh or fresh[0][0] != self._last_sent + 1:
            return await self._on_disk(self._journal.after, self._last_sent, _UPLINK_BYTES)
        rows, size, seq = [], 0, self._last_sent
        while fresh and size < _UPLINK_BYTES and fresh[0][0] == seq + 1:
            seq, payload, _ = fresh.popleft()
            rows.append((seq, payload))
            size += len(payload)
        self._fresh_bytes -= size
        return rows

    async def _send_newest_first(self) -> bool:
        """With a backlog on disk, let people see the newest level of every sensor before the history."""
        if await self._on_disk(self._journal.waiting) <= self._settings.window:
            return False
        newest: Newest = {}
        seq, quiet = 2**62, 0
        while quiet < _QUIET_PIECES:
            rows = await self._on_disk(self._journal.before, seq, _LOOK_BACK_BYTES)
            if not rows:
                break
            seq = rows[-1][0]
            quiet = 0 if keep_newest(newest, [payload for _, payload in rows]) else quiet + 1
        self._send_out_of_turn(newest)
        return True

    async def _send_live_first(self) -> None:
        """When rows have waited for long, let what has just been measured overtake them."""
        rows = [row for row in self._fresh if row[0] > self._last_sent]
        if not rows or (rows[0][0] == self._last_sent + 1 and time.monotonic() - rows[0][2] < _HURRY_EVERY):
            return
        found = live_ones([payload for seq, payload, _ in rows if seq > self._hurried])
        self._hurried = rows[-1][0]
        self._send_out_of_turn(found)

    def _send_out_of_turn(self, newest: Newest) -> None:
        """They go again later, in their turn; ingest stores a reading once."""
        readings = [item for _, item in newest.values()]
        for i in range(0, len(readings), _TOGETHER):
            batch = wire.Batch(self._journal.epoch, 0, readings=readings[i : i + _TOGETHER])
            self._uplink.publish(self._topic, wire.encode(batch))


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve devices until stopped."""
    journal = Journal(settings.gateway.journal, settings.gateway.journal_keep_free)
    name = f"kawamori-gateway-{settings.gateway.id}"
    health = Health()
    try:
        devices = Link(settings.mqtt(), name, [wire.DEVICE_READINGS], receive_maximum=_IN_FLIGHT, keep_session=True)
        uplink = Link(settings.mqtt(), f"{name}-uplink", [wire.ack_topic(settings.gateway.id)])
        gateway = Gateway(journal, settings.gateway, devices, uplink)
        health.check("broker", lambda: None if devices.connected and uplink.connected else "not connected")
        health.check("journal", lambda: gateway.trouble)
        health.warn(
            "journal's disk", lambda: f"{gateway.disk_used:.0%} used" if gateway.disk_used > _DISK_ALARM else None
        )
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
        journal.close()
