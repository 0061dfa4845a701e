"""Disks fill up: the journal's, and the database's. A full one stops acknowledgements; it loses none."""

import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

MIB = 1024 * 1024
JOURNAL_DISK = 10
#: Messages stop between this and the alarm at 85 % of the disk, twice the largest commit between the two.
KEEP_FREE = MIB


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many MiB, in memory; skips where that is not permitted."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = Path(tempfile.mkdtemp(prefix="kawamori-disk-", dir="/var/tmp"))  # a short name: a socket lives in it
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0777", "tmpfs", place], capture_output=True, text=True
        )
        if done.returncode:
            place.rmdir()
            pytest.skip(f"no disk of a given size here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


def troubles(chain: Any, name: str) -> str:
    """What the service says of itself."""
    try:
        with urllib.request.urlopen(f"{chain.url(name)}/readyz", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def say_much(fleet: Any, names: list[str], start: datetime, minute: int) -> int:
    """Every device says 50 readings from that minute on, in one message; returns the minute after them."""
    for name in names:
        fleet.say(name, *((start + timedelta(minutes=minute + n), 1.5) for n in range(50)))
    return minute + 50


@pytest.mark.parametrize("times", [pytest.param(1, id="quick"), pytest.param(5, id="full", marks=pytest.mark.slow)])
def test_a_full_journal_disk_stops_acknowledging_before_it_is_full_and_loses_nothing(
    times: int, small_disk: Callable[[int], Path], site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    disk = small_disk(JOURNAL_DISK)
    site = site_of(
        "gateway", "ingest", KAWAMORI_GATEWAY__JOURNAL=str(disk / "journal.db"),
        KAWAMORI_GATEWAY__JOURNAL_KEEP_FREE=str(KEEP_FREE),
    )  # fmt: skip
    names = site.register(20)
    start, said, alarms, emptiest, recovered = datetime.now(UTC) - timedelta(days=300), 0, [], JOURNAL_DISK * MIB, []
    with site.fleet(names, rate=0) as fleet:
        for _ in range(times):
            site.flowing(datetime.now(UTC), 30, "while the disk has room")
            wait_until(lambda: "used" not in troubles(site.chain, "gateway"), 10, "the last alarm has ended")
            site.database.stop()
            alarm_at = full_since = None
            told, moved = len(fleet.ledger.told), time.monotonic()
            deadline = time.monotonic() + 90
            while full_since is None:
                assert time.monotonic() < deadline, "the journal's disk never got full"
                if fleet.waiting < 40:
                    said = say_much(fleet, names, start, said)
                time.sleep(0.02)
                usage = shutil.disk_usage(disk)
                emptiest = min(emptiest, usage.free)
                if alarm_at is None and "used" in troubles(site.chain, "gateway"):
                    alarm_at = usage.used / usage.total
                if len(fleet.ledger.told) > told:
                    told, moved = len(fleet.ledger.told), time.monotonic()
                elif fleet.waiting and time.monotonic() - moved > 3:
                    full_since = moved
            alarms.append(alarm_at)
            assert "free" in troubles(site.chain, "gateway")
            for _ in range(10):  # what waits comes in one commit of more than half of what is kept free
                said = say_much(fleet, names, start, said)
            site.chain.kill("gateway")  # a full disk must not keep it from starting either
            site.chain.launch("gateway")
            site.database.start()
            recovered.append(site.flowing(datetime.now(UTC), 60, "after the database took the backlog"))
        site.stored_all(fleet, 120)
        stored, _ = site.check(fleet)
    log = site.chain.last_words(10_000_000)
    print(
        f"journal's disk full x{times}: {stored:,} journalled, 0 lost, 0 doubled; alarm at "
        f"{max(a or 1 for a in alarms):.0%} used at the latest, nothing acknowledged below {KEEP_FREE // 1024} KiB "
        f"free, least free {emptiest // 1024} KiB; flowing {max(recovered):.1f} s after the database's return at worst"
    )
    assert "is full" not in log
    assert emptiest > 0
    assert all(a is not None and 0.84 <= a <= 0.90 for a in alarms), f"alarm at 85 %, not at {alarms}"


@pytest.mark.parametrize("times", [pytest.param(1, id="quick"), pytest.param(5, id="full", marks=pytest.mark.slow)])
def test_a_full_database_disk_loses_nothing(
    times: int, small_disk: Callable[[int], Path], site_of: Callable[..., Any], wait_until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    disk = small_disk(512)
    with monkeypatch.context() as patch:
        patch.setenv("TMPDIR", str(disk))
        site = site_of("gateway", "ingest")
    assert disk in site.database.folder.parents
    took, ballast = [], disk / "ballast"
    with site.fleet(site.register(20), rate=200, bad_every=50) as fleet:
        for n in range(times):
            site.flowing(datetime.now(UTC), 30, "while the disk has room")
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(64 * 1024))

            def refused() -> bool:
                with suppress(psycopg.Error):
                    site.chain.sql("SELECT pg_switch_wal()")  # the next segment of the log needs room
                return "database" in troubles(site.chain, "ingest")

            wait_until(refused, 60, "the database's disk is full")
            site.talk(fleet, 200, 600)
            ballast.unlink()
            at = datetime.now(UTC)
            site.database.start()  # as a service manager does, if it went down
            took.append(site.flowing(at, 60, f"after the disk has room again, no. {n + 1}"))
        site.stored_all(fleet, 60)
        stored, bad = site.check(fleet)
    print(
        f"database's disk full x{times}: {stored:,} journalled, {bad} refused, 0 lost, 0 doubled; flowing "
        f"{max(took):.1f} s after there is room, at worst"
    )
    assert max(took) <= 30
