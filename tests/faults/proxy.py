"""A bad line between a client and a server: slow, narrow, in slices, silent, or cut; each direction by itself."""

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Way:
    """One direction of the line; change it while it is in use."""

    #: Seconds that each piece is on its way.
    latency: float = 0.0
    #: Bytes a second; None for as many as there are.
    bandwidth: float | None = None
    #: The largest piece handed on at once.
    slice: int = 65536
    #: Swallows everything, and says nothing of it.
    silent: bool = False


@dataclass(slots=True, eq=False)
class _Line:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    #: Dead for both ends, and neither knows it.
    half_open: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on to another, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.to_server, self.to_client = Way(), Way()
        self.port = 0
        #: Connections made through it so far.
        self.accepted = 0
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def silence(self, *, yes: bool = True) -> None:
        """A black hole: old and new connections stay open and nothing comes through."""
        self.to_server.silent = self.to_client.silent = yes

    def leave_half_open(self) -> None:
        """The connections of now are dead from here on, without a word to either end; new ones work."""
        for line in list(self._lines):
            line.half_open = True

    def reset(self) -> None:
        """Cut every connection with a RST at both ends."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for line in self._lines:
            for writer in (line.client, line.server):
                raw = writer.get_extra_info("socket")
                if raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for line in list(self._lines):
            line.tasks[-1].cancel()
        await asyncio.gather(*(line.tasks[-1] for line in list(self._lines)), return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        current = asyncio.current_task()
        assert current
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, forth)
        self._lines.add(line)
        line.tasks = [
            asyncio.create_task(self._pass(line, reader, forth, self.to_server)),
            asyncio.create_task(self._pass(line, back, writer, self.to_client)),
            current,
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(line.tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            if line.half_open:  # the end that has given up must not tell the other
                await self._stop.wait()
        for end in (writer, forth):
            end.transport.abort()
        for task in line.tasks[:2]:
            task.cancel()
        self._lines.discard(line)

    async def _pass(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(way.slice):
                if way.latency:
                    await asyncio.sleep(way.latency)
                if way.bandwidth:
                    await asyncio.sleep(len(piece) / way.bandwidth)
                if line.half_open or way.silent:
                    continue
                writer.write(piece)
                await writer.drain()
