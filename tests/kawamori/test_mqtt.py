"""A service's link to the broker: nothing is acknowledged that is not ours, and no packet stops the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import mqtt5
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from kawamori.errors import BrokerUnavailable
from kawamori.mqtt import Link, Message, _Wire
from kawamori.servers import BrokerServer, private_broker

pytestmark = pytest.mark.integration
TOPIC = "kawamori/v1/device/d1/reading"


@pytest.fixture
def own_broker() -> Any:
    with private_broker() as broker:
        yield broker


@asynccontextmanager
async def receiving(broker: BrokerServer, name: str = "r", most: int = 2000) -> AsyncIterator[Link]:
    receiver = Link(broker.url, name, [TOPIC], receive_maximum=most, keep_session=True)
    task = asyncio.create_task(receiver.stay_connected())
    try:
        await until(lambda: receiver.connected or task.done(), 10)
        yield receiver
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], Any], within: float) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


def publish(broker: BrokerServer, payloads: list[bytes]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for info in [client.publish(TOPIC, payload, qos=1) for payload in payloads]:
        info.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


async def receive(receiver: Link, count: int) -> list[Message]:
    found: list[Message] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await receiver.receive(1000)
    return found


async def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(own_broker: BrokerServer) -> None:
    async with receiving(own_broker) as receiver:
        await asyncio.to_thread(publish, own_broker, [b"a", b"b", b"c"])
        messages = await receive(receiver, 3)
        receiver.acknowledge(messages[:2])
    async with receiving(own_broker) as again:
        assert [m.payload for m in await receive(again, 1)] == [b"c"]


async def test_no_more_is_in_flight_than_asked_for(own_broker: BrokerServer) -> None:
    payloads = [b"%d" % n for n in range(25)]
    async with receiving(own_broker, most=10) as receiver:
        await asyncio.to_thread(publish, own_broker, payloads)
        messages = await receive(receiver, 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                messages += await receiver.receive(1)
        assert [m.payload for m in messages] == payloads[:10]
        receiver.acknowledge(messages)
        assert [m.payload for m in await receive(receiver, 15)] == payloads[10:]  # Mosquitto 2.0.11 counts loosely here


class Collector:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def _took(self, messages: list[Message], _size: int) -> None:
        self.messages += messages


@given(
    st.lists(
        st.tuples(st.text("ab/é川", min_size=1, max_size=9), st.binary(max_size=300), st.integers(0, 65535)),
        max_size=20,
    ),
    st.lists(st.integers(1, 400), max_size=20),
)
def test_messages_are_what_the_codec_wrote_however_the_bytes_are_cut(
    sent: list[tuple[str, bytes, int]], cuts: list[int]
) -> None:
    stream = b"".join(
        mqtt5.PublishPacket(
            topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE if mid else mqtt5.QoS.AT_MOST_ONCE, packet_id=mid or None,
            user_properties=[("k", "v" * (mid % 200))], content_type="application/json",
        ).write()
        for topic, payload, mid in sent
    )  # fmt: skip
    collector = Collector()
    wire = _Wire(collector, 1)  # type: ignore[arg-type]
    for cut in cuts:
        wire.data_received(stream[:cut])
        stream = stream[cut:]
    wire.data_received(stream)
    assert [(m.topic, m.payload, m.mid, m.qos) for m in collector.messages] == [
        (*what, int(what[2] > 0)) for what in sent
    ]


async def test_a_message_larger_than_the_socket_gives_at_once_arrives_whole(own_broker: BrokerServer) -> None:
    large = bytes(range(256)) * 12_000
    async with receiving(own_broker) as receiver:
        await asyncio.to_thread(publish, own_broker, [b"before", large, b"after"])
        assert [m.payload for m in await receive(receiver, 3)] == [b"before", large, b"after"]


async def test_it_comes_back_after_the_broker_was_killed(own_broker: BrokerServer) -> None:
    async with receiving(own_broker) as receiver:
        await asyncio.to_thread(own_broker.kill)
        await until(lambda: not receiver.connected, 10)
        await asyncio.to_thread(own_broker.start)
        await until(lambda: receiver.connected, 15)
        await asyncio.to_thread(publish, own_broker, [b"still here"])
        assert [m.payload for m in await receive(receiver, 1)] == [b"still here"]


async def test_a_topic_that_is_not_utf8_is_handed_on_and_the_next_message_is_read() -> None:
    """Served by hand: Mosquitto itself would not send such a topic."""
    good = mqtt5.PublishPacket(TOPIC, b"good", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=8).write()
    body = b"\x00\x02\xff\xfe\x00\x07\x00bad"  # a topic that is not UTF-8, packet id 7
    bad = bytes([0x32, len(body)]) + body
    heard = bytearray()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(mqtt5.ConnAckPacket().write())
        await reader.read(1000)
        writer.write(mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write())
        writer.write(bad + good)
        with contextlib.suppress(asyncio.CancelledError):
            while data := await reader.read(1000):
                heard.extend(data)
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        receiver = Link(f"mqtt://127.0.0.1:{port}", "r", [TOPIC], receive_maximum=10)
        task = asyncio.create_task(receiver.stay_connected())
        messages = await receive(receiver, 2)
        assert [(m.payload, m.mid) for m in messages] == [(b"bad", 7), (b"good", 8)]
        assert messages[1].topic == TOPIC
        receiver.acknowledge(messages)
        await until(lambda: bytes(heard).startswith(b"\x40\x02\x00\x07\x40\x02\x00\x08"), 5)
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_published_arrives_and_a_lost_connection_is_an_error(own_broker: BrokerServer) -> None:
    async with receiving(own_broker) as link:
        for n in range(3):
            link.publish(TOPIC, b"%d" % n)
        assert [m.payload for m in await receive(link, 3)] == [b"0", b"1", b"2"]
        await asyncio.to_thread(own_broker.kill)
        await until(lambda: not link.connected, 10)
        with pytest.raises(BrokerUnavailable):
            link.publish(TOPIC, b"lost")


async def test_it_publishes_no_further_than_the_broker_confirms(own_broker: BrokerServer) -> None:
    async with receiving(own_broker) as link:
        with pytest.raises(BrokerUnavailable):
            for _ in range(2000):  # nothing is read meanwhile, so nothing is confirmed
                link.publish(TOPIC, b"x")
        messages = await receive(link, 1000)
        link.publish(TOPIC, b"on")
    assert len(messages) >= 1000
