"""Tell the watchers when no engine judges, from a process that is none: an engine that is dead cannot say so itself.

It reads the engine's lease as the page does (`kawamori.storage.system`), and sends without the outbox, which nobody may
be emptying. While the database is away the engine says so itself (`alerts.fallback`); only when that lasts does the
watchdog say that it knows nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from alerts.channels.choice import make_channels
from alerts.delivery import send_directly, watchers
from kawamori.errors import KawamoriError
from kawamori.observe import log
from kawamori.runtime import now, sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.system import alerting_now

#: `led`: an engine holds the lease; `unled`: none does; `unknown`: the database does not answer.
State = Literal["led", "unled", "unknown"]
#: What is wrong is told after so many seconds: a takeover takes 15, a start of the whole site half a minute.
TOLD_AFTER: dict[State, float] = {"unled": 30.0, "unknown": 120.0}
#: … and again after so many while it lasts.
TOLD_AGAIN = 1800.0
#: Seconds between two looks, and what one may take.
_LOOK_EVERY, _LOOK_TAKES = 5.0, 10.0


@dataclass(frozen=True, slots=True)
class Word:
    """A message to the watchers: its first line, and what follows."""

    subject: str
    body: str


WORDS: dict[State, Word] = {
    "unled": Word(
        "【判定停止】判定・通知サービス（alerts）が動いていません",
        "判定も通知も動いていません。水位は別の手段で確かめ、alerts サービスを起動してください。\n\n"
        "No alert engine runs: nothing is judged and nobody is told. Watch the levels by other means, and start the"
        " service `alerts`.",
    ),
    "unknown": Word(
        "【監視不能】データベースに届かず、判定が動いているか分かりません",
        "データベースが応答しません。水位は別の手段で確かめてください。\n\n"
        "The database does not answer, so that it is not known whether alerts are judged. Watch the levels by other"
        " means.",
    ),
    "led": Word(
        "【判定再開】判定・通知サービス（alerts）が動いています",
        "判定と通知が再び動いています。止まっていた間の水位は、再開後に判定されます。\n\n"
        "An alert engine runs again. What was measured meanwhile is judged now.",
    ),
}


class Lookout:
    """Decides what the watchers are told, from one look after the other. Pure but for its clock."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._state: State = "led"
        self._since = steady()
        #: What they were told last, and when; None: all is well as far as they know.
        self._told: tuple[State, float] | None = None

    def sees(self, state: State) -> Word | None:
        """What to tell now, after this look."""
        moment = self._steady()
        if state != self._state:
            self._state, self._since = state, moment
        if state == "led":
            told, self._told = self._told, None
            return None if told is None else WORDS["led"]
        if moment - self._since < TOLD_AFTER[state]:
            return None
        if self._told is not None and self._told[0] == state and moment - self._told[1] < TOLD_AGAIN:
            return None
        self._told = (state, moment)
        return WORDS[state]


async def state_of(database: Database) -> State:
    """Whether an engine leads, by the database's clock."""
    try:
        async with asyncio.timeout(_LOOK_TAKES):
            return "unled" if "no_engine" in (await alerting_now(database)).why else "led"
    except (KawamoriError, TimeoutError):
        return "unknown"


async def watch(
    look: Callable[[], Awaitable[State]], tell: Callable[[Word], Coroutine[Any, Any, None]], stop: asyncio.Event,
    lookout: Lookout | None = None, every: float = _LOOK_EVERY,
) -> None:  # fmt: skip
    """Look every few seconds until stopped; a message that cannot be sent holds up no look."""
    lookout = lookout or Lookout()
    telling: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        word = lookout.sees(await look())
        if word is not None:
            log().error("the watchers are told", subject=word.subject)
            task = asyncio.create_task(tell(word), name="tell-watchers")
            telling.add(task)
            task.add_done_callback(telling.discard)
        await sleep_or_stop(every, stop)
    for task in list(telling):
        task.cancel()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Watch the engine until stopped."""
    channels = make_channels(settings.alerts)

    async def tell(word: Word) -> None:
        key = f"watchdog-{now():%Y%m%d%H%M%S}"
        await send_directly(channels, ["log:log", *watchers(settings)], word.subject, word.body, key)

    if not watchers(settings):
        log().warning("no watcher is named in KAWAMORI_ALERTS__WATCHERS: only the log is told")
    async with Database(settings.database(), "watchdog", size=2) as database:
        await watch(lambda: state_of(database), tell, stop)
