"""Two hundred screens on the live stream, and twenty of them frozen: nobody else notices."""

import asyncio
import socket
import statistics
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from api.live.stream import RESUME_OVER, RESUME_READINGS
from kawamori.operate.servers import free_port
from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
FROZEN_AFTER = 2.0
#: A frame of 500 readings, and change.
LONGEST_LINE = 2**20


@dataclass
class Screen:
    """A client of the stream; one that is frozen connects and never reads."""

    port: int
    frozen: bool = False
    last_id: str | None = None
    events: list[tuple[str, str | None, float]] = field(default_factory=list)
    lost: float | None = None
    #: Why it was last told to fetch everything anew.
    resync: str = ""

    async def watch(self) -> None:
        """Read events until the server closes, noting when each arrived."""
        reader, writer = await connect(self.port, self.last_id)
        try:
            await self.read(reader)
        finally:
            self.lost = time.time()
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        event, position = None, self.last_id
        with suppress(ConnectionError):
            while line := await reader.readline():
                if line.startswith(b"event: "):
                    event = line[7:].strip().decode()
                elif line.startswith(b"id: "):
                    position = line[4:].strip().decode()
                elif line.startswith(b"data: ") and event == "resync":
                    self.resync = line[6:].strip().decode()
                elif line == b"\n" and event:  # only now is the event whole
                    self.last_id = position
                    self.events.append((event, self.last_id, time.time()))
                    event = None

    async def freeze(self) -> socket.socket:
        """Ask for the stream and never read it."""
        frozen = socket.socket()
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        frozen.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(frozen, ("127.0.0.1", self.port))
        await loop.sock_sendall(frozen, request(None))
        return frozen


def request(last_id: str | None) -> bytes:
    resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    return f"GET /api/v1/stream HTTP/1.1\r\nHost: kawamori\r\n{resume}\r\n".encode()


async def connect(port: int, last_id: str | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LONGEST_LINE)
    writer.write(request(last_id))
    assert b" 200 " in await reader.readline()
    return reader, writer


def plans(count: int) -> list[StationPlan]:
    return [
        StationPlan(
            station_id=f"s{n}", name_ja=f"s{n}", name_en=f"s{n}", river_id="r", river_name_ja="川",
            river_name_en="River", valid_from=SINCE,
            sensors=(SensorPlan(quantity="water_level", device_id=f"dev-s{n}", valid_from=SINCE),),
        )
        for n in range(count)
    ]  # fmt: skip


class Rain(threading.Thread):
    """Every station reports once a second, spread over the second, until told to end."""

    def __init__(self, chain: Any, payload: Callable[..., bytes], stations: int) -> None:
        super().__init__(name="rain")
        self.chain, self.payload, self.stations = chain, payload, stations
        self.ending = threading.Event()
        self.sent = 0

    def run(self) -> None:
        client = self.chain.client()
        begun, number = time.monotonic(), 0
        while not self.ending.wait(max(0.0, begun + number / self.stations - time.monotonic())):
            device = f"dev-s{number % self.stations}"
            at = datetime.now(UTC).isoformat()
            client.publish(f"kawamori/v1/device/{device}/reading", self.payload(at, 1 + number % 7 / 100), qos=1)
            number += 1
        self.sent = number
        client.disconnect()
        client.loop_stop()


def served(pid: int, port: int) -> int:
    """How many connections the API holds open."""
    found = psutil.Process(pid).net_connections("tcp")
    return sum(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in found)


async def until(condition: Callable[[], bool], within: float, what: str) -> float:
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within:
            pytest.fail(f"within {within:g} s: {what}")
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("stations", "seconds"), [(300, 5), pytest.param(200, 120, marks=pytest.mark.slow)], ids=["quick", "full"]
)
def test_frozen_screens_are_let_go_and_slow_down_nobody(
    stations: int, seconds: float, fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes],
    wait_until: Callable[..., Any],
) -> None:  # fmt: skip
    port = free_port()
    chain = fresh_chain_of(
        KAWAMORI_API__PORT=str(port), KAWAMORI_API__FROZEN_AFTER=f"PT{FROZEN_AFTER:g}S", KAWAMORI_LOG_LEVEL="warning"
    )
    chain.register(plans(stations))
    chain.start("gateway", "ingest", "api")

    def ready() -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200)
        return False

    wait_until(ready, 20, "the API is ready")
    pid = chain.processes["api"].pid
    memory = psutil.Process(pid).memory_info
    rain = Rain(chain, payload, stations)

    async def scene() -> tuple[list[Screen], list[tuple[str | None, Screen]], float, float]:
        lively = [Screen(port) for _ in range(180)]
        watching = [asyncio.create_task(screen.watch()) for screen in lively]
        await until(lambda: all(s.last_id for s in lively), 20, "every screen hears a first event")
        before = highest = memory().rss
        begun = time.monotonic()
        rain.start()
        stuck = [await Screen(port, frozen=True).freeze() for _ in range(20)]
        gone_after = None
        while gone_after is None or time.monotonic() - begun < seconds:
            await asyncio.sleep(0.25)
            highest = max(highest, memory().rss)
            passed = time.monotonic() - begun
            if gone_after is None and served(pid, port) == 180:
                gone_after = passed
            assert gone_after or passed < 60, "the frozen screens' connections are gone within a minute"
        assert all(screen.lost is None for screen in lively)
        back = [await woken(port, frozen) for frozen in stuck]
        rain.ending.set()
        await asyncio.to_thread(rain.join)
        await until(
            lambda: len({s.last_id.rsplit("-", 2)[0] for s in lively if s.last_id}) == 1, 20, "all screens agree"
        )
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        return lively, back, (highest - before) / 2**20, gone_after

    try:
        lively, back, grown, gone_after = asyncio.run(scene())
    finally:
        rain.ending.set()
    committed = {f"{xid}-{batch}": at.timestamp() for xid, batch, at in chain.sql(
        "SELECT xid::text, batch_id, committed_at FROM ingest_batch")}  # fmt: skip
    delays = [
        at - committed[position.rsplit("-", 2)[0]]
        for screen in lively
        for event, position, at in screen.events
        if event == "reading" and position
    ]
    p50, p95 = statistics.median(delays), statistics.quantiles(delays, n=20)[-1]
    print(
        f"\nstream clients: 180 lively and 20 frozen, {stations} readings/s for {seconds:g} s: {len(delays)} events,"
        f" commit to event p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms; api memory {grown:+.1f} MB;"
        f" frozen ones gone {gone_after:.1f} s after the rain began; back, they hear first:"
        f" {Counter(screen.events[0][0] for _, screen in back)}"
    )
    for last_id, screen in back:
        assert last_id
        xid, batch, *_ = last_id.split("-")
        ((missed, over),) = chain.sql(
            "SELECT coalesce(sum(readings), 0), max(committed_at) - min(committed_at) FROM ingest_batch"
            " WHERE (xid, batch_id) > (%s::xid8, %s)", xid, int(batch),
        )  # fmt: skip
        assert missed > 0
        assert screen.events[0][0] == "reading" or missed > RESUME_READINGS or over > RESUME_OVER, screen.resync
    assert grown <= 50
    assert p95 <= (2 if seconds > 60 else 10)


async def woken(port: int, frozen: socket.socket) -> tuple[str | None, Screen]:
    """A frozen screen reads what was left for it, finds the connection gone, and comes back; with its last id."""
    screen = Screen(port)
    reader, writer = await asyncio.open_connection(sock=frozen, limit=LONGEST_LINE)
    async with asyncio.timeout(10):
        await screen.read(reader)
    writer.close()
    screen.events.clear()
    last_id = screen.last_id
    reader, writer = await connect(port, last_id)
    reading = asyncio.create_task(screen.read(reader))
    await until(lambda: len(screen.events) >= 1, 10, "the woken screen hears something")
    reading.cancel()
    writer.close()
    return last_id, screen
