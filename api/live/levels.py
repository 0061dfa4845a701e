"""What the rivers are doing now: one answer for the page, for machines and for the light page."""

from collections.abc import Sequence
from typing import Any

from api.contract import shapes
from api.live.arrivals import Arrivals
from api.registry_cache import Directory, RegistryCache
from kawamori.domain.freshness import server_behind
from kawamori.runtime import Clock
from kawamori.storage.database import Database
from kawamori.storage.levels import latest_levels
from kawamori.storage.system import links_now


class Levels:
    """Levels with what only several queries know: which link is silent, when a threshold would be reached."""

    def __init__(self, database: Database, directory: RegistryCache, clock: Clock) -> None:
        self._database, self._directory, self._clock = database, directory, clock
        self._arrivals = Arrivals()

    async def now(self, only: Sequence[str] | None = None) -> tuple[dict[str, Any], Directory]:
        """Every water level station, or those asked for, and the directory they were named by."""
        found, version = await latest_levels(self._database, only)
        directory = await self._directory.get(version)
        at = self._clock()
        body = shapes.latest_levels(found, directory, at)
        await self._arrivals.put_into(body["stations"], self._database, directory, at)
        links, links_at = await links_now(self._database)
        shapes.name_silences(body["stations"], found, directory, links, links_at)
        return {"server_behind": server_behind(links, links_at), **body}, directory
