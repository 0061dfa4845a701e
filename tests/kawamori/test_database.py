"""The pool of connections outlives whoever hangs up in the middle of a question."""

import asyncio
from contextlib import suppress

import anyio
import pytest

from kawamori.storage.database import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SIZE = 3


async def asked_for(database: Database, seconds: float) -> None:
    """Ask, and be told to give up, once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.01)")


async def hung_up_on(database: Database, seconds: float) -> None:
    """As the web server ends a stream: told to give up again and again, in the midst of cleaning up too."""
    with anyio.move_on_after(seconds):
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.01)")


async def all_at_once(database: Database) -> None:
    """Use every connection at the same time; the pool's own patience is longer."""
    barrier = asyncio.Barrier(SIZE)

    async def hold() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")
            await barrier.wait()

    async with asyncio.timeout(4):
        await asyncio.gather(*(hold() for _ in range(SIZE)))


@pytest.mark.parametrize("ended", [asked_for, hung_up_on])
def test_those_who_give_up_leave_every_connection_to_the_others(database_url, ended):
    async def scene():
        async with Database(database_url, "test", size=SIZE) as database:
            for n in range(40):
                async with asyncio.TaskGroup() as group:
                    for client in range(2 * SIZE):
                        group.create_task(ended(database, (7 * n + 11 * client) % 40 / 1000))
            await all_at_once(database)

    asyncio.run(scene())
