"""The broker: how services receive in bunches, acknowledge by hand and publish. Only importer of MQTT clients.

`Link` is for services, where a message may be a reading: a bare transport and the codec `mqtt5`, a tenth of paho's cost
and no second thread (docs/decisions/0008-lean-path.md). `Publisher` is paho, for whoever speaks as devices do.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import cycle
from types import TracebackType
from typing import Any, NamedTuple, Self, cast
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import mqtt5
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from kawamori.errors import BrokerUnavailable, ConfigurationError
from kawamori.observe import log

_TICK = timedelta(microseconds=1)


class Message(NamedTuple):
    """A message as it arrived; `connection` guards against acknowledging over another connection."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int
    qos: int
    connection: int


def _address(url: str) -> tuple[SplitResult, str, int, ssl.SSLContext | None]:
    """The URL's parts, host, port, and TLS where it asks for it; raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ConfigurationError("KAWAMORI_MQTT_URL: must look like mqtt://host:port or mqtts://host:port")
    secure = parts.scheme == "mqtts"
    return (
        parts,
        parts.hostname,
        parts.port or (8883 if secure else 1883),
        _trusting(parse_qs(parts.query).get("ca", [None])[0]) if secure else None,
    )


def _trusting(ca: str | None) -> ssl.SSLContext:
    """TLS that believes this file's authority alone, or those of the machine; raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"KAWAMORI_MQTT_CA: cannot be read as certificates in PEM: {error}") from error


class Link:
    """A service's connection: QoS 1, acknowledged by hand in bunches, re-made with jitter whenever it breaks.

    The broker keeps about `receive_maximum` messages in flight until `acknowledge`, which bounds the inbox; past
    `_INBOX_BYTES` the socket is not read. With `keep_session` the broker holds messages while we are away.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        subscriptions: list[str],
        *,
        receive_maximum: int = 2000,
        keep_session: bool = False,
    ) -> None:
        parts, self._host, self._port, self._tls = _address(url)
        self._hello = mqtt5.ConnectPacket(
            client_id,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or "").encode() if parts.username else None,
            clean_start=not keep_session,
            keep_alive=_KEEP_ALIVE,
            session_expiry_interval=7 * 86400 if keep_session else 0,
            receive_max=receive_maximum,
        ).write()
        topics = [mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for topic in subscriptions]
        self._wish = mqtt5.SubscribePacket(1, topics).write()
        self._mids = cycle(range(1, 65_536))
        #: Published, and not yet confirmed by the broker.
        self._unconfirmed: set[int] = set()
        self._allowed = 0
        self._wire: _Wire | None = None
        self._connection = 0
        self._inbox: deque[Message] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._up = asyncio.Event()
        self._turn = asyncio.Lock()
        self._gathering = False
        self._busy = False

    async def stay_connected(self) -> None:
        """Connect, and connect again whenever that breaks, for ever; the broker need not be there yet."""
        attempt = 0
        try:
            while True:
                attempt += 1
                try:
                    await self._connect()
                    if self.connected:
                        attempt = 0
                except (OSError, TimeoutError) as error:
                    if attempt in (1, 10) or attempt % 100 == 0:
                        log().warning("the broker cannot be reached: trying again", error=str(error), attempt=attempt)
                self._up.clear()
                if self._wire is not None:
                    self._wire.abort()
                await asyncio.sleep(random.uniform(0.05, min(8.0, 0.25 * 2 ** min(attempt, 8))))  # noqa: S311 - jitter
        finally:
            if self._wire is not None:
                self._wire.write(mqtt5.DisconnectPacket().write())
                self._wire.close()

    async def _connect(self) -> None:
        """One connection, from its greeting to its end."""
        self._connection += 1
        wire = _Wire(self, self._connection)
        async with asyncio.timeout(_PATIENCE):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: wire, self._host, self._port, ssl=self._tls)
        self._wire = wire
        self._inbox.clear()  # what was not acknowledged on the last connection comes again on this one
        self._bytes = 0
        self._unconfirmed.clear()
        wire.write(self._hello)
        await self._watch(wire)

    async def _watch(self, wire: "_Wire") -> None:
        """Return when the connection has ended, or when the broker has been silent for too long."""
        while not wire.ended.is_set():
            try:
                async with asyncio.timeout(_KEEP_ALIVE / 2):
                    await wire.ended.wait()
            except TimeoutError:
                silent = time.monotonic() - wire.heard_at
                if silent > _PATIENCE and not wire.paused:
                    log().warning("the broker is silent: connecting again", seconds=round(silent))
                    return
                wire.write(_PING)
        log().info("disconnected from the broker", reason=wire.why)
        if wire.fault is not None:
            raise wire.fault  # ours: the service must not go on as if nothing were

    def _took(self, messages: list[Message], size: int) -> None:
        """Take what has arrived; called by the connection."""
        if not self._inbox:
            self._arrived.set()
        self._inbox.extend(messages)
        self._bytes += size
        self._read_on()

    def _heard(self, packet: object, wire: "_Wire") -> None:
        """The broker has answered our greeting or our subscription, or says why it leaves."""
        if isinstance(packet, mqtt5.ConnAckPacket):
            if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                log().warning("the broker refused the connection", reason=str(packet.reason_code))
                wire.abort()
            else:
                self._allowed = min(_UNCONFIRMED, packet.receive_max)
                wire.write(self._wish)
        elif isinstance(packet, mqtt5.PubAckPacket):
            self._unconfirmed.discard(packet.packet_id)
        elif isinstance(packet, mqtt5.SubAckPacket):
            if any(code != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE for code in packet.reason_codes):
                log().error("the broker refuses our subscription: look at its access rules")
            else:
                log().info("connected to the broker", host=self._host, port=self._port)
                self._up.set()
        elif isinstance(packet, mqtt5.DisconnectPacket):
            wire.why = str(packet.reason_code)

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and our subscriptions."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until the broker has accepted us."""
        await self._up.wait()

    def _read_on(self) -> None:
        """Read the socket unless messages are to gather there, or wait here in plenty."""
        if self._wire is not None:
            if self._gathering or self._bytes > _INBOX_BYTES:
                self._wire.pause()
            else:
                self._wire.resume()

    async def receive(self, limit: int, linger: float = 0.0) -> list[Message]:
        """Wait for messages and return up to `limit`: at once after a pause, else what gathered in `linger` seconds.

        They gather in the kernel, so that a trickle is read in one go and not message by message.
        """
        inbox = self._inbox
        async with self._turn:
            if linger and not self._busy and not inbox:
                self._gathering = True
                self._read_on()
                await asyncio.sleep(linger)
                self._gathering = False
                self._read_on()
            while not inbox:
                self._arrived.clear()
                await self._arrived.wait()
            messages = [inbox.popleft() for _ in range(min(limit, len(inbox)))]
            self._busy = len(messages) >= _MANY
        self._bytes -= sum(len(message.payload) for message in messages)
        self._read_on()
        return messages

    def acknowledge(self, messages: list[Message]) -> None:
        """Tell the broker that these are safe with us. Those of an earlier connection come again instead."""
        if self._wire is not None:
            now = self._connection
            self._wire.write(
                b"".join([b"\x40\x02" + m.mid.to_bytes(2) for m in messages if m.qos and m.connection == now])
            )

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a QoS 1 message; raises BrokerUnavailable when there is no connection or too much is unconfirmed.

        Returning says nothing of the broker having it: what must arrive needs an acknowledgement of its own.
        """
        if not self.connected or self._wire is None:
            raise BrokerUnavailable("not connected to the broker")
        if len(self._unconfirmed) >= self._allowed or self._wire.congested:
            raise BrokerUnavailable("the broker is slow to take what we send")
        mid = next(mid for mid in self._mids if mid not in self._unconfirmed)
        self._unconfirmed.add(mid)
        qos = mqtt5.QoS.AT_LEAST_ONCE
        self._wire.write(mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=mid).write())

    def answer(self, replies: Iterable[tuple[str, bytes]]) -> None:
        """Publish to devices, QoS 0: a device that does not hear of us repeats itself."""
        if self.connected and self._wire is not None and not self._wire.congested:
            self._wire.write(b"".join([mqtt5.PublishPacket(topic, payload).write() for topic, payload in replies]))


#: Seconds between our signs of life; a broker silent for `_PATIENCE` is gone (a half-open connection says nothing).
_KEEP_ALIVE = 10
_PATIENCE = 15.0
_INBOX_BYTES = 32 * 1024 * 1024
#: Messages published at most before the broker has confirmed one.
_UNCONFIRMED = 1000
_OUTBOX_BYTES = 16 * 1024 * 1024
#: With so many messages at once there is no need to let them gather.
_MANY = 250
_PING = mqtt5.PingReqPacket().write()


_PUBLISH = 3


@lru_cache(100_000)
def _text(topic: bytes) -> str:
    """A topic; what is not UTF-8 must not stop what is."""
    return topic.decode(errors="replace")


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; raises IndexError while bytes are missing. (MQTT 5.0, 1.5.5)"""
    if (first := data[start]) < 0x80:
        return first, start + 1
    value, at = first & 0x7F, start
    for shift in (7, 14, 21):
        at += 1
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            break
    return value, at + 1


class _Wire(asyncio.Protocol):
    """One connection of a Link: bytes into packets."""

    def __init__(self, owner: Link, number: int) -> None:
        self._owner = owner
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self.ended = asyncio.Event()
        self.heard_at = time.monotonic()
        self.paused = False
        self.why = "closed by the broker"
        #: An error that is ours, not the network's.
        self.fault: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if exc is not None:
            self.why = str(exc)
            self.fault = None if isinstance(exc, OSError) else exc
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into packets. What came at once arrived a microsecond apart: of two statements one is newer.

        Messages are taken apart here: it is as fast as the codec, which gives up on what is not UTF-8.
        (MQTT 5.0, 2.1 and 3.3)
        """
        self.heard_at = time.monotonic()
        arrived = datetime.now(UTC)
        data = self._rest + data
        at, size, number = 0, 0, self._number
        messages = []
        try:
            while True:
                kind = data[at]
                length, body = _varint(data, at + 1)
                end = body + length
                if end > len(data):
                    break
                if kind >> 4 == _PUBLISH:
                    after_topic = body + 2 + (data[body] << 8 | data[body + 1])
                    topic, mid = _text(data[body + 2 : after_topic]), 0
                    if kind & 6:
                        mid = data[after_topic] << 8 | data[after_topic + 1]
                        after_topic += 2
                    properties, start = _varint(data, after_topic)
                    payload = data[start + properties : end]
                    size += len(payload)
                    messages.append(Message(topic, payload, arrived, mid, 1 if mid else 0, number))
                    arrived += _TICK
                else:
                    self._owner._heard(mqtt5.read(memoryview(data)[at:end])[0], self)  # noqa: SLF001 - one thing
                at = end
        except IndexError:
            pass  # the rest of this packet is still under way
        self._rest = data[at:]
        if messages:
            self._owner._took(messages, size)  # noqa: SLF001

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, if there still is one."""
        if data and self._transport is not None:
            self._transport.write(data)

    @property
    def congested(self) -> bool:
        """Whether the broker has not taken what we wrote for a while."""
        return self._transport is None or self._transport.get_write_buffer_size() > _OUTBOX_BYTES

    def pause(self) -> None:
        if self._transport is not None and not self.paused:
            self._transport.pause_reading()
            self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self.heard_at = time.monotonic()
            if self._transport is not None:
                self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Publisher:
    """One connection that publishes as devices do, re-made with jitter whenever it breaks."""

    def __init__(self, url: str, client_id: str) -> None:
        parts, self._host, self._port, tls = _address(url)
        self._up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._published = 0
        self._confirmed = 0
        #: How often the broker has accepted us: a retained message may be gone after the broker was.
        self.connections = 0
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(10_000)
        client.reconnect_delay_set(1, random.randint(4, 8))  # noqa: S311 - jitter
        if tls:
            client.tls_set_context(tls)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        self._client = client

    async def __aenter__(self) -> Self:
        """Start connecting in the background; the broker need not be there yet."""
        self._client.connect_async(self._host, self._port, keepalive=12)
        self._client.loop_start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say good-bye to the broker and end the network thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # The next three run in paho's network thread.

    def _on_connect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log().warning("the broker refused the connection", reason=str(reason))
            return
        self.connections += 1
        self._loop.call_soon_threadsafe(self._up.set)

    def _on_publish(self, _client: paho.Client, _data: Any, _mid: int, _reason: Any, _properties: Any) -> None:
        self._confirmed += 1

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._loop.is_closed():
            log().info("disconnected from the broker", reason=str(reason))
            self._loop.call_soon_threadsafe(self._up.clear)

    async def wait_connected(self) -> None:
        """Wait until the broker has accepted us."""
        await self._up.wait()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a QoS 1 message to the connection; raises BrokerUnavailable when there is none or it is full.

        The broker shows the last one that it is to `retain` to whoever subscribes later.
        """
        if not self._up.is_set():
            raise BrokerUnavailable("not connected to the broker")
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise BrokerUnavailable(paho.error_string(info.rc))
        self._published += 1

    async def room(self, most: int) -> None:
        """Wait until fewer than `most` published messages are still without the broker's PUBACK."""
        while self._published - self._confirmed >= most:  # noqa: ASYNC110 - the count moves in the network thread
            await asyncio.sleep(0.002)

    async def flush(self) -> None:
        """Wait until the broker has confirmed everything published."""
        await self.room(1)
