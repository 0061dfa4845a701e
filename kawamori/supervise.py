"""Keep the services of one machine running: one process each, started again when it dies, ended together."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Mapping

from kawamori.observe import log
from kawamori.runtime import backoff, sleep_or_stop

#: How long a service may take to put its work down before it is killed.
_PATIENCE = 8.0
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Ask the kernel to end this child when the supervisor dies, however it dies (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def supervise(commands: Mapping[str, tuple[str, ...]], environment: dict[str, str], stop: asyncio.Event) -> None:
    """Run `kawamori COMMAND` for each until `stop`; leaves no process behind."""
    async with asyncio.TaskGroup() as group:
        for name, command in commands.items():
            group.create_task(_keep(name, command, environment, stop), name=name)


async def _keep(name: str, command: tuple[str, ...], environment: dict[str, str], stop: asyncio.Event) -> None:
    attempt = 0
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kawamori.cli", *command, env=environment, preexec_fn=_end_with_parent,
            start_new_session=True,
        )  # fmt: skip
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        begun = asyncio.get_running_loop().time()
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            await _end(process, ended)
            return
        attempt = 0 if asyncio.get_running_loop().time() - begun > 30 else attempt + 1
        log().error(f"{name} ended: starting it again", status=process.returncode, attempt=attempt)
        await sleep_or_stop(backoff(attempt), stop)


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await asyncio.shield(ended)
    except TimeoutError:
        process.kill()
        await ended
