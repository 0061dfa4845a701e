"""The API's idea of the time: the database's clock, carried on by this host's steady one."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import Clock, forever, now, sleep_or_stop
from kawamori.storage.database import Database
from kawamori.storage.system import database_time

#: How often the database is asked; a steady clock drifts by less than a millisecond in between.
EVERY_S = 5.0
#: A host whose clock differs by more than this is named. Messages and readings are judged to the second elsewhere.
WRONG_AFTER = timedelta(seconds=5)


class DatabaseClock:
    """Called, it is the time by the database. Until the database has answered once it is the host's own."""

    def __init__(self, host: Clock = now, steady: Callable[[], float] = time.monotonic) -> None:
        self._host, self._steady = host, steady
        #: The database's time, and the steady clock's at that moment.
        self._known: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        """The time now, UTC-aware."""
        if self._known is None:
            return self._host()
        at, steady = self._known
        return at + timedelta(seconds=self._steady() - steady)

    def learn(self, at: datetime, asked: float) -> None:
        """Take the database's answer to a question asked at `asked` of the steady clock: half of the way is its age."""
        steady = self._steady()
        self._known = at + timedelta(seconds=(steady - asked) / 2), steady

    @property
    def host_off(self) -> timedelta | None:
        """How far this host's clock is ahead of the database's; None before the database has answered."""
        return None if self._known is None else self._host() - self()

    async def ask(self, database: Database) -> None:
        """Learn the time once; raises StorageUnavailable."""
        asked = self._steady()
        self.learn(await database_time(database), asked)

    async def follow(self, database: Database, stop: asyncio.Event) -> None:
        """Learn the time again and again until stopped, and say in the log when this host's clock becomes wrong."""
        wrong = False

        async def work() -> None:
            nonlocal wrong
            await self.ask(database)
            off = self.host_off or timedelta(0)
            if (abs(off) > WRONG_AFTER) is not wrong:
                wrong = not wrong
                if wrong:
                    log().error(
                        "this host's clock is wrong: ages are told by the database's; set it right (NTP)",
                        ahead_s=round(off.total_seconds(), 1),
                    )
            await sleep_or_stop(EVERY_S, stop)

        await forever(work, stop, StorageUnavailable, "asking the database for the time")
