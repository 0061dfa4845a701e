"""A connection that publishes as devices do, on the client paho."""

import asyncio
import random
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from kawamori.errors import BrokerUnavailable
from kawamori.mqtt.address import broker_address
from kawamori.observe import log


class Publisher:
    """One connection that publishes as devices do, re-made with jitter whenever it breaks."""

    def __init__(self, url: str, client_id: str) -> None:
        parts, self._host, self._port, tls = broker_address(url)
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

        With `retain` the broker keeps it and sends it to every later subscriber.
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
