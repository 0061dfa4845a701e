"""A service's link to the broker: nothing is acknowledged that is not ours, and no packet stops the rest."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import mqtt5
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from kawamori.errors import BrokerUnavailable
from kawamori.mqtt import Link, Message
from kawamori.mqtt.connection import Connection
from kawamori.mqtt.publisher import Publisher
from kawamori.operate.servers import BrokerServer, private_broker

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
        rest: list[Message] = []
        while len(rest) < 15:  # how many come before the next acknowledgement differs: Mosquitto 2.0.11 counts loosely
            rest += (more := await receive(receiver, 1))
            receiver.acknowledge(more)
        assert [m.payload for m in rest] == payloads[10:]


class Collector:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def took(self, messages: list[Message], _size: int) -> None:
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
    wire = Connection(collector, 1)  # type: ignore[arg-type]
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
        taken = 0
        with contextlib.suppress(BrokerUnavailable):
            while taken < 2000:  # nothing is read meanwhile, so nothing is confirmed
                link.publish(TOPIC, b"x")
                taken += 1
        assert taken == 1000
        messages = await receive(link, 1000)
        link.publish(TOPIC, b"on")
    assert len(messages) >= 1000


@asynccontextmanager
async def served_by_hand(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[Link]:
    """A link to a broker that accepts it, and does then what no real one does at will."""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await reader.read(1000)
            writer.write(mqtt5.ConnAckPacket(max_packet_size=5000).write())
            await answer(reader, writer)
            await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        link = Link(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", "r", [TOPIC], receive_maximum=10)
        task = asyncio.create_task(link.stay_connected())
        try:
            yield link
        finally:
            task.cancel()
            await asyncio.wait([task])


def granted() -> bytes:
    return mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0x80, "unspecified error"),
        (0x87, "not authorised"),
        (0x95, "packet too large"),
        (0x97, "quota"),
        (0xEE, "0xee"),
    ],
)
async def test_a_message_that_the_broker_refuses_is_not_confirmed_and_the_link_says_why(code: int, word: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(granted())
        await reader.read(1000)
        writer.write(bytes([0x40, 0x03, 0, 1, code]))  # by hand: any code
        await reader.read(1000)
        writer.write(bytes([0x40, 0x02, 0, 2]))
        await reader.read(1000)

    refused: list[int] = []
    async with served_by_hand(answer) as link:
        await until(lambda: link.connected, 5)
        assert link.largest == 5000
        link.publish("kawamori/v1/gateway/g/batch", b"x", refused.append)
        await until(lambda: refused == [code], 5)
        assert str(link.trouble).startswith("the broker refuses batch: ")
        assert word in str(link.trouble)
        link.publish("kawamori/v1/gateway/g/batch", b"y", refused.append)
        await until(lambda: link.trouble is None, 5)
        assert refused == [code]


async def test_a_refused_subscription_is_said_and_asked_for_again() -> None:
    answers = iter([b"\x90\x04\x00\x01\x00\x87", granted()])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(next(answers))
        await reader.read(1000)

    async with served_by_hand(answer) as link:
        await until(lambda: link.trouble == "the broker refuses our subscription: not authorized", 5)
        assert not link.connected
        await until(lambda: link.connected, 10)
        assert link.trouble is None


async def test_what_is_sent_once_is_not_lost_with_the_connection() -> None:
    turns = iter([b"first", b""])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        payload = next(turns)
        once = mqtt5.PublishPacket(TOPIC, payload).write() if payload else b""
        twice = mqtt5.PublishPacket(TOPIC, b"again", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9).write()
        writer.write(granted() + once + twice)
        if payload:
            await writer.drain()
            writer.close()

    async with served_by_hand(answer) as link:
        await until(lambda: link._connection == 2 and link.connected, 10)
        await until(lambda: len(link._inbox) == 2, 5)
        assert [message.payload for message in await link.receive(10)] == [b"first", b"again"]


@pytest.mark.parametrize(
    "junk", [b"\x32\x02\x00\x09", b"\x30\xff\xff\xff\xff\xff", b"\x40\x01\x00", b"\x00\x00", b"\x90\x00"]
)
async def test_what_is_no_mqtt_costs_the_connection_and_not_the_service(junk: bytes) -> None:
    turns = iter([junk, b""])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(granted() + mqtt5.PublishPacket(TOPIC, b"good").write() + next(turns))
        await reader.read(1000)

    async with served_by_hand(answer) as link:
        assert (await receive(link, 1))[0].payload == b"good"
        await until(lambda: link._connection == 2 and link.connected, 10)


def test_an_error_of_a_handler_is_not_taken_for_bytes_that_are_missing() -> None:
    class Faulty(Collector):
        def heard(self, _packet: object, _wire: object) -> None:
            raise IndexError

    with pytest.raises(IndexError):
        Connection(Faulty(), 1).data_received(granted())  # type: ignore[arg-type]


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=12))
def test_bytes_of_any_kind_are_read_or_end_the_connection(chunks: list[bytes]) -> None:
    class Deaf(Collector):
        def heard(self, _packet: object, _wire: object) -> None: ...
        def confirmed(self, _mid: int, _code: int) -> None: ...

    wire = Connection(Deaf(), 1)  # type: ignore[arg-type]
    for chunk in chunks:
        wire.data_received(chunk)
        if wire.why == "malformed packet":
            break


def test_a_large_packet_in_small_pieces_is_copied_once() -> None:
    collector = Collector()
    wire = Connection(collector, 1)  # type: ignore[arg-type]
    stream = mqtt5.PublishPacket(TOPIC, bytes(8_000_000)).write()
    begun = time.process_time()
    for at in range(0, len(stream), 4096):
        wire.data_received(stream[at : at + 4096])
    assert len(collector.messages[0].payload) == 8_000_000
    assert time.process_time() - begun < 1  # 8 GB of copying would take longer


async def test_a_publisher_says_that_the_broker_refuses() -> None:
    publisher = Publisher("mqtt://127.0.0.1:1", "p")
    publisher._published = 2
    for name in ("Success", "Not authorized"):
        publisher._on_publish(publisher._client, None, 1, ReasonCode(PacketTypes.PUBACK, name), None)
    assert publisher.refused == "Not authorized"
    with pytest.raises(BrokerUnavailable, match="refused 1 of our messages"):
        await publisher.flush()
    await publisher.flush()
