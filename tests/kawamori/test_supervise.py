"""A service that ends again and again is kept running, and told of as a crash loop: once, not each time."""

import asyncio
import subprocess
import sys
from functools import partial

from kawamori.operate.supervise import LOOP_AGAIN, LOOP_ENDS, Ends, end_with_parent, supervise


class Steady:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ends_at(ends: Ends, steady: Steady, *times: float) -> list[int]:
    found = []
    for at in times:
        steady.now = at
        loop = ends.ended()
        if loop is not None:
            found.append(loop[0])
    return found


def test_five_ends_in_two_and_a_half_minutes_are_a_crash_loop_told_once() -> None:
    steady = Steady()
    ends = Ends(steady)
    assert ends_at(ends, steady, *range(0, 70, 7)) == [LOOP_ENDS]
    assert ends_at(ends, steady, *(LOOP_AGAIN + 30 + 7 * n for n in range(10))) == [LOOP_ENDS]


def test_a_service_that_ends_now_and_then_is_no_crash_loop() -> None:
    steady = Steady()
    assert ends_at(Ends(steady), steady, *range(0, 6000, 60)) == []


async def test_a_crash_loop_is_told_and_a_teller_that_breaks_ends_nothing() -> None:
    stop, told = asyncio.Event(), []

    async def tell(name: str, count: int, seconds: float) -> None:
        told.append((name, count))
        stop.set()
        raise RuntimeError("no mail server")

    async with asyncio.timeout(60):
        await supervise({"broken": ("no-such-command",)}, {}, stop, tell)
    assert told == [("broken", LOOP_ENDS)]


def test_a_child_whose_supervisor_has_died_before_it_could_be_watched_does_not_begin() -> None:
    """`parent` of the wrong number stands for it: the child has been given to another process by then."""
    orphan = subprocess.run(
        [sys.executable, "-c", "print('begun')"], stdout=subprocess.PIPE, check=False,
        preexec_fn=partial(end_with_parent, 0),
    )  # fmt: skip
    assert (orphan.returncode, orphan.stdout) == (1, b"")
