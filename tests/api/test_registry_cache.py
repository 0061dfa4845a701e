"""The registry in memory: the last good one stays in use, and what was registered a moment ago is known."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.registry_cache import REREAD, RegistryCache
from kawamori.storage.database import Database

pytestmark = pytest.mark.integration


def test_the_last_good_registry_stays_in_use(rows, monkeypatch):
    rows.station("kept")
    steady = 1000.0

    async def scene():
        nonlocal steady
        async with Database(rows.url, "test", size=2) as database:
            cache = RegistryCache(database, lambda: datetime.now(UTC), lambda: steady)
            before = await cache.get()

            async def broken(*_args, **_more):
                raise RuntimeError("?")

            monkeypatch.setattr("api.registry_cache.load_registry", broken)
            steady += REREAD.total_seconds() + 1
            assert await cache.get() is before
            assert await cache.get(before.registry.version + 1) is before
            assert "cannot be loaded" in cache.trouble
            monkeypatch.undo()
            steady += REREAD.total_seconds() + 1
            assert (await cache.get()).registry == before.registry
            assert cache.trouble is None

    asyncio.run(scene())


def test_a_station_registered_a_moment_ago_is_known(rows):
    rows.station("standing")

    async def scene():
        async with Database(rows.url, "test", size=2) as database:
            cache = RegistryCache(database, lambda: datetime.now(UTC))
            before = await cache.get()
            assert await cache.having("standing", "water_level") is before
            rows.station("new")
            assert await cache.get() is before, "nobody has told this process of the change"
            found = await cache.having("new", "water_level")
            assert ("new", "water_level") in found.sensors
            assert await cache.having("no-such-station") is found

    asyncio.run(scene())
