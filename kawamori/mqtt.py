"""The broker, as the services see it: receive in bunches, acknowledge by hand, publish. Only importer of paho."""

import asyncio
import random
import ssl
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from kawamori.errors import BrokerUnavailable, ConfigurationError
from kawamori.observe import log


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it arrived; `connection` guards against acknowledging over another connection."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int
    qos: int
    connection: int


class Link:
    """One connection to the broker, re-made with jitter whenever it breaks.

    With `manual_ack` the broker keeps at most `receive_maximum` messages in flight until `acknowledge`, which
    bounds the inbox. A named session (`keep_session`) lets the broker hold QoS 1 messages while we are away.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        subscriptions: list[str],
        *,
        manual_ack: bool = False,
        receive_maximum: int = 2000,
        keep_session: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ConfigurationError("KAWAMORI_MQTT_URL: must look like mqtt://host:port or mqtts://host:port")
        self._host, self._port = parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._subscriptions = subscriptions
        self._manual_ack = manual_ack
        self._keep_session = keep_session
        self._receive_maximum = receive_maximum
        self._inbox: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._signalled = False
        self._connection = 0
        self._published = 0
        self._confirmed = 0
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=paho.MQTTv5,
            manual_ack=manual_ack,
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(10_000)
        client.reconnect_delay_set(1, random.randint(4, 8))  # noqa: S311 - jitter
        if parts.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        self._client = client

    async def __aenter__(self) -> Self:
        """Start connecting in the background; the broker need not be there yet."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = self._receive_maximum
        properties.SessionExpiryInterval = 7 * 86400 if self._keep_session else 0
        self._client.connect_async(
            self._host, self._port, keepalive=15, clean_start=not self._keep_session, properties=properties
        )
        self._client.loop_start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say good-bye to the broker and end the network thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # The next three run in paho's network thread.

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log().warning("the broker refused the connection", reason=str(reason))
            return
        self._connection += 1
        self._inbox.clear()  # what was not acknowledged on the last connection comes again on this one
        if self._subscriptions:
            client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._subscriptions])
            return
        self._welcome()

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log().error("the broker refuses our subscription: look at its access rules", topics=self._subscriptions)
            return
        self._welcome()

    def _on_publish(self, _client: paho.Client, _data: Any, _mid: int, _reason: Any, _properties: Any) -> None:
        self._confirmed += 1

    def _welcome(self) -> None:
        log().info("connected to the broker", host=self._host, port=self._port)
        self._loop.call_soon_threadsafe(self._up.set)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._loop.is_closed():
            log().info("disconnected from the broker", reason=str(reason))
            self._loop.call_soon_threadsafe(self._up.clear)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        arrived = datetime.fromtimestamp(time.time(), UTC)
        self._inbox.append(
            Message(message.topic, bytes(message.payload), arrived, message.mid, message.qos, self._connection)
        )
        if not self._signalled:
            self._signalled = True
            self._loop.call_soon_threadsafe(self._arrived.set)

    @property
    def _unconfirmed(self) -> int:
        return self._published - self._confirmed

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and our subscriptions."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until the broker has accepted us."""
        await self._up.wait()

    async def receive(self, limit: int, linger: float = 0.0) -> list[Message]:
        """Wait for messages; return up to `limit`, gathered for `linger` seconds after the first."""
        while not self._inbox:
            self._arrived.clear()
            self._signalled = False
            if self._inbox:
                break
            await self._arrived.wait()
        if linger and len(self._inbox) < limit:
            await asyncio.sleep(linger)
        messages: list[Message] = []
        while len(messages) < limit:
            try:
                messages.append(self._inbox.popleft())
            except IndexError:  # a reconnection may empty the inbox under our hands
                break
        return messages

    def acknowledge(self, messages: list[Message]) -> None:
        """Tell the broker that these are safe with us. Those of an earlier connection come again instead."""
        for message in messages:
            if message.connection == self._connection and message.qos:
                self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a QoS 1 message to the connection; raises BrokerUnavailable when there is none or it is full.

        Returning says nothing of the broker having it: what must arrive needs an acknowledgement of its own.
        """
        if not self.connected:
            raise BrokerUnavailable("not connected to the broker")
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise BrokerUnavailable(paho.error_string(info.rc))
        self._published += 1

    async def room(self, most: int) -> None:
        """Wait until fewer than `most` published messages are still without the broker's PUBACK."""
        while self._unconfirmed >= most:  # noqa: ASYNC110 - the count moves in the network thread
            await asyncio.sleep(0.002)

    async def flush(self) -> None:
        """Wait until the broker has confirmed everything published."""
        await self.room(1)
