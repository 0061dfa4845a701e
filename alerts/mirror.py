"""Each station's state of alert as a retained MQTT message, for sirens and displays."""

import asyncio
from collections.abc import Callable

from kawamori.settings import Settings
from kawamori.storage.database import Database


class Mirror:
    """Follows the changes of alerts."""

    def __init__(self, database: Database, settings: Settings, leading: Callable[[], bool]) -> None:
        self._database, self._settings, self._leading = database, settings, leading

    async def run(self) -> None:
        """Unfinished."""
        await asyncio.sleep(1)
