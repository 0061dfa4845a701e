"""The last hours of every station, for sparklines: read once a minute for all clients together."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from api import shapes
from api.directory import Directory
from kawamori.storage import history
from kawamori.storage.database import Database
from kawamori.storage.history import Resolution, bucket_start

KEPT = timedelta(minutes=1)


class RecentLevels:
    """Remembers each span's answer for a minute."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[datetime, dict[str, Any]]] = {}
        self._lock = asyncio.Lock()

    async def of(self, hours: int, database: Database, directory: Directory, at: datetime) -> dict[str, Any]:
        """Ten-minute means of the last `hours` hours, the running ten minutes included. Raises StorageUnavailable."""
        async with self._lock:  # a wall of screens that starts together asks the database once
            kept = self._kept.get(hours)
            if kept is None or not timedelta(0) <= at - kept[0] < KEPT:
                steps = hours * timedelta(hours=1) // shapes.RECENT_STEP + 1
                start = bucket_start(at, Resolution.TEN_MINUTES, "UTC") - hours * timedelta(hours=1)
                end = start + steps * shapes.RECENT_STEP
                found = await history.recent_levels(database, start, end)
                kept = self._kept[hours] = at, shapes.recent(found, directory, start, steps)
            return kept[1]
