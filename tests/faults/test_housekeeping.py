"""Old readings are let go of, and the schema is changed, while devices report: nobody waits long, nothing is lost."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from kawamori.storage.database import query
from kawamori.storage.migrate import Migration, migrate, migrations
from kawamori.storage.retention import MARGIN, retain

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

KEEP = timedelta(days=60)
RATE = 300
#: Ingest looks at the registry every 5 s: until then it would still store what is older than what is kept.
SETTLE = timedelta(seconds=6)


@contextmanager
def held(url: str, text: str, *parameters: Any, seconds: float) -> Iterator[None]:
    """Somebody reads in a transaction, and is slow to end it: a report, a backup."""
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(text, parameters or None)
            reading.set()
            done.wait(seconds)

    with ThreadPoolExecutor(1) as own:
        future = own.submit(read)
        assert reading.wait(20)
        try:
            yield
        finally:
            done.set()
            future.result()


class Reader(threading.Thread):
    """Asks for the history of old sensors again and again, and remembers the longest wait."""

    def __init__(self, url: str, sensors: list[int], start: datetime, end: datetime) -> None:
        super().__init__(name="reader")
        self._url, self._sensors, self._start_at, self._end_at = url, sensors, start, end
        self.ending = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            number = 0
            while not self.ending.wait(0.01):
                number += 1
                bounds = {"sensor": self._sensors[number % len(self._sensors)], "start": self._start_at,
                          "end": self._end_at, "limit": 10_000}  # fmt: skip
                begun = time.monotonic()
                connection.execute(query("raw_readings"), bounds).fetchall()
                self.waits.append(time.monotonic() - begun)


def longest_gap(chain: Any, start: datetime, end: datetime) -> float:
    """The longest time without a commit, in seconds: what a writer had to wait."""
    ((gap,),) = chain.sql(
        "SELECT max(extract(epoch FROM gap)) FROM (SELECT committed_at - lag(committed_at) OVER (ORDER BY committed_at)"
        " AS gap FROM ingest_batch WHERE committed_at BETWEEN %s AND %s) gaps", start, end,
    )  # fmt: skip
    return float(gap)


def fill(chain: Any, devices: list[str], start: datetime, end: datetime, step: timedelta) -> list[int]:
    """Years of readings and hours of these devices' sensors; returns the sensors."""
    sensors = [s for (s,) in chain.sql("SELECT sensor_id FROM deployment WHERE device_id = ANY(%s)", devices)]
    with psycopg.connect(chain.database_url) as connection:
        connection.execute(
            "INSERT INTO reading SELECT s, at, 1, 1, 0, at FROM unnest(%s::integer[]) s,"
            " generate_series(%s::timestamptz, %s::timestamptz, %s::interval) at", (sensors, start, end, step),
        )  # fmt: skip
        connection.execute(
            "INSERT INTO reading_hour SELECT sensor_id, date_trunc('hour', observed_at), count(*), count(*) * 1000000,"
            " 1, 1 FROM reading WHERE sensor_id = ANY(%s) GROUP BY 1, 2", (sensors,),
        )  # fmt: skip
    return sensors


@pytest.mark.parametrize(
    ("days", "step", "held_for"),
    [
        pytest.param(200, timedelta(minutes=30), 4, id="quick"),
        pytest.param(800, timedelta(minutes=10), 15, id="full", marks=pytest.mark.slow),
    ],
)
def test_old_readings_go_while_devices_report_and_people_read(
    days: int, step: timedelta, held_for: float, site_of: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest", "alerts", KAWAMORI_INGEST__OLDEST="P3653D")
    chain = site.chain
    names = site.register(40)
    now = datetime.now(UTC)
    old = now - timedelta(days=days)
    sensors = fill(chain, names[20:], old, now, step)
    ((hours,),) = chain.sql("SELECT count(*) FROM reading_hour WHERE sensor_id = ANY(%s)", sensors)
    ((oldest_kept,),) = chain.sql("SELECT min(observed_at) FROM reading WHERE observed_at >= %s", now - KEEP - MARGIN)
    reader = Reader(chain.database_url, sensors, old, now)
    with site.fleet(names[:20], rate=RATE) as fleet:
        site.flowing(datetime.now(UTC), 60, "at the start")
        reader.start()
        try:
            would = retain(chain.database_url, now=now, raw=KEEP, feed=timedelta(days=1), dry_run=True)
            begun = datetime.now(UTC)
            report = "SELECT count(*) FROM reading WHERE observed_at < %s"
            with held(chain.database_url, report, old + timedelta(days=1), seconds=held_for):
                done = retain(chain.database_url, now=now, raw=KEEP, feed=timedelta(days=1), settle=SETTLE)
            ended = datetime.now(UTC)
            site.flowing(ended, 10, "after old readings went")
        finally:
            reader.ending.set()
            reader.join()
        fleet.say(names[0], bad=[{"time": (now - KEEP - timedelta(days=1)).isoformat(), "quantity": "water_level",
                                  "value": 1.0, "unit": "m"}])  # fmt: skip
        fleet.finish(30)
    gap = longest_gap(chain, begun, ended)
    assert done.chunks == would.chunks
    assert len(done.chunks) >= (days - KEEP.days - MARGIN.days) // 7 - 1
    assert chain.sql("SELECT min(observed_at) <= %s AND min(observed_at) > %s FROM reading", oldest_kept,
                     now - KEEP - MARGIN - timedelta(days=7)) == [(True,)]  # fmt: skip
    assert chain.sql("SELECT count(*) FROM reading_hour WHERE sensor_id = ANY(%s)", sensors) == [(hours,)]
    # what the devices said is judged without the old rows, which nobody said
    forget(chain, sensors)
    site._wait_until(lambda: chain.sql("SELECT count(*) FROM quarantine")[0][0] >= 1, 10, "the old reading is refused")
    stored, _ = site.check(fleet)
    assert chain.sql("SELECT reason FROM quarantine") == [("time: older than the raw readings that are kept",)]
    pruned = retain(chain.database_url, now=datetime.now(UTC), raw=KEEP, feed=timedelta(microseconds=1))
    assert pruned.batches > 0
    assert chain.sql("SELECT count(*) > 0 FROM ingest_batch") == [(True,)]
    print(
        f"retention: {len(done.chunks)} chunks ({sum(c.size for c in done.chunks) / 1e6:.0f} MB) dropped beside"
        f" {RATE} readings/s: longest gap between commits {gap:.2f} s, longest history read {max(reader.waits):.2f} s"
        f" of {len(reader.waits)}; {stored} stored, 0 lost; {pruned.batches} rows of the feed pruned"
    )
    within = 2 if held_for > 10 else held_for - 0.5  # whoever waited for the report waited longer
    assert gap <= within
    assert max(reader.waits) <= within


def forget(chain: Any, sensors: list[int]) -> None:
    with psycopg.connect(chain.database_url) as connection:
        connection.execute("DELETE FROM reading WHERE sensor_id = ANY(%s)", (sensors,))
        connection.execute("DELETE FROM reading_hour WHERE sensor_id = ANY(%s)", (sensors,))


#: Strong locks on every table that is written for each reading.
HARMLESS = Migration(
    9999,
    "harmless",
    """
    ALTER TABLE reading ADD COLUMN remark text;
    ALTER TABLE latest_reading ADD COLUMN remark text;
    ALTER TABLE ingest_batch ADD COLUMN remark text;
    CREATE INDEX quarantine_by_device ON quarantine (device_id);
    """,
)


@pytest.mark.parametrize("seconds", [pytest.param(4, id="quick"), pytest.param(30, id="full", marks=pytest.mark.slow)])
def test_the_schema_changes_while_devices_report(seconds: float, site_of: Callable[..., Any]) -> None:
    site = site_of("gateway", "ingest", "alerts")
    chain = site.chain
    names = site.register(50)
    last = next(step for step in migrations() if step.name == "retention")
    with site.fleet(names, rate=RATE, bad_every=100) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        with psycopg.connect(chain.database_url) as connection:  # the services have read it; now it is to come again
            connection.execute("DROP TABLE retention")
            connection.execute("DELETE FROM schema_migration WHERE number = %s", (last.number,))
        begun = datetime.now(UTC)
        with held(chain.database_url, "SELECT count(*) FROM reading", seconds=seconds):
            applied = migrate(chain.database_url, [*migrations(), HARMLESS])
        ended = datetime.now(UTC)
        site.flowing(ended, 10, "after the migration")
        site.stored_all(fleet, 30)
    stored, refused = site.check(fleet)
    gap = longest_gap(chain, begun, ended)
    print(
        f"migration {', '.join(applied)} beside {RATE} readings/s and a reader that holds its tables for {seconds:g} s:"
        f" done in {(ended - begun).total_seconds():.1f} s, longest gap between commits {gap:.2f} s; {stored} stored,"
        f" {refused} refused, 0 lost"
    )
    assert applied == [f"{last.number:04}_{last.name}", "9999_harmless"]
    assert gap <= min(5, seconds - 1)


def test_what_would_go_is_said_and_stays(fresh_chain_of: Callable[..., Any]) -> None:
    chain = fresh_chain_of()
    with psycopg.connect(chain.database_url) as connection:
        connection.execute("INSERT INTO reading VALUES (1, '2010-01-07T00:00:00Z', 1, 1, 0, now())")
    command = [sys.executable, "-m", "kawamori.cli", "db", "retain", "--json", "--older-than"]
    environment = {**os.environ, **chain.environment}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], env=environment, capture_output=True, text=True)

    would = json.loads(run("P400D", "--dry-run").stdout)
    assert [c["from"] for c in would["chunks"]] == ["2010-01-07T00:00:00+00:00"]
    assert chain.sql("SELECT count(*) FROM reading, retention") == [(0,)]
    assert chain.sql("SELECT count(*) FROM reading") == [(1,)]
    wrong = run("tomorrow")
    assert (wrong.returncode, wrong.stderr) == (2, "kawamori: --older-than: must be a duration like P400D or PT12H\n")
