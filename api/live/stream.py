"""The live stream: one follower reads the feeds once, and hands encoded frames to any number of clients.

A client's queue is bounded. One that falls behind is told to fetch everything anew (`resync`) and let go; it
never slows the others. An event's id is the place in both feeds, so that a client that comes back gets what
it missed, each event at least once.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from fastapi.sse import format_sse_event
from prometheus_client import Counter, Gauge

from api.contract import shapes
from api.registry_cache import RegistryCache
from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import Clock, fail_point, forever, sleep_or_stop
from kawamori.storage.changes import Cursor
from kawamori.storage.database import Database
from kawamori.storage.news import AlertChange, News, missed_after, newest, news_after
from kawamori.storage.registry import registry_version
from kawamori.storage.system import Alerting, alerting_now

#: Frames a client may lag behind.
QUEUE_FRAMES = 256
#: Readings a frame; a larger batch is several frames.
FRAME_READINGS = 500
#: The most that a client that comes back is told: more, or more time of the feed, and it must fetch everything anew.
RESUME_READINGS = 50_000
RESUME_BATCHES = 5_000
RESUME_OVER = timedelta(minutes=10)
RESUME_ALERTS = 512
POLL_S = 1.0
#: After a wake-up that showed nothing yet: a transaction begun earlier still runs, look again soon.
IMPATIENT_S = 0.1
HEARTBEAT_S = 5.0
#: So long may the database take to say how alerting is.
ANSWER = timedelta(seconds=2)
#: A feed not read for so long is a trouble.
STALE = timedelta(seconds=10)

CLIENTS = Gauge("kawamori_api_stream_clients", "Clients on the live stream")
DROPPED = Counter("kawamori_api_stream_dropped_total", "Clients let go because they fell behind")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed of batches and in that of alert changes. Its text is the event's id."""

    cursor: Cursor = Cursor()
    alert_change: Cursor = Cursor()

    def __str__(self) -> str:
        return f"{self.cursor}-{self.alert_change}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The position that prints as `text`; raises ValueError."""
        parts = text.split("-")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError("not an event id of this stream")
        numbers = [int(part) for part in parts]
        if max(numbers) >= 2**63:
            raise ValueError("not an event id of this stream")
        return cls(Cursor(*numbers[:2]), Cursor(*numbers[2:]))


def frame(event: str, data: Any, position: Position | None = None) -> bytes:
    """One event, encoded."""
    text = msgspec.json.encode(data).decode()
    return format_sse_event(event=event, data_str=text, id=None if position is None else str(position))


class Client:
    """One listener's bounded queue of frames."""

    def __init__(self, size: int = QUEUE_FRAMES) -> None:
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(size)
        self.ended = False

    def offer(self, what: bytes) -> bool:
        """Queue a frame; False when the client has fallen too far behind."""
        try:
            self._frames.put_nowait(what)
        except asyncio.QueueFull:
            return False
        return True

    def end(self, last_words: bytes = b"") -> None:
        """Forget what is queued, say the last words, and close."""
        self.ended = True
        while not self._frames.empty():
            self._frames.get_nowait()
        if last_words:
            self._frames.put_nowait(last_words)
        self._frames.put_nowait(None)

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames in order, until the end."""
        while (what := await self._frames.get()) is not None:
            yield what


class Hub:
    """Where the follower publishes and clients listen, `most` at once."""

    def __init__(self, most: int = 500) -> None:
        self._clients: set[Client] = set()
        self._closed = False
        self._seats = most
        #: What everybody has been told.
        self.position: Position | None = None

    @contextlib.contextmanager
    def seat(self) -> Iterator[bool]:
        """Count somebody in for as long as their connection lasts; false where every seat is taken."""
        free = self._seats > 0
        self._seats -= free
        try:
            yield free
        finally:
            self._seats += free

    def join(self, size: int = QUEUE_FRAMES) -> Client:
        """A new client, who hears everything published from now on."""
        client = Client(size)
        if self._closed:
            client.end()
        else:
            self._clients.add(client)
            CLIENTS.set(len(self._clients))
        return client

    @property
    def count(self) -> int:
        """How many clients listen."""
        return len(self._clients)

    @property
    def listening(self) -> bool:
        """Whether anybody would hear a reading."""
        return bool(self._clients)

    def leave(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)
        CLIENTS.set(len(self._clients))

    def publish(self, what: bytes) -> None:
        """Hand a frame to every client; nobody waits for anybody."""
        for client in list(self._clients):
            if not client.offer(what):
                client.end(frame("resync", {"reason": "fell behind"}))
                self.leave(client)
                DROPPED.inc()

    def close(self) -> None:
        """End every client, and those that still come."""
        self._closed = True
        for client in list(self._clients):
            client.end()
            self.leave(client)


def _settled(changes: Iterable[AlertChange], before: Cursor) -> Cursor:
    """The last change before which none can still appear."""
    return max((change.place for change in changes if change.settled), default=before)


class LiveFeed:
    """Follows the database for the hub, and tells a client that comes back what it missed."""

    def __init__(
        self, database: Database, directory: RegistryCache, clock: Clock, hub: Hub, page: str | None = None, *,
        resuming: Database | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        #: What clients that come back read from: many may come at once.
        self._resuming = resuming or database
        self._directory = directory
        self._clock = clock
        self.hub = hub
        #: The build of the page that is handed out.
        self.page = page
        self.read_at: datetime | None = None
        #: The same by a clock that nobody sets.
        self._read_steady: float | None = None
        self._wake = asyncio.Event()
        self._begun = asyncio.Event()
        #: Held while what was read at once is told: who joins hears all of it or nothing.
        self._telling = asyncio.Lock()
        #: Of the registry what clients know that they must fetch: its version, and the turns of what is dated in it.
        self._edition: tuple[int, int] | None = None
        #: Changes of alerts that were told before it was certain that none comes before them.
        self._told: frozenset[Cursor] = frozenset()
        self.alerting = Alerting(ok=False, why=["unknown"])
        #: Set where something came that may change a level, or somebody came who wants to see it.
        self.news = asyncio.Event()

    def trouble(self) -> str | None:
        """Why the live stream is not to be trusted now."""
        if self._read_steady is None:
            return "the database has not been read yet"
        age = time.monotonic() - self._read_steady
        return f"the database was last read {age:.0f} s ago" if age > STALE.total_seconds() else None

    async def listen(self, stop: asyncio.Event) -> None:
        """Wake the follower at each notice; polling goes on without."""

        async def work() -> None:
            async for channel in self._database.notifications("kawamori_batch", "kawamori_alert", "kawamori_registry"):
                if channel:
                    self._wake.set()

        await forever(work, stop, StorageUnavailable, "listening for news")

    async def follow(self, stop: asyncio.Event) -> None:
        """Publish what is new, for ever."""

        async def work() -> None:
            if self.hub.position is None:
                turns = await self._directory.turns()
                async with self._database.transaction() as connection:
                    self._edition = await registry_version(connection), turns
                cursor, change = await newest(self._database)
                self.hub.position = Position(cursor, change)
                self._begun.set()
            impatient = 0
            while not stop.is_set():
                found = await self.catch_up()
                impatient = 0 if found else impatient - 1
                if found:
                    continue
                try:
                    async with asyncio.timeout(IMPATIENT_S if impatient > 0 else POLL_S):
                        await self._wake.wait()
                    self._wake.clear()
                    impatient = 10
                except TimeoutError:
                    pass

        await forever(work, stop, StorageUnavailable, "following the feed")

    async def catch_up(self) -> bool:
        """Read and publish what came since; whether there was anything."""
        position = self.hub.position or Position()
        listening = self.hub.listening
        # what commits while the database answers is not in its answer
        at, begun = self._clock(), time.monotonic()
        news = await news_after(
            self._database, position.cursor, position.alert_change, at, with_readings=listening, told=self._told
        )
        frames, position = await self._frames(news, position)
        edition = (news.registry_version, await self._directory.turns())
        async with self._telling:
            if self.hub.listening and not listening:
                return True  # somebody came meanwhile: the same again, with its readings
            self._told = frozenset(change.place for change in news.alert_changes if not change.settled)
            before, self._edition = self._edition, edition
            if before is not None and before != edition:
                self._directory.forget()
                frames.append(self._stations(position))
            fail_point("api.read")
            for what in frames:
                self.hub.publish(what)
                await asyncio.sleep(0)  # whoever reads takes it: however much there is, only who does not falls behind
            self.hub.position = position
        if news.changes or frames:
            self.news.set()
        if not news.more:
            self.read_at, self._read_steady = at, begun
        return bool(frames or news.changes)

    async def heartbeats(self, stop: asyncio.Event) -> None:
        """Tell every few seconds until when the stream is complete, so that a screen knows an old number, whether
        people are being told of what happens, and which build of the page is handed out.
        """
        while not await sleep_or_stop(HEARTBEAT_S, stop):
            self.alerting = await self._alerting()
            self.hub.publish(self._heartbeat())

    async def _alerting(self) -> Alerting:
        try:
            return await alerting_now(self._database.within(ANSWER))
        except StorageUnavailable:
            return Alerting(ok=False, why=["database"])

    def _heartbeat(self) -> bytes:
        known = {"ok": self.alerting.ok, "why": self.alerting.why}
        return frame(
            "heartbeat",
            {
                "as_of": self.read_at, "alerting": known, "page": self.page,
                "notices": [shapes.notice(one) for one in self.alerting.notices],
            },
            self.hub.position,
        )  # fmt: skip

    def _stations(self, position: Position | None = None) -> bytes:
        return frame("station", {"version": self._edition and self._edition[0]}, position)

    async def subscribe(self, last_event_id: str | None) -> AsyncGenerator[bytes]:
        """One client's frames: what it missed, then what happens."""
        yield b"retry: 2000\n\n"
        while self.hub.position is None:  # what comes before the follower knows its place would be nobody's to tell
            yield self._heartbeat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._begun.wait()
        async with self._telling:
            client = self.hub.join()
            self.news.set()
            joined = self._heartbeat()  # its id is the place from which the queue goes on, not a later one
        try:
            if last_event_id is not None:
                async for what in self._missed(last_event_id):
                    yield what
                yield self._stations()  # what changed in the registry meanwhile is in no feed
            yield joined
            async for what in client.frames():
                yield what
        finally:
            self.hub.leave(client)

    async def _missed(self, last_event_id: str) -> AsyncGenerator[bytes]:
        """What was published after that event until now; at worst the advice to fetch everything anew ends it."""
        readings = 0
        try:
            position = Position.parse(last_event_id)
            missed = await missed_after(self._resuming, position.cursor, RESUME_BATCHES)
            much = missed.batches == RESUME_BATCHES or missed.readings > RESUME_READINGS or missed.over > RESUME_OVER
            if much or not missed.known:
                yield frame("resync", {"reason": "too long ago"})
                return
            more = True
            while more:
                news = await news_after(
                    self._resuming, position.cursor, position.alert_change, self._clock(),
                    most_alert_changes=RESUME_ALERTS + 1,
                )  # fmt: skip
                readings += len(news.readings)
                if readings > RESUME_READINGS or len(news.alert_changes) > RESUME_ALERTS:
                    yield frame("resync", {"reason": "too long ago"})
                    return
                frames, position = await self._frames(news, position)
                for what in frames:
                    yield what
                more = news.more
        except ValueError:
            yield frame("resync", {"reason": "unknown event id"})
        except StorageUnavailable as error:
            log().warning("a client could not be told what it missed", error=str(error))
            yield frame("resync", {"reason": "the database does not answer"})

    async def _frames(self, news: News, before: Position) -> tuple[list[bytes], Position]:
        """The news as frames, and the position after them. Only the last frame of each kind moves the id."""
        cursor = news.changes[-1].cursor if news.changes else before.cursor
        frames = await self._reading_frames(news, Position(cursor, before.alert_change))
        position = Position(cursor, _settled(news.alert_changes, before.alert_change))
        told = [("alert", shapes.alert(alert)) for alert in news.alerts]
        told += [("alert_gone", {"id": id_}) for id_ in sorted(news.gone)]
        frames += [frame(event, data, position if n == len(told) else None) for n, (event, data) in enumerate(told, 1)]
        return frames, position

    async def _reading_frames(self, news: News, position: Position) -> list[bytes]:
        if not news.changes:
            return []
        directory = await self._directory.get(news.registry_version)
        sensors = directory.registry.sensors
        rows = [
            shapes.live_reading(reading, sensor.station, sensor.quantity)
            for reading in news.readings
            if (sensor := sensors.get(reading.sensor))
        ]
        frames = []
        for first in range(0, len(rows), FRAME_READINGS):
            last = first + FRAME_READINGS >= len(rows)
            readings = rows[first : first + FRAME_READINGS]
            frames.append(frame("reading", {"readings": readings}, position if last else None))
            await asyncio.sleep(0)  # nobody waits for more than one frame to be made
        return frames
