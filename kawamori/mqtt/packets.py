"""MQTT 5.0 packets taken apart: messages and confirmations by hand, the rest by the codec `mqtt5`.

By hand, because that is as fast as the codec, and because the codec can end with a panic, which no service could
handle: it reads only what the broker itself says, never what a device sent.
"""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import mqtt5

#: Kinds of packets, the upper half of the first byte. (MQTT 5.0, 2.1.2)
PUBLISH, PUBACK = 3, 4
#: Reason codes from here on are failures. (MQTT 5.0, 2.4)
FAILURE = 0x80
#: Reason codes of PUBACK in words. (MQTT 5.0, 3.4.2.1; Mosquitto answers 0x95 past its `message_size_limit`.)
PUBACK_REASONS = {
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
#: Longer topics are no topics of ours, and not remembered.
_LONGEST_KEPT = 256


class Message(NamedTuple):
    """A message as it arrived; `connection` guards against acknowledging over another connection."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int
    qos: int
    connection: int


class Malformed(Exception):
    """Bytes that are no packet of MQTT 5."""


@lru_cache(100_000)
def _known_text(topic: bytes) -> str:
    return topic.decode(errors="replace")


def _text(topic: bytes) -> str:
    """Decode a topic; bytes that are not UTF-8 are replaced, so that the message can be refused by its topic."""
    return _known_text(topic) if len(topic) <= _LONGEST_KEPT else topic.decode(errors="replace")


def reason_word(reason: str) -> str:
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
    raise Malformed("a length of more than four bytes")


def packet_span(data: bytes, at: int) -> tuple[int, int] | None:
    """Where a packet's body begins and ends; None while even that is not known."""
    if at + 2 > len(data):
        return None
    if (length := data[at + 1]) < 0x80:
        return at + 2, at + 2 + length
    found = _varint(data, at + 1)
    return None if found is None else (found[1], found[1] + found[0])


def parse_message(data: bytes, kind: int, body: int, end: int, arrived: datetime, number: int) -> Message:
    """A PUBLISH packet; raises Malformed."""
    after, mid = body + 2 + (data[body] << 8 | data[body + 1]) if body + 2 <= end else end + 1, 0
    if after > end:
        raise Malformed("a topic longer than its packet")
    topic = _text(data[body + 2 : after])
    if kind & 6:
        if after + 2 > end:
            raise Malformed("a message without its number")
        mid = data[after] << 8 | data[after + 1]
        after += 2
    start = after + 1
    if after >= end or data[after]:  # usually there are no properties
        properties = _varint(data[after : min(end, after + 4)], 0)
        if properties is None or (start := after + properties[1] + properties[0]) > end:
            raise Malformed("properties longer than their packet")
    return Message(topic, data[start:end], arrived, mid, 1 if mid else 0, number)


def parse_puback(data: bytes, body: int, end: int) -> tuple[int, int]:
    """Whose message it confirms, and the reason code; raises Malformed."""
    if end - body < 2:
        raise Malformed("a confirmation without a number")
    return data[body] << 8 | data[body + 1], data[body + 2] if end - body > 2 else 0


def parse_control(packet: memoryview) -> object:
    """Any other packet, by the codec; raises Malformed."""
    try:
        return mqtt5.read(packet)[0]
    except (ValueError, IndexError) as error:
        raise Malformed(str(error)) from error
