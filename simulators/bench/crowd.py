"""A thousand clients of the live stream in one lean process, which parses only what it must.

`python -m simulators.bench.crowd URL CLIENTS SAMPLED BOARD OUT` listens until the board says `stop`, then writes
to OUT (JSON) how many readings every client was handed, and of each SAMPLED-th client what came when.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from simulators.bench.listener import arrivals
from simulators.load import Board

_REQUEST = b"GET /api/v1/stream HTTP/1.0\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"
_MARK = b'"quantity"'  # stands in a reading, and in no row of a level


class Guest(asyncio.Protocol):
    """One client: counts readings; keeps what came when if it is one of the sample."""

    def __init__(self, *, sampled: bool) -> None:
        self.readings = 0
        self.resyncs = 0
        self.began = False
        self.lost = False
        self.chunks: list[tuple[float, bytes]] | None = [] if sampled else None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """Count. A mark that two chunks share is found in the joint."""
        self.began = True
        self.readings += data.count(_MARK)
        joint = self._tail + data[: len(_MARK) - 1]
        self.readings += joint.count(_MARK)
        self._tail = data[-(len(_MARK) - 1) :]
        self.resyncs += data.count(b"event: resync")
        if self.chunks is not None:
            self.chunks.append((time.time(), data))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The server let go of us."""
        self.lost = True


async def listen(url: str, clients: int, every: int, board: Board, out: Path) -> None:
    """Connect everybody, wait for the end, and write down what they heard."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    guests = []
    for n in range(clients):
        guest = Guest(sampled=n % every == 0)
        await loop.create_connection(lambda guest=guest: guest, str(address.hostname), int(address.port or 80))  # type: ignore[misc]
        guests.append(guest)
        if n % 50 == 49:
            while not all(g.began for g in guests):  # noqa: ASYNC110 - a thousand flags, asked rarely
                await asyncio.sleep(0.01)
    for guest in guests:
        guest.readings = 0
    board["ready"] = 1
    while not board["stop"]:  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.1)
    heard = {
        "readings": sum(guest.readings for guest in guests),
        "fewest": min(guest.readings for guest in guests),
        "resyncs": sum(guest.resyncs for guest in guests),
        "lost": sum(guest.lost for guest in guests),
        "sampled": [
            [(station, ms, at) for (station, ms), at in arrivals(guest.chunks).items()]
            for guest in guests
            if guest.chunks is not None
        ],
    }
    await asyncio.to_thread(out.write_text, json.dumps(heard))


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Board(Path(sys.argv[4])), Path(sys.argv[5])))
