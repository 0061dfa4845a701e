"""TimescaleDB is away, loses its sessions, or crashes: the gateway's disk holds what comes, memory stays flat."""

import json
import os
import signal
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

BUSY = " beside programs that take all cores"
SERVICES = ("gateway", "ingest", "alerts", "api")


def minutes(names: list[str], start: datetime, count: int) -> Iterator[tuple[str, datetime, float]]:
    """Every sensor once a minute, a slow wave each."""
    for minute in range(count):
        for i, name in enumerate(names):
            yield name, start + timedelta(minutes=minute, milliseconds=i), round(2 + (minute + i) % 50 / 100, 3)


@pytest.mark.parametrize(
    ("sensors", "hour", "busy"),
    [
        pytest.param(150, 20, False, id="quick"),
        pytest.param(300, 30, True, id="quick-busy"),
        pytest.param(3000, 60, False, id="full", marks=pytest.mark.slow),
        pytest.param(3000, 60, True, id="full-busy", marks=pytest.mark.slow),
    ],
)
def test_an_hour_without_the_database_is_kept_and_the_newest_comes_first(
    sensors: int, hour: int, busy: bool, site_of: Callable[..., Any], wait_until: Callable[..., Any],
    busy_machine: Callable[[bool], None],
) -> None:  # fmt: skip
    site = site_of(*SERVICES, KAWAMORI_GATEWAY__RESEND_AFTER="PT3S")
    names = site.register(sensors)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=hour + 2)
    with site.fleet(names, rate=3000, says=minutes(names, start, hour + 2), probe=None) as fleet:
        wait_until(lambda: len(fleet.ledger.told) >= 2 * sensors, 60, "the first minutes are journalled")
        fleet.pause()
        wait_until(lambda: site.chain.sql("SELECT count(*) FROM reading")[0][0] >= len(fleet.ledger.sent), 60, "stored")
        before = most = site.chain.memory_mb()
        site.database.stop()
        begun = time.monotonic()
        fleet.resume()

        def all_told() -> bool:
            nonlocal most
            now = site.chain.memory_mb()
            most = {name: max(mb, now[name]) for name, mb in most.items()}
            return fleet.all_said and not fleet.waiting

        wait_until(all_told, 600, "the whole hour is journalled while the database is away")
        away = time.monotonic() - begun
        site.database.start()
        back = time.monotonic()
        busy_machine(busy)
        newest = {name: start + timedelta(minutes=hour + 1, milliseconds=i) for i, name in enumerate(names)}

        def newest_visible() -> bool:
            all_told()
            rows = site.chain.sql("SELECT device_id, observed_at FROM latest_reading JOIN deployment USING (sensor_id)")
            return all(newest[name] == at for name, at in rows if name in newest)

        wait_until(newest_visible, 400, "the newest value of every sensor is visible")
        visible = time.monotonic() - back
        ((stored_then,),) = site.chain.sql("SELECT count(*) FROM reading")
        total = sensors * (hour + 2)

        def drained() -> bool:
            all_told()
            return bool(site.chain.sql("SELECT count(*) FROM reading")[0][0] >= total)

        wait_until(drained, 1000, "the history is stored")
        drain = time.monotonic() - back
        site.stored_all(fleet, 60)
        stored, _ = site.check(fleet)
    grown = {name: round(most[name] - before[name], 1) for name in SERVICES}
    print(
        f"database away{BUSY * busy} for {hour} min x {sensors} sensors (told in {away:.0f} s): {stored:,} "
        f"journalled, 0 lost, 0 doubled; newest of every sensor visible after {visible:.1f} s, "
        f"with {stored_then:,} stored; drained in {drain:.1f} s; memory grown by MB {grown}"
    )
    assert visible <= 10
    assert drain <= (900 if busy else 360)
    assert max(grown.values()) <= 50
    assert stored_then < total or sensors < 1000, "the newest came no earlier than the rest"


@pytest.mark.slow
def test_however_long_the_database_was_away_all_is_well_seconds_after_its_return(
    site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of(*SERVICES, KAWAMORI_GATEWAY__RESEND_AFTER="PT3S")
    with site.fleet(site.register(20), rate=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        site.database.stop()
        away = time.monotonic() + 70  # long enough for a back-off that doubles without end
        wait_until(lambda: time.monotonic() > away, 90, "the database is away for a while")
        site.database.start()
        at = datetime.now(UTC)
        flowing = site.flowing(at, 60, "after the database's return")
        wait_until(lambda: all(map(site.chain.ready, SERVICES)), 60, "all are ready again")
        healthy = (datetime.now(UTC) - at).total_seconds()
        site.stored_all(fleet, 60)
        site.check(fleet)
    print(f"database away for 70 s: flowing {flowing:.1f} s after its return, all services ready after {healthy:.1f} s")
    assert max(flowing, healthy) <= 15


@pytest.mark.parametrize("times", [pytest.param(1, id="quick"), pytest.param(6, id="full", marks=pytest.mark.slow)])
def test_sessions_and_servers_that_die_under_load_cost_nothing(times: int, site_of: Callable[..., Any]) -> None:
    site = site_of(*SERVICES)

    def end_sessions() -> None:
        site.chain.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'kawamori-%'"
        )

    def kill_a_session() -> None:
        """kill -9 of one backend: PostgreSQL ends all the others and recovers."""
        pids = site.chain.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'kawamori-ingest'")
        os.kill(site.chance.choice(pids)[0], signal.SIGKILL)

    ways = {
        "pg_terminate_backend": end_sessions, "kill -9 of a backend": kill_a_session,
        "immediate restart": site.immediate_restart_of_database,
    }  # fmt: skip
    took: dict[str, list[float]] = {way: [] for way in ways}
    with site.fleet(site.register(40), rate=200, bad_every=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        for n in range(times):
            for way, strike in ways.items():
                site.talk(fleet, 1, 300)
                at = datetime.now(UTC)
                strike()
                took[way].append(site.flowing(at, 40, f"after {way} no. {n + 1}"))
        site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    figures = "; ".join(f"{way}: {statistics.median(s):.1f} s median, {max(s):.1f} s worst" for way, s in took.items())
    print(
        f"database x{times} each: {stored:,} journalled, {refused} refused, 0 lost, 0 doubled; flowing after {figures}"
    )
    assert max(map(max, took.values())) <= 15


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A server and its children exist and do nothing: their lines stay open."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


class Pulse(threading.Thread):
    """A screen that notes when it heard each heartbeat, and what that said is wrong with alerting."""

    def __init__(self, api: str) -> None:
        super().__init__(name="pulse", daemon=True)
        self._stream = urllib.request.urlopen(f"{api}/api/v1/stream", timeout=30)
        self.heard: list[tuple[float, list[str]]] = []

    def run(self) -> None:
        heartbeat = False
        for line in self._stream:
            if heartbeat and line.startswith(b"data: "):
                self.heard.append((time.monotonic(), json.loads(line[6:])["alerting"]["why"]))
            heartbeat = line.startswith(b"event: heartbeat")

    @property
    def ill(self) -> bool:
        return bool(self.heard) and "database" in self.heard[-1][1]


def test_a_database_that_freezes_is_told_within_seconds_and_all_is_well_seconds_after_it_thaws(
    site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of("api")
    site.register(10)
    api = site.chain.url("api")
    wait_until(lambda: site.chain.ready("api"), 20, "the API is ready")

    def ask(path: str) -> tuple[int, float]:
        begun = time.monotonic()
        try:
            with urllib.request.urlopen(f"{api}{path}", timeout=30) as answer:
                return answer.status, time.monotonic() - begun
        except urllib.error.HTTPError as error:
            return error.code, time.monotonic() - begun

    paths = ["/lite", "/api/v1/levels/latest", "/api/v1/alerts", "/api/v1/system"] * 6
    pulse = Pulse(api)
    pulse.start()
    with ThreadPoolExecutor(len(paths)) as crowd:
        assert {status for status, _ in crowd.map(ask, paths)} == {200}  # the pool has grown
        caught = [crowd.submit(ask, path) for path in paths]
        with frozen(site.database.pid):
            told = list(crowd.map(ask, paths)) + list(crowd.map(ask, paths))
            wait_until(lambda: pulse.ill, 15, "screens are told that the database does not answer")
        thawed = time.monotonic()
        wait_until(lambda: not pulse.ill and site.chain.ready("api"), 15, "all is well after the thaw")
        well = time.monotonic() - thawed
        back = list(crowd.map(ask, paths)) + list(crowd.map(ask, paths))
    beats = [at for at, _ in pulse.heard]
    gap = max(later - earlier for earlier, later in pairwise(beats))
    slowest = max(took for _, took in told + [one.result() for one in caught])
    print(
        f"database frozen: {len(told)} questions answered 503 within {slowest:.1f} s, heartbeats at most {gap:.1f} s"
        f" apart; thawed: well after {well:.1f} s, then the slowest answer {max(took for _, took in back):.1f} s"
    )
    kept = {path for path, (status, _) in zip(paths * 2, told, strict=True) if status != 503}
    assert kept <= {"/api/v1/system"}, "which is kept for two seconds"
    assert {status for status, _ in told[len(paths) :]} == {503}
    assert {one.result()[0] for one in caught} <= {200, 503}
    assert slowest <= 10
    assert gap <= 10
    assert {status for status, _ in back} == {200}
    assert max(took for _, took in back) <= 5
