"""The broker: how services receive in bunches, acknowledge by hand and publish. Only importer of MQTT clients.

`Link` is for services, where a message may be a reading: a bare transport and the codec `mqtt5`, a tenth of paho's cost
and no second thread (docs/decisions/0008-lean-path.md). `Publisher` is paho, for whoever speaks as devices do.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
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
    `_INBOX_BYTES` the socket is not read. With `keep_session` the broker holds messages while we are away. A process
    that says nothing for half as long again as `keep_alive` seconds is disconnected by the broker.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        subscriptions: list[str],
        *,
        receive_maximum: int = 2000,
        keep_session: bool = False,
        keep_alive: int = 10,
    ) -> None:
        parts, self._host, self._port, self._tls = _address(url)
        self._keep_alive = keep_alive
        self._hello = mqtt5.ConnectPacket(
            client_id,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or "").encode() if parts.username else None,
            clean_start=not keep_session,
            keep_alive=keep_alive,
            session_expiry_interval=7 * 86400 if keep_session else 0,
            receive_max=receive_maximum,
        ).write()
        topics = [mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for topic in subscriptions]
        self._wish = mqtt5.SubscribePacket(1, topics).write()
        self._mids = cycle(range(1, 65_536))
        #: Published, and not yet confirmed by the broker: the kind of topic, and who wants to hear of a refusal.
        self._unconfirmed: dict[int, tuple[str, Refusal | None]] = {}
        self._allowed = 0
        #: What the broker refuses now, by kind of topic, and in which words.
        self._refused: dict[str, str] = {}
        self._told: dict[tuple[str, str], float] = {}
        #: The largest packet that the broker takes, in bytes, as far as it has said so; None: it has not.
        self.largest: int | None = None
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
        # What was not acknowledged on the last connection comes again on this one; what is sent once (QoS 0) does not.
        once = [message for message in self._inbox if not message.qos]
        self._inbox.clear()
        self._inbox.extend(once)
        self._bytes = sum(len(message.payload) for message in self._inbox)
        self._unconfirmed.clear()
        wire.write(self._hello)
        await self._watch(wire)

    async def _watch(self, wire: "_Wire") -> None:
        """Return when the connection has ended, or when the broker has been silent for too long."""
        while not wire.ended.is_set():
            try:
                async with asyncio.timeout(self._keep_alive / 2):
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
                self._complain("our connection", _word(packet.reason_code.name))
                wire.abort()
            else:
                self._refused.pop("our connection", None)
                self._allowed = min(_UNCONFIRMED, packet.receive_max)
                self.largest = packet.max_packet_size
                wire.write(self._wish)
        elif isinstance(packet, mqtt5.SubAckPacket):
            bad = [code for code in packet.reason_codes if code != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
            if bad:
                self._complain("our subscription", _word(bad[0].name))
                wire.abort()  # and try again: somebody may mend the rules
            else:
                self._refused.pop("our subscription", None)
                log().info("connected to the broker", host=self._host, port=self._port)
                self._up.set()
        elif isinstance(packet, mqtt5.DisconnectPacket):
            wire.why = str(packet.reason_code)

    def _confirmed(self, mid: int, code: int) -> None:
        """The broker has a message of ours, or refuses it: from 0x80 on. (MQTT 5.0, 3.4.2.1)"""
        kind, refusal = self._unconfirmed.pop(mid, ("", None))
        if not kind:
            return
        if code < _FAILURE:
            self._refused.pop(kind, None)
            return
        reason = _PUBACK.get(code, f"reason code 0x{code:02x}")
        self._complain(kind, reason)
        if refusal is not None:
            refusal(code)

    def _complain(self, what: str, reason: str) -> None:
        """Remember what the broker refuses, and tell a person of it now and then."""
        self._refused[what] = reason
        moment = time.monotonic()
        if moment - self._told.get((what, reason), -_TOLD_EVERY) >= _TOLD_EVERY:
            self._told[what, reason] = moment
            log().error(f"the broker refuses {what}: look at its access rules and limits", reason=reason)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be expected of this connection: there is none, or the broker refuses what we ask."""
        if self._refused:
            return "; ".join(f"the broker refuses {kind}: {reason}" for kind, reason in sorted(self._refused.items()))
        return None if self.connected else "not connected"

    @property
    def connection(self) -> int:
        """The number of this connection, from 1: another one whenever the last has broken."""
        return self._connection

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

    def publish(self, topic: str, payload: bytes, refused: "Refusal | None" = None) -> None:
        """Send a QoS 1 message; raises BrokerUnavailable when there is no connection or too much is unconfirmed.

        Returning says nothing of the broker having it: what must arrive needs an acknowledgement of its own. `refused`
        is called with the broker's reason code where it says that it does not take this message.
        """
        if not self.connected or self._wire is None:
            raise BrokerUnavailable("not connected to the broker")
        if len(self._unconfirmed) >= self._allowed or self._wire.congested:
            raise BrokerUnavailable("the broker is slow to take what we send")
        mid = next(mid for mid in self._mids if mid not in self._unconfirmed)
        self._unconfirmed[mid] = (topic.rpartition("/")[2], refused)
        qos = mqtt5.QoS.AT_LEAST_ONCE
        self._wire.write(mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=mid).write())

    def answer(self, replies: Iterable[tuple[str, bytes]]) -> None:
        """Publish to devices, QoS 0: a device that does not hear of us repeats itself."""
        if self.connected and self._wire is not None and not self._wire.congested:
            self._wire.write(b"".join([mqtt5.PublishPacket(topic, payload).write() for topic, payload in replies]))


#: Called with the reason code of a message that the broker refuses.
Refusal = Callable[[int], None]
#: Seconds between two log lines about the same refusal.
_TOLD_EVERY = 60.0
#: Reason codes from here on are failures. (MQTT 5.0, 2.4)
_FAILURE = 0x80
#: The codec knows a part of them, and gives up on the others; Mosquitto answers 0x95 past its `message_size_limit`.
_PUBACK = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorised",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}
TOO_LARGE = 0x95
#: A broker silent for so many seconds is gone (a half-open connection says nothing).
_PATIENCE = 15.0
_INBOX_BYTES = 32 * 1024 * 1024
#: Messages published at most before the broker has confirmed one.
_UNCONFIRMED = 1000
_OUTBOX_BYTES = 16 * 1024 * 1024
#: With so many messages at once there is no need to let them gather.
_MANY = 250
_PING = mqtt5.PingReqPacket().write()


_PUBLISH = 3


_PUBACK_KIND = 4
#: Longer topics are no topics of ours, and not remembered.
_LONGEST_KEPT = 256


class _Malformed(Exception):
    """Bytes that are no packet of MQTT 5."""


@lru_cache(100_000)
def _known_text(topic: bytes) -> str:
    return topic.decode(errors="replace")


def _text(topic: bytes) -> str:
    """A topic; what is not UTF-8 must not stop what is."""
    return _known_text(topic) if len(topic) <= _LONGEST_KEPT else topic.decode(errors="replace")


def _word(reason: str) -> str:
    """`NOT_AUTHORIZED` as people say it."""
    return reason.replace("_", " ").lower()


def _varint(data: bytes, start: int) -> tuple[int, int] | None:
    """A variable byte integer and where it ends; None while bytes are missing. (MQTT 5.0, 1.5.5)"""
    value = 0
    for shift in (0, 7, 14, 21):
        if start >= len(data):
            return None
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise _Malformed("a length of more than four bytes")


def _packet(data: bytes, at: int) -> tuple[int, int] | None:
    """Where a packet's body begins and ends; None while even that is not known."""
    if at + 2 > len(data):
        return None
    if (length := data[at + 1]) < 0x80:
        return at + 2, at + 2 + length
    found = _varint(data, at + 1)
    return None if found is None else (found[1], found[1] + found[0])


def _message(data: bytes, kind: int, body: int, end: int, arrived: datetime, number: int) -> Message:
    """A PUBLISH packet; raises _Malformed."""
    after, mid = body + 2 + (data[body] << 8 | data[body + 1]) if body + 2 <= end else end + 1, 0
    if after > end:
        raise _Malformed("a topic longer than its packet")
    topic = _text(data[body + 2 : after])
    if kind & 6:
        if after + 2 > end:
            raise _Malformed("a message without its number")
        mid = data[after] << 8 | data[after + 1]
        after += 2
    properties = _varint(data[after : min(end, after + 4)], 0)
    if properties is None or (start := after + properties[1] + properties[0]) > end:
        raise _Malformed("properties longer than their packet")
    return Message(topic, data[start:end], arrived, mid, 1 if mid else 0, number)


def _puback(data: bytes, body: int, end: int) -> tuple[int, int]:
    """Whose message it confirms, and the reason code; raises _Malformed."""
    if end - body < 2:
        raise _Malformed("a confirmation without a number")
    return data[body] << 8 | data[body + 1], data[body + 2] if end - body > 2 else 0


def _control(packet: memoryview) -> object:
    """Any other packet, by the codec; raises _Malformed."""
    try:
        return mqtt5.read(packet)[0]
    except (ValueError, IndexError) as error:
        raise _Malformed(str(error)) from error


class _Wire(asyncio.Protocol):
    """One connection of a Link: bytes into packets."""

    def __init__(self, owner: Link, number: int) -> None:
        self._owner = owner
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._rest = bytearray()
        #: So many bytes the packet has that `_rest` begins with; 0 while that is not known.
        self._wanted = 0
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
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return  # of a large packet: nothing is copied or looked at until all of it is here
            data = bytes(self._rest)
            self._rest.clear()
        at, size, messages = 0, 0, []
        try:
            while (span := _packet(data, at)) is not None:
                body, end = span
                if end > len(data):
                    self._wanted = end - at
                    break
                kind = data[at]
                if kind >> 4 == _PUBLISH:
                    messages.append(_message(data, kind, body, end, arrived, self._number))
                    size += len(messages[-1].payload)
                    arrived += _TICK
                elif kind >> 4 == _PUBACK_KIND:
                    self._owner._confirmed(*_puback(data, body, end))  # noqa: SLF001 - one thing
                else:
                    self._owner._heard(_control(memoryview(data)[at:end]), self)  # noqa: SLF001
                at = end
            else:
                self._wanted = 0
        except _Malformed as error:
            log().error("the broker sent what is no MQTT: connecting again", error=str(error))
            self.why = "malformed packet"
            self.abort()
        else:
            self._rest += data[at:]
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
        #: Why the broker refused the last message that it refused; None once it has taken one again.
        self.refused: str | None = None
        self._failed = 0
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

    def _on_publish(self, _client: paho.Client, _data: Any, _mid: int, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._failed += 1
            if self.refused != str(reason) and not self._loop.is_closed():
                log().error("the broker refuses what we publish: look at its access rules", reason=str(reason))
            self.refused = str(reason)
        else:
            self.refused = None
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
        """Wait until the broker has confirmed everything published; raises BrokerUnavailable when it refused any."""
        await self.room(1)
        failed, self._failed = self._failed, 0
        if failed:
            raise BrokerUnavailable(f"the broker refused {failed} of our messages, the last one as: {self.refused}")
