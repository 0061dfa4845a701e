"""A wall screen's ear: follows the live stream and resumes by Last-Event-ID whenever it breaks."""

import contextlib
import http.client
import json
import threading
import time
from datetime import datetime
from typing import Self
from urllib.parse import urlsplit


class Listener:
    """Keeps every reading that it heard, as (station, time of measurement)."""

    def __init__(self, api_url: str) -> None:
        parts = urlsplit(api_url)
        self._host, self._port = str(parts.hostname), parts.port
        self.heard: set[tuple[str, datetime]] = set()
        self.newest: datetime | None = None
        self.resyncs: list[str] = []
        self.connections = 0
        self.live = threading.Event()
        self._last_id: str | None = None
        self._ended = False
        self._socket: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="listener")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(20)

    def _run(self) -> None:
        while not self._ended:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._listen()
            time.sleep(0.1)

    def _listen(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port or 80, timeout=10)
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        try:
            connection.request("GET", "/api/v1/stream", headers=headers)
            response = connection.getresponse()
            self.connections += 1
            event: dict[str, str] = {}
            while not self._ended and (line := response.readline()):
                text = line.decode().rstrip("\r\n")
                if text:
                    name, _, value = text.partition(": ")
                    event[name] = value
                    continue
                self._take(event)
                event = {}
        finally:
            connection.close()

    def _take(self, event: dict[str, str]) -> None:
        if event.get("event") == "reading":
            for reading in json.loads(event["data"])["readings"]:
                at = datetime.fromisoformat(reading["time"])
                self.heard.add((reading["station_id"], at))
                self.newest = max(at, self.newest or at)
        elif event.get("event") == "resync":
            self.resyncs.append(event["data"])
        elif event.get("event") == "heartbeat" and "id" in event:
            self.live.set()
        self._last_id = event.get("id", self._last_id)
