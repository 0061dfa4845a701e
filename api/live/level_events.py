"""The rows of `GET /levels/latest` on the live stream: judged once for all clients, sent where they have changed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from api.live.levels import Levels
from api.live.stream import LiveFeed, frame
from kawamori.errors import StorageUnavailable
from kawamori.runtime import forever

#: The rows are judged at most so often …
LEAST_S = 1.0
#: … and so often without news: silence changes what is to be said of a station too.
QUIET_S = 3.0
#: So often while nobody listens, so that who comes next is not sent what is long known.
IDLE_S = 30.0
#: Rows a frame: a client takes one while the next is made.
FRAME_ROWS = 250

Json = dict[str, Any]


def changed_rows(before: dict[str, Json], now: dict[str, Json]) -> list[Json]:
    """Those of the rows, by station, that say something else than before. An age alone is nothing new. Pure."""
    return [row for id_, row in now.items() if _said(before.get(id_)) != _said(row)]


def _said(row: Json | None) -> Json | None:
    return None if row is None else {name: value for name, value in row.items() if name != "age_s"}


class LiveLevels:
    """Publishes `level` events to the feed's clients."""

    def __init__(self, levels: Levels, feed: LiveFeed, steady: Callable[[], float] = time.monotonic) -> None:
        self._levels, self._feed, self._steady = levels, feed, steady
        #: By station, as last told; None until they have been judged once.
        self._told: dict[str, Json] | None = None
        self._behind = False

    async def look(self) -> int:
        """Judge every row and publish what has changed; how many rows. Raises StorageUnavailable.

        What was judged while nobody listened is only remembered: who joins fetches all rows after joining.
        """
        listening = self._feed.hub.listening
        body, _ = await self._levels.now()
        now = {row["station_id"]: row for row in body["stations"]}
        behind = bool(body["server_behind"])
        if self._told is None or not (listening or self._feed.hub.listening):
            self._told, self._behind = now, behind
            return 0
        rows = changed_rows(self._told, now)
        if rows or behind is not self._behind:
            for first in range(0, max(1, len(rows)), FRAME_ROWS):
                part = {"as_of": body["as_of"], "server_behind": behind, "stations": rows[first : first + FRAME_ROWS]}
                self._feed.hub.publish(frame("level", part))
                await asyncio.sleep(0)
        self._told, self._behind = now, behind
        return len(rows)

    async def follow(self, stop: asyncio.Event) -> None:
        """Look again and again until stopped: soon after news, and every few seconds without."""

        async def work() -> None:
            begun = self._steady()
            self._feed.news.clear()
            await self.look()
            quiet = QUIET_S if self._feed.hub.listening else IDLE_S
            try:
                async with asyncio.timeout(max(0.0, begun + quiet - self._steady())):
                    await self._feed.news.wait()
            except TimeoutError:
                return
            await asyncio.sleep(max(0.0, begun + LEAST_S - self._steady()))

        await forever(work, stop, StorageUnavailable, "judging the levels")
