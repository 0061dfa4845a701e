"""A service's connection to the broker: receives in bunches, acknowledges by hand, publishes, connects again.

A message may be a reading, so the path is lean: a bare transport and the codec `mqtt5`, a tenth of paho's cost and no
second thread (docs/decisions/0008-lean-path.md).
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import cycle
from urllib.parse import unquote

import mqtt5

from kawamori.errors import BrokerUnavailable
from kawamori.mqtt.address import broker_address
from kawamori.mqtt.connection import Connection
from kawamori.mqtt.packets import FAILURE, PUBACK_REASONS, Message, reason_word
from kawamori.observe import log

#: Called with the reason code of a message that the broker refuses.
Refusal = Callable[[int], None]
#: Seconds between two log lines about the same refusal.
_TOLD_EVERY = 60.0
#: A broker silent for so many seconds is gone (a half-open connection says nothing).
_PATIENCE = 15.0
_INBOX_BYTES = 32 * 1024 * 1024
#: Messages published at most before the broker has confirmed one.
_UNCONFIRMED = 1000
#: With so many messages at once there is no need to let them gather.
_MANY = 250
_PING = mqtt5.PingReqPacket().write()


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
        parts, self._host, self._port, self._tls = broker_address(url)
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
        self._wire: Connection | None = None
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
        wire = Connection(self, self._connection)
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

    async def _watch(self, wire: "Connection") -> None:
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

    def took(self, messages: list[Message], size: int) -> None:
        """Take what has arrived; called by the connection."""
        if not self._inbox:
            self._arrived.set()
        self._inbox.extend(messages)
        self._bytes += size
        self._read_on()

    def heard(self, packet: object, wire: "Connection") -> None:
        """The broker has answered our greeting or our subscription, or says why it leaves."""
        if isinstance(packet, mqtt5.ConnAckPacket):
            if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                self._complain("our connection", reason_word(packet.reason_code.name))
                wire.abort()
            else:
                self._refused.pop("our connection", None)
                self._allowed = min(_UNCONFIRMED, packet.receive_max)
                self.largest = packet.max_packet_size
                wire.write(self._wish)
        elif isinstance(packet, mqtt5.SubAckPacket):
            bad = [code for code in packet.reason_codes if code != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
            if bad:
                self._complain("our subscription", reason_word(bad[0].name))
                wire.abort()  # and try again: the access rules may be mended meanwhile
            else:
                self._refused.pop("our subscription", None)
                log().info("connected to the broker", host=self._host, port=self._port)
                self._up.set()
        elif isinstance(packet, mqtt5.DisconnectPacket):
            wire.why = str(packet.reason_code)

    def confirmed(self, mid: int, code: int) -> None:
        """The broker has a message of ours, or refuses it: from 0x80 on. (MQTT 5.0, 3.4.2.1)"""
        kind, refusal = self._unconfirmed.pop(mid, ("", None))
        if not kind:
            return
        if code < FAILURE:
            self._refused.pop(kind, None)
            return
        reason = PUBACK_REASONS.get(code, f"reason code 0x{code:02x}")
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

    def publish(self, topic: str, payload: bytes, refused: Refusal | None = None) -> None:
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
