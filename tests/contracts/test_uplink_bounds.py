"""What gateways say is within bounds, whoever says it: nothing in a batch ends the process that decodes it."""

from datetime import UTC, datetime

import msgspec
import pytest

from kawamori import wire
from kawamori.errors import UndecodableMessage
from kawamori.wire.uplink import EARLIEST, LATEST, encoded_size, split_batch

READING = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"water_level","value":4.31,"unit":"m"}'
AT = datetime(2026, 7, 13, 17, 10, tzinfo=UTC)


def reading(device: str = "d", at: str = "2026-07-13T17:10:00Z", raw: bytes = READING) -> bytes:
    return b'{"device_id":%b,"received_at":"%b","reading":%b}' % (msgspec.json.encode(device), at.encode(), raw)


def batch(*readings: bytes, more: bytes = b"") -> bytes:
    return b'{"epoch":"e","seq":7,"readings":[%b]%b}' % (b",".join(readings), more)


@pytest.mark.parametrize(
    ("at", "bound"),
    [
        ("1970-01-01T00:00:00Z", EARLIEST),
        ("0001-01-01T00:00:00+23:59", EARLIEST),
        ("9999-12-31T23:59:59-23:59", LATEST),
    ],
)
@pytest.mark.parametrize("raw", [READING, b"[%b,{}]" % READING])
def test_a_gateway_without_a_clock_is_heard_and_its_times_cannot_overflow(at: str, bound: datetime, raw: bytes) -> None:
    found = wire.decode_batch(batch(reading(at=at, raw=raw), reading()))
    assert [item.received_at for item in found.readings] == [bound, AT]
    for item in found.readings:
        item.received_at.astimezone(UTC)
    assert wire.decode_alive(b'{"clock":"%b"}' % at.encode()).clock == bound


@pytest.mark.parametrize("name", ["x y", "\u0000", "a/b", "川"])
@pytest.mark.parametrize("raw", [READING, b"[%b,{}]" % READING])
def test_a_reading_of_a_device_without_a_proper_name_is_set_aside_alone(name: str, raw: bytes) -> None:
    found = wire.decode_batch(batch(reading(), reading(name, raw=raw)))
    assert [item.device_id for item in found.readings] == ["d"]
    (aside,) = found.undecoded
    assert (aside.device_id, aside.payload) == (None, raw)
    assert "\x00" not in aside.topic
    assert aside.reason.startswith("device: ")


def test_texts_of_an_undecoded_message_are_short_and_printable() -> None:
    one = b'{"topic":"%b","received_at":"1970-01-01T00:00:00Z","payload":"","reason":"a\\u0000b","device_id":"\\u0000"}'
    (found,) = wire.decode_batch(batch(more=b',"undecoded":[%b]' % (one % (b"x" * 3000)))).undecoded
    assert (len(found.topic), found.reason, found.device_id) == (200, "a\ufffdb", None)
    assert found.received_at == EARLIEST


def test_a_message_on_a_topic_of_any_length_travels_with_its_bytes() -> None:
    found = wire.undecoded("kawamori/v1/device/" + "é" * 60_000 + "/reading", AT, b"\xff", "topic: not of the contract")
    assert (len(found.topic), found.device_id, found.payload) == (200, None, b"\xff")
    assert wire.undecoded("kawamori/v1/device/d1/reading", AT, b"", "why").device_id == "d1"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"epoch":"","seq":1}', b'{"epoch":"%b","seq":1}' % (b"x" * 65), b'{"epoch":"e","seq":%b}' % (b"9" * 400),
        b'{"epoch":"e","seq":-1}', b'{"epoch":"e","seq":1,"readings":[{}]}', b"\xff", b"",
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        wire.decode_batch(payload)


@pytest.mark.parametrize("payload", [b"\xff", b'{"epoch":"\xff","seq":1}', b"[" * 10_000, b'{"epoch":"e"}'])
def test_what_is_no_acknowledgement_is_refused(payload: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        wire.decode_ack(payload)


def test_the_time_of_sending_is_put_on_and_taken_off_and_leaves_the_bytes() -> None:
    plain = wire.encode(wire.Batch("e", 7, readings=[wire.UplinkReading("d", AT, msgspec.Raw(READING))]))
    first, second = wire.stamped(plain, AT), wire.stamped(wire.stamped(plain, AT), LATEST)
    assert wire.decode_batch(first).sent_at == AT
    assert wire.decode_batch(second).sent_at == LATEST
    assert wire.unstamped(first) == wire.unstamped(second) == wire.unstamped(plain) == plain
    assert wire.decode_batch(plain).sent_at is msgspec.UNSET


def test_a_gateway_of_before_says_less_and_is_understood() -> None:
    assert wire.decode_alive(b'{"waiting":7}') == wire.Alive(7, 0, None)
    assert wire.decode_alive(wire.encode(wire.Alive(7, 2, AT))) == wire.Alive(7, 2, AT)


def test_a_batch_is_split_by_its_encoded_size_and_nothing_is_lost() -> None:
    whole = wire.Batch(
        "e", 7, [wire.undecoded("t\u2603" * 50, AT, bytes(n), "why") for n in range(0, 3000, 300)],
        [wire.UplinkStatus("d", AT, msgspec.Raw(b'{"a":1}'))] * 10,
        readings=[wire.UplinkReading("d", AT, msgspec.Raw(b"[%b,%b]" % (READING, READING)))] * 10,
    )  # fmt: skip
    parts = split_batch(wire.encode(whole), 2000)
    assert all(len(wire.encode(part)) <= 2000 for part in parts if len(part.undecoded) != 1)
    assert sum(len(part.readings) for part in parts) == 20
    assert sum(len(part.status) for part in parts) == 10
    assert [u.payload for part in parts for u in part.undecoded] == [u.payload for u in whole.undecoded]
    for item in (*whole.readings, *whole.undecoded, *whole.status):
        assert encoded_size(item) >= len(wire.encode(item))
