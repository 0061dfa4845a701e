"""What the gateway sends when: the newest first, the lost again, the undeliverable aside."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from gateway.forward import _GIVEN_UP, _GIVEN_UP_AFTER, Forwarder
from gateway.journal import Journal
from kawamori import wire
from kawamori.mqtt import TOO_LARGE
from kawamori.settings import GatewaySettings

START = datetime(2026, 7, 14, tzinfo=UTC)
SOON = timedelta(milliseconds=10)


class Broker:
    """The uplink's end: what was published, and what is refused of it."""

    def __init__(self) -> None:
        self.largest: int | None = None
        self.connection = 1
        self.published: list[wire.Batch] = []
        self.refuses: Callable[[bytes], int] = lambda _payload: 0

    def publish(self, _topic: str, payload: bytes, refused: Callable[[int], None]) -> None:
        if code := self.refuses(payload):
            refused(code)
            return
        assert self.largest is None or len(payload) < self.largest
        self.published.append(wire.decode_raw_batch(payload))

    def take(self) -> list[wire.Batch]:
        taken, self.published = self.published, []
        return taken


def part(minute: int, devices: int, padding: int = 0) -> Any:
    """A row: every device at that minute."""
    at = (START + timedelta(minutes=minute)).isoformat().encode()
    raw = b'{"time":"%b","quantity":"water_level","value":%d,"unit":"m"%b}'
    body = [wire.UplinkReading(f"d{n}", START, Raw(raw % (at, minute, b" " * padding))) for n in range(devices)]
    return body, [], []


class Rig:
    def __init__(self, folder: Path, window: int = 4) -> None:
        self.journal = Journal(folder / "journal.db")
        self.broker = Broker()

        async def on_disk(work: Callable[..., Any], *arguments: object) -> Any:
            return work(*arguments)

        settings = GatewaySettings(id="g", window=window, resend_after=SOON)
        self.forwarder = Forwarder(self.journal, settings, self.broker, on_disk)  # type: ignore[arg-type]

    def store(self, *parts: Any) -> None:
        self.forwarder.keep_fresh(self.journal.append(list(parts), []))

    async def send(self) -> list[wire.Batch]:
        await self.forwarder.forward_some()
        return self.broker.take()

    def ack(self, *batches: wire.Batch) -> None:
        for batch in batches:
            self.forwarder.heard(wire.Ack(batch.epoch, batch.seq, batch.first))

    def nothing_heard_for(self, seconds: float) -> None:
        self.forwarder._last_ack -= seconds
        for sent in self.forwarder._sent.values():
            sent.began -= seconds
            sent.at -= seconds
        for urgent in self.forwarder._urgent.values():
            urgent.began -= seconds
            urgent.at -= seconds
        self.forwarder._live_first_at -= seconds


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def minutes(batches: list[wire.Batch]) -> dict[str, float]:
    """The newest value of each device in these batches."""
    found: dict[str, float] = {}
    for batch in batches:
        for item in wire.readings_of(batch):
            value = wire.decode_reading(item.reading).value
            found[item.device_id] = max(value, found.get(item.device_id, -1))
    return found


BIG = 400  # so that a row travels alone


async def backlog(rig: Rig, count: int = 60, devices: int = 150) -> None:
    rig.store(*(part(minute, devices, BIG) for minute in range(count)))


async def test_at_the_start_of_a_backlog_only_the_newest_is_sent_until_it_is_acknowledged(rig: Rig) -> None:
    await backlog(rig)
    first = await rig.send()
    assert {batch.seq for batch in first} == {0}
    assert minutes(first) == {f"d{n}": 59 for n in range(150)}
    assert {batch.seq for batch in await rig.send()} <= {0}
    rig.ack(*first)
    history = await rig.send()
    assert [batch.seq for batch in history] == [1, 2, 3, 4]


async def test_what_came_after_the_last_look_is_sent_before_the_history_when_ingest_answers_again(rig: Rig) -> None:
    """The acknowledgement of an old look must not let the history go: its newest is behind it in the queue."""
    await backlog(rig)
    look = await rig.send()
    rig.store(part(60, 150, BIG), part(61, 150, BIG))  # while the answer is under way
    rig.ack(*look)
    then = await rig.send()
    assert {batch.seq for batch in then} == {0}
    assert minutes(then) == {f"d{n}": 61 for n in range(150)}
    rig.ack(*then)
    assert {batch.seq for batch in await rig.send()} == {1, 2, 3, 4}


async def test_an_acknowledgement_of_history_after_a_stall_lets_the_newest_go_first_too(rig: Rig) -> None:
    rig.store(part(0, 150, BIG))
    (sent,) = await rig.send()
    rig.nothing_heard_for(10)
    await backlog(rig)
    stalled = await rig.send()
    assert {batch.seq for batch in stalled} == {0}
    rig.store(part(99, 150, BIG))
    rig.ack(sent)
    then = await rig.send()
    assert {batch.seq for batch in then} == {0}
    assert minutes(then) == {f"d{n}": 99 for n in range(150)}


async def test_a_batch_of_the_newest_that_is_lost_is_sent_again_until_it_is_acknowledged(rig: Rig) -> None:
    rig.store(*(part(minute, 1500) for minute in range(6)))
    first, second = await rig.send()
    rig.ack(first)
    for _ in range(3):
        await asyncio.sleep(0.03)
        assert [batch.first for batch in await rig.send()] == [second.first]
    rig.ack(second)
    assert {batch.seq for batch in await rig.send()} != {0}


async def test_the_history_waits_no_longer_than_a_while_for_the_newest(rig: Rig) -> None:
    await backlog(rig)
    look = await rig.send()
    rig.ack(wire.Batch(look[0].epoch, 0, first=1))  # an acknowledgement, but not of this
    rig.forwarder._last_ack = time.monotonic()
    await rig.send()
    rig.forwarder._hold_until = time.monotonic() - 1
    assert {1, 2, 3, 4} <= {batch.seq for batch in await rig.send()}


async def test_what_later_ones_passed_is_sent_again_soon_and_takes_no_place_in_the_window(rig: Rig) -> None:
    for minute in range(4):
        rig.store(part(minute, 150, BIG))
    lost, *others = await rig.send()
    rig.store(*(part(minute, 150, BIG) for minute in range(4, 8)))
    rig.ack(*others)
    assert rig.forwarder._under_way() == 0
    await asyncio.sleep(0.03)
    then = await rig.send()
    assert [batch.seq for batch in then] == [lost.seq, 5, 6, 7]


async def test_after_a_stall_all_that_is_under_way_is_sent_again_at_once(rig: Rig) -> None:
    for minute in range(4):
        rig.store(part(minute, 150, BIG))
    sent = await rig.send()
    rig.nothing_heard_for(6)
    rig.ack(sent[0])
    assert [batch.seq for batch in await rig.send()] == [2, 3, 4]


async def test_a_row_that_nobody_acknowledges_while_others_are_is_set_aside_and_the_others_flow(rig: Rig) -> None:
    rig.store(part(0, 150, BIG))
    (poison,) = await rig.send()
    for minute in range(1, 4 * _GIVEN_UP + 20):
        rig.store(part(minute, 1))
        rig.ack(*(batch for batch in await rig.send() if batch.seq != poison.seq))
        for sent in rig.forwarder._sent.values():
            sent.at -= 1
    assert not rig.journal.aside(), "a minute is not over"
    for sent in rig.forwarder._sent.values():
        sent.began -= _GIVEN_UP_AFTER
    rig.ack(*(batch for batch in await rig.send() if batch.seq != poison.seq))
    (aside,) = rig.journal.aside()
    assert aside.seq == poison.seq
    assert rig.forwarder.aside == 1
    assert not rig.forwarder._sent, "the others are acknowledged"


async def test_while_nothing_is_acknowledged_nothing_is_set_aside(rig: Rig) -> None:
    rig.broker.refuses = lambda _payload: 0x87
    rig.store(part(0, 1))
    for _ in range(3 * _GIVEN_UP):
        await rig.send()
        rig.nothing_heard_for(2 * _GIVEN_UP_AFTER)
    assert not rig.journal.aside()
    rig.broker.refuses = lambda _payload: 0
    assert [batch.seq for batch in await rig.send()] == [1]


@pytest.mark.parametrize("says", [True, False], ids=["said at once", "found out"])
async def test_what_the_broker_does_not_take_is_cut_and_a_single_item_set_aside(rig: Rig, says: bool) -> None:
    if says:
        rig.broker.largest = 50_000
    else:
        rig.broker.refuses = lambda payload: TOO_LARGE if len(payload) > 49_000 else 0
    junk = wire.undecoded("t", START, bytes(60_000), "message: not valid JSON")
    rig.store(part(0, 1000), ([], [junk], []), part(1, 1))
    got: list[wire.Batch] = []
    for _ in range(12):
        sent = await rig.send()
        rig.ack(*sent)
        got += sent
        for span in rig.forwarder._sent.values():
            span.at -= 60
    assert len(minutes(got)) == 1000
    assert minutes(got)["d0"] == 1
    (aside,) = rig.journal.aside()
    assert aside.size > 60_000
    rig.journal.append([], rig.forwarder.acknowledged)
    assert rig.journal.waiting() == 0


async def test_readings_out_of_turn_are_cut_by_size_too(rig: Rig) -> None:
    rig.broker.largest = 60_000
    rig.store(*(part(minute, 100, 3000) for minute in range(8)))
    sent = await rig.send()
    assert len(sent) > 3
    assert minutes(sent) == {f"d{n}": 7 for n in range(100)}


async def test_a_row_that_ends_every_connection_lets_the_others_through(rig: Rig) -> None:
    rig.store(part(0, 150, BIG), part(1, 150, BIG))
    await rig.send()
    for _ in range(4):
        rig.broker.connection += 1
        for sent in rig.forwarder._sent.values():
            sent.at = time.monotonic() - 1
        await rig.send()
    rig.store(part(2, 1))
    assert [batch.seq for batch in await rig.send()] == [3], "the suspects wait, what is new goes"


async def test_a_batch_says_when_it_was_sent_and_is_the_same_but_for_that(rig: Rig) -> None:
    rig.store(part(0, 1))
    (batch,) = await rig.send()
    assert abs((batch.sent_at - datetime.now(UTC)).total_seconds()) < 10  # type: ignore[operator]
