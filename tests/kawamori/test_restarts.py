"""A service that starts again and again is known as such, whatever else it says."""

import asyncio
import time

import pytest

from kawamori.storage.database import Database
from kawamori.storage.system import restarts, say_started

pytestmark = pytest.mark.integration


def test_starts_of_the_last_five_minutes_are_counted_by_service(fresh_database_url):
    async def scene():
        async with Database(fresh_database_url, "test") as database:
            for _ in range(21):
                await say_started(database, "ingest")
            await say_started(database, "alerts")
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO service_start VALUES ('alerts', now() - interval '6 minutes')")
            return await restarts(database)

    found = {one.service: one.starts_last_5_min for one in asyncio.run(scene())}
    assert found == {"ingest": 21, "alerts": 1}


def test_a_database_that_is_away_keeps_no_service_from_starting():
    async def scene():
        async with Database("postgresql://nobody@127.0.0.1:9/none", "test") as database:
            begun = time.monotonic()
            await say_started(database, "ingest")
            return time.monotonic() - begun

    assert asyncio.run(scene()) < 4
