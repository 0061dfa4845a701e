"""The pool of connections outlives whoever hangs up in the middle of a question, and answers that never come."""

import asyncio
import os
import socket
import time
from contextlib import suppress
from datetime import timedelta

import anyio
import pytest

from kawamori.errors import StorageUnavailable
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


def test_whoever_can_wait_only_so_long_is_told_in_time_and_leaves_every_connection(database_url):
    async def late(database: Database) -> None:
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable):
            async with database.within(timedelta(seconds=0.5)).transaction() as connection:
                await connection.execute("SELECT pg_sleep(3)")
        assert time.monotonic() - begun < 2

    async def scene():
        async with Database(database_url, "test", size=SIZE) as database:
            await asyncio.gather(*(late(database) for _ in range(3 * SIZE)))
            for n in range(2 * SIZE):  # none gets the answer to another's question
                async with database.transaction() as connection:
                    assert await (await connection.execute("SELECT %s::int", [n])).fetchone() == (n,)
            await all_at_once(database)

    asyncio.run(scene())


def test_the_kernel_gives_up_a_host_that_vanished_within_seconds(database_url):
    async def scene():
        async with Database(database_url, "test") as database, database.transaction() as connection:
            with socket.socket(fileno=os.dup(connection.fileno())) as line:
                return [
                    line.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (
                        socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT,
                    )
                ]  # fmt: skip

    longest_ms, idle_s, every_s, times = asyncio.run(scene())
    assert longest_ms <= 10_000
    assert idle_s + every_s * times <= 11
