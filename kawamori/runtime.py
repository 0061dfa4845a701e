"""How a service lives: one event loop, one task group, ended by a signal or by any task that dies."""

import asyncio
import gc
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop

from kawamori.observe import log

Clock = Callable[[], datetime]


def now() -> datetime:
    """The wall clock, UTC-aware; logic takes it as an argument."""
    return datetime.now(UTC)


class DatabaseClock:
    """The database's time, carried on by a steady clock from when it was last heard; the host's until then.

    Hosts' clocks differ and are set; all services share one database.
    """

    def __init__(self, host: Clock = now, steady: Callable[[], float] = time.monotonic) -> None:
        self._host, self._steady = host, steady
        self._heard: tuple[datetime, float] | None = None
        #: How far the host was ahead of the database when it was last heard, in seconds; None until then.
        self.host_off_s: float | None = None

    def hear(self, at: datetime) -> None:
        """The database says that it is `at` now."""
        self._heard = (at, self._steady())
        self.host_off_s = (self._host() - at).total_seconds()

    def __call__(self) -> datetime:
        """The time now."""
        if self._heard is None:
            return self._host()
        at, then = self._heard
        return at + timedelta(seconds=self._steady() - then)


def backoff(attempt: int, *, cap: timedelta = timedelta(seconds=15)) -> float:
    """Seconds to wait before the next attempt: full jitter, doubling to a cap."""
    return random.uniform(0.05, min(cap.total_seconds(), 0.2 * 2 ** min(attempt, 16)))  # noqa: S311 - jitter


async def sleep_or_stop(seconds: float, stop: asyncio.Event) -> bool:
    """Wait that long; True at once when the service is to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


#: `NAME@N` from KAWAMORI_FAIL_POINT: where this process is to die by SIGKILL, and at which passage.
_fail_at, _, _passages = os.environ.get("KAWAMORI_FAIL_POINT", "").partition("@")
_left = int(_passages or 1)


def fail_point(name: str) -> None:
    """A place where the fault tests kill the process, as a power cut would, to prove that nothing depends on it."""
    global _left  # noqa: PLW0603
    if name == _fail_at:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def stopping(stop: asyncio.Event) -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose tasks are cancelled when `stop` is set; a task that dies ends the whole group."""

    class _Stopped(Exception):
        pass

    async def watch() -> None:
        await stop.wait()
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch(), name="stop")
            yield group
    except* _Stopped:
        pass


def notify(state: str) -> bool:
    """Tell the service manager, as sd_notify(3) does: `READY=1`, `WATCHDOG=1`; whether there is one that listens.

    One that cannot be reached costs nothing: it starts the service again if it has to.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as line:
            line.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            line.send(state.encode())
    except OSError as error:
        log().warning("the service manager could not be told", state=state, error=str(error))
        return False
    return True


async def keep_watchdog() -> None:
    """Say to the service manager that the event loop turns, at half the interval that it asks for; until cancelled.

    Returns at once where it does not ask (`WATCHDOG_USEC`), or asks another process (`WATCHDOG_PID`).
    """
    wanted, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or int(wanted) == 0 or process not in ("", str(os.getpid())):
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(wanted) / 2_000_000)


def run(service: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a service until SIGTERM or SIGINT; an error inside it is raised, so the process ends non-zero."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        notify("READY=1")
        watchdog = asyncio.create_task(keep_watchdog(), name="watchdog")
        try:
            await service(stop)
        finally:
            watchdog.cancel()
            notify("STOPPING=1")

    gc.freeze()  # what a service has imported lives as long as it does
    gc.set_threshold(50_000, 20, 20)  # readings are tuples without cycles: looking through them was a tenth of the time
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


#: The longest wait between attempts of `forever`: people look at the screen for what happens when the database is back.
_BACK_WITHIN = timedelta(seconds=3)


async def forever(
    work: Callable[[], Awaitable[None]], stop: asyncio.Event, retryable: type[Exception], what: str
) -> None:
    """Do `work` again and again; after a retryable error wait, longer each time. Other errors end the service."""
    attempt = 0
    while not stop.is_set():
        try:
            await work()
            attempt = 0
        except retryable as error:
            attempt += 1
            if attempt in (1, 10) or attempt % 100 == 0:
                say = log().error if getattr(error, "needs_a_person", False) else log().warning
                say(f"{what}: trying again", error=str(error), attempt=attempt)
            await sleep_or_stop(backoff(attempt, cap=_BACK_WITHIN), stop)
