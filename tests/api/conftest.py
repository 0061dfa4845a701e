# ruff: noqa: E501 - SQL reads best unbroken
"""A served API over a real TimescaleDB, and small factories for its rows."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from api.service import run
from kawamori.settings import Settings

NOW = datetime.now(UTC).replace(microsecond=0)


class Rows:
    """Rows as the other services would have written them."""

    def __init__(self, url: str) -> None:
        self.url = url

    def sql(self, text: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def station(
        self, station_id: str, *, thresholds: dict[int, float] | None = None, crest: float | None = None,
        report_every: timedelta = timedelta(minutes=10), quantity: str = "water_level",
    ) -> int:  # fmt: skip
        """A station of the river `kuji` with one sensor; returns the sensor's id."""
        self.sql(
            "INSERT INTO river VALUES ('kuji', '久慈川', 'Kuji', '[[140.1, 36.9], [140.6, 36.5]]') ON CONFLICT DO NOTHING"
        )
        self.sql(
            "INSERT INTO station (station_id, name_ja, name_en, river_id, lon, lat) VALUES (%s, %s, %s, 'kuji', 140.5, 36.5)"
            " ON CONFLICT DO NOTHING",
            station_id, f"{station_id}橋", station_id,
        )  # fmt: skip
        for level, value in (thresholds or {}).items():
            self.sql(
                "INSERT INTO threshold (station_id, level, valid_from, value_m) VALUES (%s, %s, '2020-01-01Z', %s)",
                station_id, level, value,
            )  # fmt: skip
        if crest is not None:
            self.sql(
                "INSERT INTO mark (station_id, kind, valid_from, value_m) VALUES (%s, 'crest_left', '2020-01-01Z', %s)",
                station_id, crest,
            )  # fmt: skip
        rows = self.sql(
            "INSERT INTO sensor (station_id, quantity, report_every) VALUES (%s, %s, %s) RETURNING sensor_id",
            station_id, quantity, report_every,
        )  # fmt: skip
        return int(rows[0][0])

    def newest(self, sensor: int, value: float, *, minutes_ago: float = 0.5, flag: int = 1, reasons: int = 0,
               trend: float | None = None, tail: list[tuple[float, float, int]] | None = None) -> None:  # fmt: skip
        """The sensor's latest row, and readings before it: (minutes ago, value, flag), oldest first."""
        self.sql(
            "UPDATE latest_reading SET observed_at = %s, value = %s, flag = %s, reasons = %s, received_at = now(),"
            " trend_h = %s WHERE sensor_id = %s",
            datetime.now(UTC) - timedelta(minutes=minutes_ago), value, flag, reasons, trend, sensor,
        )  # fmt: skip
        for minutes, earlier, flagged in tail or []:
            self.readings(sensor, datetime.now(UTC) - timedelta(minutes=minutes), timedelta(0), [earlier], flagged)

    def readings(self, sensor: int, start: datetime, step: timedelta, values: list[float], flag: int = 1) -> None:
        with psycopg.connect(self.url) as connection:
            connection.cursor().executemany(
                "INSERT INTO reading VALUES (%s, %s, %s, %s, 0, now()) ON CONFLICT DO NOTHING",
                [(sensor, start + i * step, value, flag) for i, value in enumerate(values)],
            )

    def batch(
        self, sensor: int, values: list[float], *, start: datetime, step: timedelta = timedelta(minutes=1),
        connection: psycopg.Connection[Any] | None = None,
    ) -> str:  # fmt: skip
        """One committed batch (or one that the given connection has yet to commit); returns its feed cursor."""
        times = [start + i * step for i in range(len(values))]
        if connection is None:
            with psycopg.connect(self.url) as own:
                return self.batch(sensor, values, start=start, step=step, connection=own)
        connection.cursor().executemany(
            "INSERT INTO reading VALUES (%s, %s, %s, 1, 0, now()) ON CONFLICT DO NOTHING",
            [(sensor, at, value) for at, value in zip(times, values, strict=True)],
        )
        row = connection.execute(
            "INSERT INTO ingest_batch (readings, sensor_ids, starts, ends) VALUES (%s, %s, %s, %s)"
            " RETURNING xid::text, batch_id",
            (len(values), [sensor], [times[0]], [times[-1]]),
        ).fetchone()
        connection.execute("SELECT pg_notify('kawamori_batch', '')")
        assert row
        return f"{row[0]}-{row[1]}"

    def alert(self, station_id: str, sensor: int, *, started_at: datetime | None = None, level: int = 2,
              state: str = "firing", ended_at: datetime | None = None, verified: bool = True, told: bool = True,
              incident: int | None = None, status: str = "actual") -> int:  # fmt: skip
        started_at = started_at or datetime.now(UTC)
        (row,) = self.sql(
            "INSERT INTO alert (station_id, sensor_id, flood_level, threshold_m, state, started_at, ended_at, value_m,"
            " peak_m, verified, retroactive, paged_at, incident_id, status) VALUES (%s, %s, %s, 2, %s, %s, %s, 2.1, 2.5, %s,"
            " false, %s, %s, %s) RETURNING alert_id",
            station_id, sensor, level, state, started_at, ended_at, verified, started_at if told else None, incident, status,
        )  # fmt: skip
        self.sql(
            "INSERT INTO audit (who, subject, subject_id, alert_id, event) VALUES ('kawamori', 'alert', %s, %s, 'raised')",
            str(row[0]), row[0],
        )  # fmt: skip
        return int(row[0])

    def incident(self, river: str | None = "kuji") -> int:
        """An incident that is over, so that many may stand beside each other."""
        (row,) = self.sql(
            "INSERT INTO incident (topic, river_id, status, opened_at, closed_at) VALUES ('flood', %s, 'actual', now(), now())"
            " RETURNING incident_id",
            river,
        )  # fmt: skip
        return int(row[0])

    def audit(self, alert: int) -> list[tuple[str, str, str | None]]:
        """Who did what to an alert, and why; what the factory did left out."""
        return [
            tuple(row)
            for row in self.sql(
                "SELECT who, event, note FROM audit WHERE alert_id = %s AND who <> 'kawamori' ORDER BY audit_id", alert
            )
        ]

    def announced(self, alert: int) -> list[str]:
        return [row[0] for row in self.sql("SELECT event FROM announcement WHERE alert_id = %s ORDER BY 1", alert)]

    def account(self, name: str, role: str) -> str:
        """Somebody who may act; returns the token."""
        token = f"token-of-{name.encode().hex()}"
        self.sql(
            "INSERT INTO account (name, role, token_digest) VALUES (%s, %s, sha256(%s::bytea)) ON CONFLICT DO NOTHING",
            name, role, token,
        )  # fmt: skip
        return token


class Event(dict[str, Any]):
    """One server-sent event: `event`, `data` (decoded), `id`."""


class Stream:
    """A connected listener; `until` waits for an event, never longer than its deadline."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self.last_id: str | None = None

    def __iter__(self) -> Iterator[Event]:
        event = Event()
        for line in self._lines:
            if not line:
                if "event" in event:
                    self.last_id = event.get("id", self.last_id)
                    yield event
                event = Event()
                continue
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value

    def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """Events up to and with the wanted one; the client's read timeout is the deadline."""
        seen = []
        for event in self:
            seen.append(event)
            if wanted(event):
                return seen
        pytest.fail(f"the stream ended before the wanted event; seen: {seen}")


class Api:
    """A running service and how to reach it."""

    def __init__(self, url: str, stop: Callable[[], None]) -> None:
        self.url = url
        self.stop = stop
        self.http = httpx.Client(base_url=f"{url}", timeout=15)

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.http.get(f"/api/v1{path}", params=parameters)

    def json(self, path: str, **parameters: Any) -> Any:
        response = self.get(path, **parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def act(self, path: str, body: Any = None, *, by: str | None = None, method: str = "POST") -> httpx.Response:
        """Do something as whoever has that token; where the site is open, as 佐藤."""
        who = {"X-Kawamori-Name": quote("佐藤")} if by is None else {"Authorization": f"Bearer {by}"}
        headers = {"Content-Type": "application/json", **who}
        content = None if body is None else json.dumps(body).encode()
        return self.http.request(method, f"/api/v1{path}", content=content, headers=headers)

    @contextmanager
    def stream(self, last_event_id: str | None = None) -> Iterator[Stream]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        with self.http.stream("GET", "/api/v1/stream", headers=headers) as response:
            assert response.status_code == 200
            yield Stream(response)


@contextmanager
def served(url: str, **settings: Any) -> Iterator[Api]:
    """The service in a thread of its own, stopped afterwards within its two seconds."""
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def main() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()

        def on_ready(address: str) -> None:
            box["url"] = address
            ready.set()

        api = {"port": 0, "open": True, **settings.pop("api", {})}
        await run(Settings(database_url=url, api=api, **settings), box["stop"], on_ready)

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            box["error"] = error
            ready.set()

    thread = threading.Thread(target=body, name="api")
    thread.start()
    assert ready.wait(20), "the service starts"
    if "error" in box:
        raise box["error"]

    def stop() -> None:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(10)
        assert not thread.is_alive(), "the service ends"

    api = Api(box["url"], stop)
    try:
        yield api
    finally:
        api.http.close()
        if thread.is_alive():
            stop()
    if "error" in box:
        raise box["error"]


@pytest.fixture(scope="module")
def rows(database_url: str) -> Rows:
    return Rows(database_url)


@pytest.fixture(scope="module")
def api(database_url: str) -> Iterator[Api]:
    with served(database_url) as api:
        yield api


@pytest.fixture(scope="module")
def serve_again(database_url: str) -> Callable[..., Any]:
    """Another service on the same database: `with serve_again(site={…}) as api`."""
    return lambda **settings: served(database_url, **settings)
