"""An engine that is dead cannot say so itself: another process tells the watchers, once, and when it is over."""

import asyncio
from typing import Any

import pytest

from alerts.watchdog import TOLD_AFTER, TOLD_AGAIN, WORDS, Lookout, State, Word, state_of, watch
from kawamori.storage.database import Database


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def told(*looks: tuple[float, State]) -> list[tuple[float, Word]]:
    """What is told in these looks, each at its second after the beginning."""
    clock = Clock()
    lookout, found = Lookout(clock), []
    for at, state in looks:
        clock.at = 1000.0 + at
        if (word := lookout.sees(state)) is not None:
            found.append((at, word))
    return found


def every_five(until: float, state: State, start: float = 0.0) -> list[tuple[float, State]]:
    return [(start + 5.0 * n, state) for n in range(int((until - start) / 5) + 1)]


def test_nothing_is_told_while_an_engine_leads_or_another_takes_over() -> None:
    assert told(*every_five(100, "led")) == []
    assert told((0, "led"), *every_five(25, "unled", 5), *every_five(60, "led", 30)) == []


def test_within_a_minute_the_watchers_are_told_once_and_when_it_is_over() -> None:
    found = told(*every_five(30, "led"), *every_five(600, "unled", 35), *every_five(700, "led", 605))
    assert [word for _, word in found] == [WORDS["unled"], WORDS["led"]]
    assert found[0][0] - 30 <= 60
    assert found[0][0] - 35 >= TOLD_AFTER["unled"]


def test_while_it_lasts_it_is_told_again() -> None:
    found = told(*every_five(2 * TOLD_AGAIN + 100, "unled"))
    assert [word for _, word in found] == [WORDS["unled"]] * 3


def test_a_database_that_is_away_is_told_of_only_when_that_lasts_and_as_what_it_is() -> None:
    assert told(*every_five(110, "unknown"), *every_five(200, "led", 115)) == []
    found = told(*every_five(300, "unknown"), *every_five(400, "unled", 305), *every_five(500, "led", 405))
    assert [word for _, word in found] == [WORDS["unknown"], WORDS["unled"], WORDS["led"]]


def test_every_word_says_it_in_both_languages() -> None:
    for word in WORDS.values():
        assert len(word.subject) <= 70
        assert word.body.split("\n\n")[1].isascii()


async def test_a_message_that_cannot_be_sent_holds_up_no_look() -> None:
    looks, clock, stop = 0, Clock(), asyncio.Event()
    begun = asyncio.Event()

    async def look() -> State:
        nonlocal looks
        looks += 1
        clock.at += 20
        if looks > 5:
            stop.set()
        return "unled"

    async def tell(_word: Word) -> None:
        begun.set()
        await asyncio.sleep(3600)

    async with asyncio.timeout(5):
        await watch(look, tell, stop, Lookout(clock), every=0.01)
    assert begun.is_set()
    assert looks == 6


@pytest.mark.integration
async def test_the_lease_tells_whether_an_engine_leads(rivers: Any) -> None:
    assert await state_of(rivers.database) == "unled", "none has begun yet"
    engine = rivers.engine()
    await rivers.settle(engine)
    assert await state_of(rivers.database) == "led"
    await rivers.sql("UPDATE lease SET until = now() - interval '1 second'")
    assert await state_of(rivers.database) == "unled", "it has died"
    async with Database("postgresql://127.0.0.1:1/nobody", "test", size=1) as away:
        assert await state_of(away) == "unknown"
