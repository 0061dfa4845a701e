"""Keep the services of one machine running: one process each, started again when it dies, ended together."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from kawamori.observe import log
from kawamori.runtime import backoff, sleep_or_stop

#: How long a service may take to put its work down before it is killed.
_PATIENCE = 8.0
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask the kernel to end this child when the supervisor dies, however it dies (Linux)."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the service takes it, whatever the supervisor inherited
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


#: A service that ended so often within `LOOP_WITHIN` seconds is in a crash loop; it is told once in `LOOP_AGAIN`.
LOOP_ENDS, LOOP_WITHIN, LOOP_AGAIN = 5, 150.0, 600.0


class Ends:
    """Counts the ends of one service, and decides when they are a crash loop to report."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._ends: deque[float] = deque(maxlen=1000)
        self._told_at: float | None = None

    def ended(self) -> tuple[int, float] | None:
        """It has ended again; how often in how many seconds, where that is to be told now."""
        now = self._steady()
        self._ends.append(now)
        while now - self._ends[0] > LOOP_WITHIN:
            self._ends.popleft()
        told = self._told_at is not None and now - self._told_at < LOOP_AGAIN
        if len(self._ends) < LOOP_ENDS or told:
            return None
        self._told_at = now
        return len(self._ends), now - self._ends[0]


#: Told that a service of this name has ended so often within so many seconds.
Tell = Callable[[str, int, float], Awaitable[None]]


async def supervise(
    commands: Mapping[str, tuple[str, ...]], environment: dict[str, str], stop: asyncio.Event, tell: Tell | None = None
) -> None:
    """Run `kawamori COMMAND` for each until `stop`; leaves no process behind. `tell` is told of crash loops."""
    async with asyncio.TaskGroup() as group:
        for name, command in commands.items():
            group.create_task(_keep(name, command, environment, stop, tell), name=name)


async def _keep(
    name: str, command: tuple[str, ...], environment: dict[str, str], stop: asyncio.Event, tell: Tell | None
) -> None:
    attempt, ends = 0, Ends()
    telling: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kawamori.cli", *command, env=environment, start_new_session=True,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )  # fmt: skip
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        begun = asyncio.get_running_loop().time()
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            await _end(process, ended)
            break
        attempt = 0 if asyncio.get_running_loop().time() - begun > 30 else attempt + 1
        log().error(f"{name} ended: starting it again", status=process.returncode, attempt=attempt)
        if (loop := ends.ended()) is not None:
            count, seconds = loop
            log().error(f"{name} has ended {count} times in the last {seconds:.0f} s: look at its log above")
            if tell is not None:
                task = asyncio.create_task(_told(tell, name, count, seconds), name=f"tell-{name}")
                telling.add(task)
                task.add_done_callback(telling.discard)
        await sleep_or_stop(backoff(attempt), stop)
    for task in list(telling):
        task.cancel()


async def _told(tell: Tell, name: str, count: int, seconds: float) -> None:
    try:
        await tell(name, count, seconds)
    except Exception as error:  # noqa: BLE001 - the root of a unit of work: the services are kept running whatever breaks
        log().error("that a service ends again and again could not be told", service=name, exc_info=error)


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.shield(ended)
    except TimeoutError:
        process.kill()
        await ended
