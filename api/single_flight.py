"""One asks for all: what a crowd wants of a slow database is asked once; answer or failure is everybody's."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Work of which one at most runs at a time."""

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None

    async def do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The outcome of what runs already, else of `work`; whoever gives up waiting ends it for nobody else."""
        if self._running is None:
            self._running = asyncio.create_task(work())
            self._running.add_done_callback(self._done)
        return await asyncio.shield(self._running)

    def _done(self, task: asyncio.Task[T]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # seen, even if nobody waits any more
