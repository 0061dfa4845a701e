"""A registry that cannot be loaded hides no level: the last good one is shown, and it is said."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.directory import REREAD, DirectoryCache
from kawamori.storage.database import Database

pytestmark = pytest.mark.integration


def test_the_last_good_registry_stays_in_use(rows, monkeypatch):
    rows.station("kept")
    steady = 1000.0

    async def scene():
        nonlocal steady
        async with Database(rows.url, "test", size=2) as database:
            cache = DirectoryCache(database, lambda: datetime.now(UTC), lambda: steady)
            before = await cache.get()

            async def broken(*_args, **_more):
                raise RuntimeError("?")

            monkeypatch.setattr("api.directory.load_registry", broken)
            steady += REREAD.total_seconds() + 1
            assert await cache.get() is before
            assert await cache.get(before.registry.version + 1) is before
            assert "cannot be loaded" in cache.trouble
            monkeypatch.undo()
            steady += REREAD.total_seconds() + 1
            assert (await cache.get()).registry == before.registry
            assert cache.trouble is None

    asyncio.run(scene())
