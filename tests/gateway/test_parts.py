"""Messages into rows: cut by encoded size, decoded in slices, whatever they hold."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from gateway.parts import ROW_BYTES, Parts, parts_of
from gateway.service import decoded
from kawamori import wire
from kawamori.mqtt import Message

AT = datetime(2026, 7, 14, tzinfo=UTC)
TOPIC = wire.device_topic("d", "reading")
LEVEL = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"water_level","value":4.31,"unit":"m"}'


def message(payload: bytes, topic: str = TOPIC) -> Message:
    return Message(topic, payload, AT, 1, 1, 1)


def rows(parts: Parts) -> list[bytes]:
    return [wire.encode(wire.Batch("e", 1, u, s, readings=r)) for r, u, s in parts.parts]


def test_rows_are_cut_by_what_they_are_when_encoded() -> None:
    junk = b"\xff" * 100_000
    found = rows(parts_of([message(junk)] * 30))
    assert max(map(len, found)) <= ROW_BYTES + 1000
    assert sum(len(wire.decode_raw_batch(row).undecoded) for row in found) == 30


def test_a_message_full_of_wrong_pieces_is_one_undecoded_message_of_its_own_size() -> None:
    payload = b'{"readings":[%b,%b]}' % (LEVEL, b",".join([b"0"] * 131_000))
    (row,) = rows(parts_of([message(payload)]))
    batch = wire.decode_raw_batch(row)
    assert len(row) < 2 * len(payload)
    assert [bytes(item.reading) for item in batch.readings] == [b"[%b]" % LEVEL]
    assert [u.payload for u in batch.undecoded] == [payload]
    assert batch.undecoded[0].reason.startswith("readings: 131000 of 131001 refused, first: readings[1]")


@pytest.mark.parametrize(
    "topic", ["x" * 60_000, wire.device_topic("x" * 3000, "reading"), wire.device_topic("", "reading")]
)
def test_a_message_on_any_topic_travels_on(topic: str) -> None:
    (row,) = rows(parts_of([message(LEVEL, topic)]))
    (found,) = wire.decode_raw_batch(row).undecoded
    assert (found.payload, found.device_id) == (LEVEL, None)
    assert len(found.topic) <= 200


def test_a_status_that_cannot_be_kept_goes_to_quarantine_as_itself() -> None:
    big = b'{"note":"%b"}' % (b"x" * 5000)
    ((readings, undecoded, status),) = parts_of([message(LEVEL.replace(b"}", b',"status":%b}' % big))]).parts
    assert len(readings) == 1
    assert not status
    assert (undecoded[0].payload, undecoded[0].reason) == (big, "status: 5011 bytes, more than 4096")


async def test_decoding_the_worst_messages_leaves_the_loop_to_others() -> None:
    worst = message(b'{"readings":[%b]}' % b",".join([b"{}"] * 87_000))
    gaps: list[float] = []

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    found = await decoded([worst] * 8 + [message(LEVEL)] * 1000)
    ticking.cancel()
    assert sum(len(undecoded) for _, undecoded, _ in found.parts) == 8
    assert sorted(gaps)[len(gaps) * 95 // 100] < 0.2  # on a busy machine too; alone it is some milliseconds
    assert len(gaps) > 20
