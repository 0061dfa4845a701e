"""Each reading of a device's message is judged by itself, whatever is wrong beside it."""

import json
import time
from typing import Any

import pytest

from kawamori import wire
from kawamori.errors import UndecodableMessage
from kawamori.wire.device import MOST_REFUSED

TOPIC = "kawamori/v1/device/d1/reading"
LEVEL = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"water_level","value":4.31,"unit":"m"}'
PROBE = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"temperature","value":%b,"unit":"Cel"}'


def decoded(payload: bytes) -> wire.DeviceMessage:
    return wire.decode_device_message(TOPIC, payload)


def values(message: wire.DeviceMessage) -> list[float]:
    return [reading.value for reading in wire.decode_readings(message.readings)]


WRONG = [
    (PROBE % b"NaN", "value"),
    (PROBE % b"-Infinity", "value"),
    (PROBE % b"nan", "value"),
    (PROBE % b"1e999", "value"),
    (PROBE % (b"9" * 400), "value"),
    (PROBE % (b"9" * 5000), "value"),
    (PROBE % b"null", "value"),
    (PROBE % b'"18.2"', "value"),
    (PROBE % b"", "message"),
    (PROBE % b"18.2,", "message"),
    (PROBE % b"[1,2]", "value"),
    (PROBE % (b"[" * 3000 + b"]" * 3000), "value"),
    (PROBE % b'18.2,"value":3', "value"),
    (PROBE % b'18.2,"v\\u0061lue":3', "value"),
    (PROBE % b'18.2,"mark":"e","mark":""', "mark"),
    (PROBE % b'18.2,"mark":"e","value":3', "value"),
    (PROBE.replace(b"{", b'{"mark":"e",') % b"NaN", "value"),
    (PROBE % b'18.2,"colour":1', "colour"),
    (PROBE.replace(b"Cel", b"\xb0C") % b"18.2", "message"),
    (PROBE.replace(b"Cel", b"\\ud800") % b"18.2", "message"),
    (PROBE.replace(b',"unit":"Cel"', b"") % b"18.2", "unit"),
    (PROBE.replace(b"2026-07-14T02:10:00+09:00", b"0001-01-01T00:00:00+23:59") % b"18.2", "time"),
    (PROBE.replace(b"2026-07-14T02:10:00+09:00", b"9999-12-31T23:59:59-23:59") % b"18.2", "time"),
    (PROBE.replace(b"+09:00", b"") % b"18.2", "time"),
    (b"7", "message"),
    (b"null", "message"),
    (b"[]", "message"),
    (b'"a,b]}"', "message"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_wrong_reading_costs_itself_alone(wrong: bytes, field: str, place: int) -> None:
    pieces = [LEVEL, LEVEL.replace(b"4.31", b"4.32")]
    pieces.insert(place, wrong)
    message = decoded(b'{"readings":[%b],"status":{"battery_v":3.6},"seq":7}' % b" , ".join(pieces))
    assert values(message) == [4.31, 4.32]
    ((payload, reason),) = message.refused
    assert payload == wrong
    assert reason.startswith(f"readings[{place}].")
    assert field in reason
    assert message.status == b'{"battery_v":3.6}'
    assert message.seq == 7


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (b'"status":5', "status"), (b'"status":{"a":"\xff"}', "status"), (b'"status":{"a":"\\u0000"}', "status"),
        (b'"status":{"a":"%b"}' % (b"x" * 5000), "status"), (b'"seq":"7"', "seq"), (b'"seq":%b' % (b"9" * 400), "seq"),
        (b'"seq":NaN', "seq"), (b'"seq":1.5', "seq"), (b'"status":{"battery_v":NaN}', "status"),
        (b'"status":' + b"[" * 3000 + b"]" * 3000, "status"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["one", "several"])
def test_a_wrong_status_or_seq_leaves_the_reading(wrong: bytes, field: str, form: str) -> None:
    body = LEVEL[1:-1] if form == "one" else b'"readings":[%b]' % LEVEL
    message = decoded(b"{%b,%b}" % (body, wrong))
    assert values(message) == [4.31]
    ((payload, reason),) = message.refused
    assert wrong.endswith(payload)
    assert reason.startswith(f"{field}: ")


@pytest.mark.parametrize("wrong", [b"NaN", b'"high"', b"1e300"])
def test_a_status_is_kept_beside_a_single_reading_that_is_refused(wrong: bytes) -> None:
    payload = LEVEL.replace(b"4.31", wrong).replace(b"}", b',"status":{"battery_v":3.6},"seq":9}')
    message = decoded(payload)
    assert (message.readings, message.status, message.seq) == (b"", b'{"battery_v":3.6}', 9)
    assert message.refused[0][0] == payload
    assert message.refused[0][1].startswith("value: ")


def test_what_a_modem_cut_off_counts_as_far_as_it_is_whole() -> None:
    whole = b'{"readings":[%b,%b],"seq":7}' % (LEVEL, LEVEL)
    for end in range(len(whole) - 1):
        cut = whole[:end]
        try:
            message = decoded(cut)
        except UndecodableMessage:
            continue
        assert len(values(message)) == cut.count(LEVEL)
        assert message.seq is None or b'"seq":7' in cut
        assert (cut, "message: was cut off") in message.refused
    with pytest.raises(UndecodableMessage, match="message: was cut off"):
        decoded(LEVEL[:-12])  # `"value":4.31` might have been 4.316


def test_a_message_that_goes_on_after_its_end_is_no_reading() -> None:
    with pytest.raises(UndecodableMessage, match="message: goes on"):
        decoded(LEVEL + LEVEL)


def test_a_mark_of_byte_order_is_no_fault() -> None:
    assert values(decoded(b"\xef\xbb\xbf" + LEVEL)) == [4.31]


def test_a_field_that_is_given_twice_is_refused_and_never_chosen_from() -> None:
    with pytest.raises(UndecodableMessage, match="value: stands twice"):
        decoded(LEVEL.replace(b"}", b',"value":0.0}'))


def test_what_a_status_says_of_time_and_value_is_not_taken_for_the_readings() -> None:
    message = decoded(LEVEL.replace(b"}", b',"status":{"time":"x","value":1,"quantity":"\\u0061"}}'))
    assert values(message) == [4.31]
    assert not message.refused


@pytest.mark.parametrize(
    "piece", [b"0", b"{}", b"{", b'"', b"NaN", b'{"a":1}', b"[0]", b'"\\"', PROBE % b"NaN", b"[", b"\xff", b","]
)
def test_a_message_full_of_wrong_pieces_is_one_row_of_quarantine_and_takes_no_second(piece: bytes) -> None:
    count = (wire.LARGEST_MESSAGE - 200) // (len(piece) + 1)
    payload = b'{"readings":[%b,%b]}' % (LEVEL, b",".join([piece] * count))
    begun = time.process_time()
    message = decoded(payload)
    took = time.process_time() - begun
    assert values(message) == [4.31]
    assert len(message.refused) <= 2
    if count > MOST_REFUSED and piece[-1:] not in b'{"[,':
        reason = message.refused[0][1]
        assert message.refused[0][0] == payload
        assert reason.startswith(f"readings: {count} of {count + 1} refused, first: readings[1].")
    assert took < 0.5


def test_many_wrong_readings_are_one_row_and_the_good_ones_are_stored() -> None:
    body = [LEVEL.replace(b"4.31", b"%d" % n) if n % 2 else PROBE % b"NaN" for n in range(200)]
    message = decoded(b'{"readings":[%b]}' % b",".join(body))
    assert values(message) == list(range(1, 200, 2))
    assert [reason.partition(", ")[0] for _, reason in message.refused] == ["readings: 100 of 200 refused"]


BAD_NAMES = ["", "x" * 65, "x" * 3000, "a b", "川", "a\nb", "a/b", "http://x", "ü"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_topic_with_another_name_belongs_to_nobody(name: str) -> None:
    for topic in (wire.batch_topic(name), wire.alive_topic(name), wire.device_topic(name, "reading")):
        with pytest.raises(UndecodableMessage):
            wire.owner(topic)


def test_names_of_gateways_and_devices_are_those_of_the_contract() -> None:
    assert wire.owner(wire.batch_topic("gateway-1_A")) == "gateway-1_A"
    assert wire.owner(wire.device_topic("00:1a.B_c-9", "reading")) == "00:1a.B_c-9"
    with pytest.raises(UndecodableMessage):
        wire.owner(wire.batch_topic("a.b"))


def status(text: Any) -> bytes:
    return wire.checked_status(text if isinstance(text, bytes) else json.dumps(text).encode())


def test_the_known_numbers_of_a_status_are_finite_and_within_bounds_or_none() -> None:
    odd = {"battery_v": 10**400, "rssi_dbm": True, "snr_db": "7", "temperature_c": 1e6, "humidity_pct": 40, "fw": [1]}
    typed = wire.typed_status(odd)
    assert typed == wire.DeviceStatus(humidity_pct=40.0)
    assert wire.typed_status(b'{"battery_v":3.6,"rssi_dbm":-91}') == wire.DeviceStatus(battery_v=3.6, rssi_dbm=-91)
    for nothing in (None, b"", b"7", b"\xff", {"battery_v": float("nan")}, {"battery_v": float("inf")}):
        assert wire.typed_status(nothing) == wire.DeviceStatus()


def test_a_number_that_no_float_holds_becomes_null_and_the_rest_of_the_status_stays() -> None:
    kept, why = wire.judged_status(b'{"battery_v":%b,"rssi_dbm":-91,"deep":[{"n":-%b}]}' % (b"9" * 400, b"9" * 400))
    assert json.loads(kept) == {"battery_v": None, "rssi_dbm": -91, "deep": [{"n": None}]}
    assert why == "status: holds a number of too many digits"
    assert status(b'{"a":NaN,"b":-Infinity,"c":"NaN"}') == b'{"a":null,"b":null,"c":"NaN"}'


@pytest.mark.parametrize(
    "wrong", [[], 7, "x", {"a": "x" * 4100}, {"a": "\x00"}, {"\x00": 1}, {"a": ["\x00"]}, b'{"a":"\xff"}', b'{"a":1',
              b'{"\\ud800":1}', b'{"a":' * 40 + b"1" + b"}" * 40, b"", b'{"a":1e999}'],
)  # fmt: skip
def test_what_the_database_would_refuse_is_no_status(wrong: Any) -> None:
    with pytest.raises(UndecodableMessage, match=r"^status: "):
        status(wrong)
