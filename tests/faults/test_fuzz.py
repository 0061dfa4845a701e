"""Whatever bytes a device sends are accepted, or refused with a reason that names a field and repeats none of them."""

import json
import random
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.validate import IngestValidator, Refused
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, Reading, SensorId, StationId
from kawamori.domain.registry import Deployment, Registry, Sensor
from kawamori.errors import UndecodableMessage
from kawamori.settings import IngestSettings
from kawamori.wire import Batch, UplinkReading, decode_device_message, decode_reading, readings_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

GOLDEN = Path(__file__).parents[1] / "contracts" / "payloads" / "v1"
NOW = datetime(2026, 7, 14, 2, 10, tzinfo=UTC)
#: Stands in every string that is the sender's; no reason may repeat it.
CANARY = "Zx7Q"
REASON = re.compile(r"^(message|readings|time|quantity|value|unit|status|seq|device)\b[\w.\[\]]*: [\x20-\x7e±]{3,200}$")
METRE = Unit(symbol="m", dimension="length", scale=1.0, shift=0.0)
SENSOR = Sensor(
    id=SensorId(1), station=StationId("s"), quantity="water_level", unit=METRE, time_zone="Asia/Tokyo",
    report_every=timedelta(minutes=10),
)  # fmt: skip
REGISTRY = Registry(
    version=1,
    units={"m": METRE, "kPa": Unit(symbol="kPa", dimension="pressure", scale=1000.0, shift=0.0)},
    quantities={"water_level": METRE},
    sensors={SENSOR.id: SENSOR},
    devices=frozenset({DeviceId("d")}),
    deployments={
        ("d", "water_level"): (
            Deployment(device=DeviceId("d"), quantity="water_level", unit=METRE, sensor=SENSOR,
                       valid_from=datetime(2020, 1, 1, tzinfo=UTC)),
        )
    },
)  # fmt: skip
SETTINGS = IngestSettings()
VALIDATOR = IngestValidator(REGISTRY, SETTINGS)


def outcomes(payload: bytes) -> list[Reading | str]:
    """What becomes of each reading in the message: accepted, or the reason."""
    try:
        message = decode_device_message("kawamori/v1/device/d/reading", payload)
    except UndecodableMessage as error:
        return [str(error)]
    found: list[Reading | str] = [reason for _, reason in message.refused]
    items = [UplinkReading("d", NOW, msgspec.Raw(message.readings))] if message.readings else []
    for item in readings_of(Batch("e", 1, readings=items)):
        try:
            found.append(VALIDATOR.accept("d", NOW, decode_reading(item.reading)))
        except Refused as refusal:
            found.append(str(refusal))
    return found


def held(payload: bytes) -> tuple[int, int]:
    """Accepted and refused; fails on a reason that names no field or repeats the payload."""
    accepted = 0
    found = outcomes(payload)
    for outcome in found:
        if isinstance(outcome, str):
            assert REASON.match(outcome), f"{outcome!r} for {payload[:500]!r}"
            assert CANARY not in outcome, f"{outcome!r} for {payload[:500]!r}"
        else:
            assert abs(outcome.value) <= 1e10
            assert NOW - SETTINGS.oldest <= outcome.observed_at <= NOW + SETTINGS.ahead
            accepted += 1
    return accepted, len(found) - accepted


def seeds() -> list[bytes]:
    one = {"time": "2026-07-14T02:09:00+00:00", "quantity": "water_level", "value": 2.1, "unit": "m"}
    marked = [
        {**one, "status": {"battery_v": 3.6, f"note {CANARY}": CANARY}, "seq": 7},
        {**one, "quantity": f"water {CANARY}"}, {**one, "unit": f"{CANARY}"}, {**one, CANARY: CANARY},
        {"readings": [one, {**one, "value": CANARY}, {**one, "time": f"2026-07-14T02:09:00 {CANARY}"}], "seq": 1},
        {"readings": [{**one, "time": "2026-07-14T02:08:00+09:00"}] * 5, "status": {CANARY: [CANARY, {}, None, 1e300]}},
    ]  # fmt: skip
    return [p.read_bytes() for p in sorted(GOLDEN.glob("*.json"))] + [json.dumps(m).encode() for m in (one, *marked)]


NASTY = [
    b"null", b"true", b"[]", b"{}", b'""', b"-0", b"1e308", b"-1e308", b"1e999", b"NaN", b"Infinity", b"-999", b"65535",
    b"9" * 400, b"0." + b"0" * 400 + b"1", b'"\\u0000"', b'"\\ud800"', b'"\\ud83d\\ude00"', b"\xff", b"\xc0\x80",
    b"\xef\xbb\xbf", b"\x00", b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"2026-07-14T24:00:00Z"',
    b'"2026-02-30T00:00:00Z"', b'"2026-07-14T02:10:60Z"', b'"2026-07-14t02:10:00z"', b'"2026-07-14T02:10:00"',
    b'"2026-07-14T02:10:00.123456789+09:00"', b"[" * 2000, b'{"a":' * 1500, b'"' + b"x" * 70 + b'"', b",", b":", b"}",
    b"]", b'"time"', b'"readings"', b'"value"', b'"unit"', b'"seq"', b'"status"', b"1" * 25, b" " * 50, b"\\", b'"',
    b'"m"', b'"kPa"', b'"water_level"', b"2.5", b'"2026-07-14T01:00:00Z"',
]  # fmt: skip
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[\[\]{},:]')


def mutated(chance: random.Random, pool: list[bytes]) -> bytes:
    """A seed with a few changes: of tokens, of bytes, of both halves."""
    data = chance.choice(pool)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        kind = chance.random()
        if kind < 0.55:
            tokens = [m.span() for m in TOKEN.finditer(data)]
            if tokens:
                start, end = chance.choice(tokens)
                data = data[:start] + chance.choice(NASTY) + data[end:]
        elif kind < 0.75 and data:
            at = chance.randrange(len(data))
            data = data[:at] + bytes((chance.randrange(256),)) + data[at + chance.randrange(2) :]
        elif kind < 0.85 and data:
            start = chance.randrange(len(data))
            end = min(len(data), start + chance.randrange(1, 40))
            at = chance.randrange(len(data))
            data = data[:at] + data[start:end] + data[at:]
        elif kind < 0.95:
            other = chance.choice(pool)
            data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]
        else:
            data = data[: chance.randrange(len(data) + 1)]
    return data


@pytest.mark.parametrize(
    "count", [pytest.param(20_000, id="quick"), pytest.param(1_000_000, id="full", marks=pytest.mark.slow)]
)
def test_mutated_messages_are_accepted_or_refused_with_a_reason(count: int, seed: int) -> None:
    chance = random.Random(seed)
    pool = seeds()
    accepted = refused = 0
    slowest = 0.0
    for _ in range(count):
        payload = mutated(chance, pool)
        begun = time.perf_counter()
        good, bad = held(payload)
        slowest = max(slowest, time.perf_counter() - begun)
        accepted, refused = accepted + good, refused + bad
        if good and len(payload) < 4000 and len(pool) < 100:
            pool.append(payload)
    print(
        f"fuzz: {count:,} mutated messages: {accepted:,} readings accepted, {refused:,} refused with a reason, no crash"
    )
    assert accepted > count / 100
    assert refused > count / 4
    assert slowest < (1 if count > 100_000 else 5)


NAMES = ["time", "quantity", "value", "unit", "status", "seq", "readings"]
WORDS = ["m", "kPa", "water_level", "2026-07-14T02:00:00Z", "2026-07-14T11:00:00+09:00"]
KEYS = st.sampled_from(NAMES) | st.text(max_size=20)
TEXTS = st.text(max_size=40) | st.datetimes().map(lambda d: f"{d.isoformat()}Z") | st.sampled_from(WORDS)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)
MORE = {"status": VALUES, "seq": LEAVES}
READINGS = st.fixed_dictionaries(
    {"time": TEXTS, "quantity": TEXTS, "value": st.floats() | LEAVES, "unit": TEXTS}, optional=MORE
)
SEVERAL = st.fixed_dictionaries({"readings": st.lists(READINGS | VALUES, max_size=4)}, optional=MORE)
PAYLOADS = (READINGS | VALUES | SEVERAL).map(lambda message: json.dumps(message).encode()) | st.binary(max_size=300)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(PAYLOADS)
def test_invented_messages_are_accepted_or_refused_with_a_reason(payload: bytes) -> None:
    held(payload)


@pytest.mark.slow
@settings(max_examples=50_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(PAYLOADS)
def test_very_many_invented_messages_are_accepted_or_refused_with_a_reason(payload: bytes) -> None:
    held(payload)
