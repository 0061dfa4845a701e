"""The last hours of every station, for sparklines: read once a minute for all clients together."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from api.contract import shapes
from api.registry_cache import Directory
from api.single_flight import SingleFlight
from kawamori.storage.charts import Resolution, bucket_start
from kawamori.storage.database import Database
from kawamori.storage.levels import recent_levels

KEPT = timedelta(minutes=1)


class RecentLevels:
    """Remembers each span's answer for a minute."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._kept: dict[int, tuple[float, dict[str, Any]]] = {}
        #: A wall of screens that starts together asks the database once, and for one span at a time.
        self._once: dict[int, SingleFlight[dict[str, Any]]] = defaultdict(SingleFlight)
        self._lock = asyncio.Lock()

    async def of(self, hours: int, database: Database, directory: Directory, at: datetime) -> dict[str, Any]:
        """Ten-minute means of the last `hours` hours, the running ten minutes included. Raises StorageUnavailable."""
        kept = self._kept.get(hours)
        if kept is not None and self._steady() - kept[0] < KEPT.total_seconds():
            return kept[1]
        return await self._once[hours].do(lambda: self._renew(hours, database, directory, at))

    async def _renew(self, hours: int, database: Database, directory: Directory, at: datetime) -> dict[str, Any]:
        steps = hours * timedelta(hours=1) // shapes.RECENT_STEP + 1
        start = bucket_start(at, Resolution.TEN_MINUTES, "UTC") - hours * timedelta(hours=1)
        end = start + steps * shapes.RECENT_STEP
        async with self._lock:
            found = await recent_levels(database, start, end)
        self._kept[hours] = self._steady(), shapes.recent(found, directory, start, steps)
        return self._kept[hours][1]
