"""Whatever bytes come on a gateway's topics are decoded within bounds, or refused with an error of ours."""

import base64
import contextlib
import json
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from kawamori import wire
from kawamori.errors import UndecodableMessage
from kawamori.wire.uplink import EARLIEST, LATEST

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

AT = datetime(2026, 7, 14, 2, 10, tzinfo=UTC)
READING = {"time": "2026-07-14T02:09:00+00:00", "quantity": "water_level", "value": 2.1, "unit": "m"}
BATCH = {
    "epoch": "e", "seq": 7, "first": 6, "sent_at": "2026-07-14T02:10:01Z",
    "readings": [
        {"device_id": "d", "received_at": "2026-07-14T02:10:00Z", "reading": READING},
        {"device_id": "d", "received_at": "2026-07-14T02:10:00+09:00", "reading": [READING, {**READING, "seq": 3}]},
    ],
    "undecoded": [
        {"topic": "kawamori/v1/device/d/reading", "received_at": "2026-07-14T02:10:00Z", "reason": "value: why",
         "payload": base64.b64encode(b"\xff").decode(), "device_id": "d"},
    ],
    "status": [{"device_id": "d", "received_at": "2026-07-14T02:10:00Z", "status": {"battery_v": 3.6, "fw": ["1.2"]}}],
}  # fmt: skip
ALIVE = {"waiting": 7, "set_aside": 1, "clock": "2026-07-14T02:10:00Z"}
STATUS = {"battery_v": 3.61, "rssi_dbm": -91, "note": "ok", "deep": {"list": [1, 2.5, "x", True, None]}}
SEEDS = {
    "batch": [json.dumps(BATCH).encode(), wire.stamped(json.dumps({"epoch": "e", "seq": 1}).encode(), AT)],
    "alive": [json.dumps(ALIVE).encode(), b'{"waiting":7}'],
    "ack": [b'{"epoch":"e","seq":7,"first":6}'],
    "status": [json.dumps(STATUS).encode(), b"{}"],
    "topic": [wire.batch_topic("gateway-1").encode(), wire.alive_topic("g").encode(), b"kawamori/v1/gateway//batch"],
}
NASTY = [
    b"null", b"true", b"[]", b"{}", b'""', b"-0", b"1e308", b"1e999", b"NaN", b"-Infinity", b"9" * 400,
    b"-" + b"9" * 25, b"9" * 5000, b"1e-20000", b'"\\u0000"', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"\\u2028"', b"\xff", b"\xed\xa0\x80",
    b"\x00",
    b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"1970-01-01T00:00:00Z"', b'"2026-07-14T02:10:00"',
    b"[" * 2000, b'{"a":' * 1500, b'{"a":' * 20 + b"1" + b"}" * 20, b'"' + b"x" * 3000 + b'"', b",", b":", b"}", b"]",
    b'"', b'"readings"', b'"status"', b'"undecoded"', b'"received_at"', b'"device_id"', b'"battery_v"', b'"sent_at"',
    b'"seq"', b"/", b"+", b"#", b"//", b"x" * 3000, "川".encode(), b"\\", b" ", b"2.5", b'"d"',
]  # fmt: skip
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[\[\]{},:/]')


def mutated(chance: random.Random, pool: list[bytes]) -> bytes:
    """A seed with a few changes: of tokens, of bytes, of both halves."""
    data = chance.choice(pool)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        kind = chance.random()
        if kind < 0.6:
            tokens = [m.span() for m in TOKEN.finditer(data)]
            if tokens:
                start, end = chance.choice(tokens)
                data = data[:start] + chance.choice(NASTY) + data[end:]
        elif kind < 0.8 and data:
            at = chance.randrange(len(data))
            data = data[:at] + bytes((chance.randrange(256),)) + data[at + chance.randrange(2) :]
        elif kind < 0.95:
            other = chance.choice(pool)
            data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]
        else:
            data = data[: chance.randrange(len(data) + 1)]
    return data


def printable(text: str) -> bool:
    return not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def hold_batch(payload: bytes) -> None:
    """What ingest does with a batch before it asks the registry."""
    batch = wire.decode_batch(payload)
    raw = wire.decode_raw_batch(payload)
    assert len(raw.readings) == len(batch.readings)
    items: list[Any] = [*batch.readings, *batch.status, *batch.undecoded]
    for item in items:
        assert EARLIEST <= item.received_at <= LATEST
        assert item.received_at.astimezone(UTC) + timedelta(days=3653) > EARLIEST
        assert item.device_id is None or wire.is_device_name(item.device_id)
    for reading in wire.readings_of(raw):
        with contextlib.suppress(UndecodableMessage):
            wire.decode_reading(reading.reading)
    for said in batch.status:
        hold_status(bytes(said.status))
    for one in batch.undecoded:
        assert len(one.topic) <= 200
        assert printable(one.topic + one.reason)
    wire.unstamped(wire.stamped(payload, AT))
    wire.merged([payload, payload])
    wire.encode(wire.Ack(batch.epoch, batch.seq, batch.first))


def hold_alive(payload: bytes) -> None:
    said = wire.decode_alive(payload)
    assert 0 <= said.waiting <= 2**53
    assert said.clock is None or EARLIEST <= said.clock <= LATEST


def hold_status(payload: bytes) -> None:
    typed = wire.typed_status(payload)
    kept = wire.checked_status(payload)
    assert all(value is None or abs(value) <= 1e10 for value in msgspec.structs.astuple(wire.typed_status(kept)))
    assert typed == wire.DeviceStatus() or typed == wire.typed_status(kept)
    assert wire.checked_status(kept) == kept


def hold_topic(payload: bytes) -> None:
    name = wire.owner(payload.decode(errors="replace"))
    assert re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name)


HOLDS: dict[str, Callable[[bytes], None]] = {
    "batch": hold_batch, "alive": hold_alive, "ack": lambda payload: void(wire.decode_ack(payload)),
    "status": hold_status, "topic": hold_topic,
}  # fmt: skip


def void(_: object) -> None: ...


@pytest.mark.parametrize("kind", HOLDS)
@pytest.mark.parametrize(
    "count", [pytest.param(5_000, id="quick"), pytest.param(1_000_000, id="full", marks=pytest.mark.slow)]
)
def test_mutated_messages_of_gateways_are_decoded_within_bounds_or_refused(kind: str, count: int, seed: int) -> None:
    chance = random.Random(seed)
    pool, hold = list(SEEDS[kind]), HOLDS[kind]
    decoded = refused = 0
    reasons: set[str] = set()
    slowest = 0.0
    for _ in range(count):
        payload = mutated(chance, pool)
        begun = time.perf_counter()
        try:
            hold(payload)
            decoded += 1
            if len(payload) < 3000 and len(pool) < 60:
                pool.append(payload)
        except UndecodableMessage as error:
            refused += 1
            reasons.add(str(error))
        slowest = max(slowest, time.perf_counter() - begun)
    print(f"fuzz of {kind}: {count:,} mutated messages: {decoded:,} decoded, {refused:,} refused, no crash")
    assert all(printable(reason) and len(reason) <= 200 for reason in reasons)
    assert kind != "status" or all(reason.startswith("status: ") for reason in reasons)
    assert decoded > count / 200
    assert refused > count / 20
    assert slowest < 5


@pytest.mark.integration
def test_every_status_that_is_kept_is_taken_by_the_database_as_it_is(database_url: str, seed: int) -> None:
    chance = random.Random(seed)
    kept: set[bytes] = set()
    for _ in range(4000):
        try:
            kept.add(wire.checked_status(mutated(chance, SEEDS["status"])))
        except UndecodableMessage:
            continue
    assert len(kept) > 100
    with psycopg.connect(database_url) as connection:
        for status in kept:
            row = connection.execute("SELECT %s::jsonb", (status.decode(),)).fetchone()
            assert row is not None
            wire.typed_status(row[0])
