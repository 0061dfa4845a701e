"""The contract with devices: what is understood, and what is refused with the field's name."""

import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kawamori import wire
from kawamori.errors import UndecodableMessage

TOPIC = "kawamori/v1/device/d1/reading"
GOLDEN = sorted((Path(__file__).parent / "payloads" / "v1").glob("*.json"))
ONE = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"water_level","value":2.134,"unit":"m"}'


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_payloads_stay_understood(path: Path) -> None:
    message = wire.decode_device_message(TOPIC, path.read_bytes())
    assert message.readings
    assert not message.refused


def test_a_single_reading_keeps_its_very_bytes() -> None:
    odd = ONE.replace(b",", b" ,  ")
    assert wire.decode_device_message(TOPIC, odd).readings == odd


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"\xff\xfe garbage", "message"),
        (b"", "message"),
        (b"[]", "message"),
        (b"[" * 100_000, "message"),
        (ONE.replace(b"2.134", b'"NaN"'), "value"),
        (ONE.replace(b"2.134", b"NaN"), "value"),
        (ONE.replace(b"2.134", b"1e300"), "value"),
        (ONE.replace(b"+09:00", b""), "time"),
        (ONE.replace(b'"unit":"m"', b'"unit":null'), "unit"),
        (ONE.replace(b',"unit":"m"', b""), "unit"),
        (ONE.replace(b'"unit":"m"', b'"unit":"m","colour":1'), "colour"),
        (b" " * 300_000 + ONE, "message"),
    ],
)
def test_what_breaks_the_contract_is_refused_naming_the_field(payload: bytes, field: str) -> None:
    with pytest.raises(UndecodableMessage, match=field) as caught:
        wire.decode_device_message(TOPIC, payload)
    assert "2.134" not in str(caught.value)


def test_one_bad_reading_in_a_message_does_not_stop_its_neighbours() -> None:
    bad = ONE.replace(b"2.134", b'"high"')
    message = wire.decode_device_message(TOPIC, b'{"readings":[%b,%b,%b],"seq":7}' % (ONE, bad, ONE))
    assert message.readings == b"[%b,%b]" % (ONE, ONE)
    assert message.refused[0][0] == bad
    assert "readings[1].value" in message.refused[0][1]
    assert message.seq == 7


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(payload: bytes) -> None:
    with contextlib.suppress(UndecodableMessage):
        wire.decode_device_message(TOPIC, payload)


AT = wire.decode_reading(ONE).time


def uplink(reading: bytes) -> wire.UplinkReading:
    return wire.UplinkReading("d1", AT, msgspec.Raw(reading))


def test_a_batch_travels_unchanged() -> None:
    batch = wire.Batch("e", 3, [wire.UplinkUndecoded(TOPIC, AT, b"\x00\xff", "why")], readings=[uplink(ONE)])
    again = wire.decode_raw_batch(wire.encode(batch))
    assert bytes(again.readings[0].reading) == ONE
    assert again.undecoded[0].payload == b"\x00\xff"


def test_sound_readings_are_decoded_with_their_batch_and_unsound_ones_are_left_as_sent() -> None:
    sound = wire.decode_batch(wire.encode(wire.Batch("e", 1, readings=[uplink(ONE), uplink(b"[%b,%b]" % (ONE, ONE))])))
    assert isinstance(sound, wire.DecodedBatch)
    assert isinstance(sound.readings[1].reading, list)
    bad = ONE.replace(b"2.134", b'"high"')
    mixed = wire.decode_batch(wire.encode(wire.Batch("e", 1, readings=[uplink(ONE), uplink(b"[%b,%b]" % (ONE, bad))])))
    assert isinstance(mixed, wire.Batch)
    assert [bytes(r.reading) for r in wire.readings_of(mixed)] == [ONE, ONE, bad]


def test_rows_of_a_backlog_travel_together_under_the_last_ones_number() -> None:
    rows = [wire.encode(wire.Batch("e", seq, readings=[uplink(ONE)] * seq)) for seq in (1, 2, 3)]
    together = wire.decode_raw_batch(wire.merged(rows))
    assert (together.epoch, together.first, together.seq, len(together.readings)) == ("e", 1, 3, 6)
    assert wire.merged(rows[:1]) == rows[0]


@pytest.mark.parametrize("payload", [b"", b"{", b'{"waiting": -1}', b'{"waiting": 1e30}', b'{"waiting": "7"}', b"\xff"])
def test_a_sign_of_life_that_cannot_be_one_is_refused(payload: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        wire.decode_alive(payload)
    assert wire.decode_alive(wire.encode(wire.Alive(7))).waiting == 7
