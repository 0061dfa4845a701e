"""A client of the live stream that only writes down what came when; it is read after the run."""

import re
import socket
import threading
import time
from datetime import datetime
from urllib.parse import urlsplit

_READING = re.compile(rb'"station_id":"bench-(\d+)"[^{}]*?"time":"([^"]+)"')


def ask(url: str) -> socket.socket:
    """A connection on which the stream has begun. HTTP/1.0, so that frames come as they are, not in chunks."""
    address = urlsplit(url)
    link = socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=10)
    link.sendall(b"GET /api/v1/stream HTTP/1.0\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n")
    return link


def readings_in(frames: bytes) -> list[tuple[int, float]]:
    """(station, seconds since 1970 of the measurement) of every reading in these frames."""
    known: dict[bytes, float] = {}
    found = []
    for station, at in _READING.findall(frames):
        seconds = known.get(at)
        if seconds is None:
            seconds = known[at] = datetime.fromisoformat(at.decode()).timestamp()
        found.append((int(station), seconds))
    return found


def arrivals(chunks: list[tuple[float, bytes]]) -> dict[tuple[int, int], float]:
    """When each (station, measurement in ms since 1970) was here, whole, for the first time; frames may be cut."""
    found: dict[tuple[int, int], float] = {}
    rest = b""
    for at, chunk in chunks:
        frames, _, rest = (rest + chunk).rpartition(b"\n\n")
        for station, seconds in readings_in(frames):
            found.setdefault((station, round(seconds * 1000)), at)
    return found


class Listener:
    """One client, in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._link = ask(url)
        self._link.settimeout(0.2)
        self._stop = threading.Event()
        self._chunks: list[tuple[float, bytes]] = []
        self.began = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="stream", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                chunk = self._link.recv(1 << 18)
            except TimeoutError:
                continue
            if not chunk:
                return
            self._chunks.append((time.time(), chunk))
            self.began.set()

    def close(self) -> None:
        """Hang up."""
        self._stop.set()
        self._thread.join()
        self._link.close()

    def arrivals(self) -> dict[tuple[int, int], float]:
        """When each (station, measurement in ms since 1970) was here, whole, for the first time."""
        return arrivals(self._chunks)
