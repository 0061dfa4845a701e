"""Clocks that are wrong: a device's, a gateway's, an ingest's. Nothing is hidden, nothing lands in a stray chunk."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kawamori.domain.reading import Reason

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

HOURS = timedelta(hours=3)
LATE = 1
AHEAD = "time: more than 0:05:00 ahead of its arrival"
OLD = "time: older than the oldest accepted, 3653 days"


def libfaketime() -> str:
    """The library that shifts a process's clock, or a skip that says what is missing."""
    for path in (*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), Path("/usr/lib/faketime/libfaketime.so.1")):
        if path.exists():
            return str(path)
    pytest.skip("libfaketime is not installed (Debian package faketime; `deploy/setup.py test` as root installs it)")


def reading(at: datetime, value: float) -> dict[str, Any]:
    return {"time": at.isoformat(), "quantity": "water_level", "value": value, "unit": "m"}


def chunks_far_from(chain: Any, now: datetime) -> list[Any]:
    """Chunks that hold no time near now."""
    return chain.sql(
        "SELECT range_start, range_end FROM timescaledb_information.chunks WHERE hypertable_name = 'reading'"
        " AND NOT (range_start <= %s AND range_end > %s)", now + timedelta(minutes=5), now - HOURS - timedelta(hours=1),
    )  # fmt: skip


def stored(chain: Any, device: str) -> list[tuple[float, int]]:
    """(value, reasons) of what a device's sensor holds, in order of value."""
    return [(v, r) for v, r in chain.sql(
        "SELECT value, reasons FROM reading JOIN deployment USING (sensor_id) WHERE device_id = %s ORDER BY value",
        device)]  # fmt: skip


def refused(chain: Any, device: str) -> list[tuple[float, str]]:
    """(value, reason) of what a device has in quarantine, in order of value."""
    rows = chain.sql("SELECT payload, reason FROM quarantine WHERE device_id = %s", device)
    return sorted((json.loads(bytes(payload))["value"], reason) for payload, reason in rows)


def heard(site: Any, fleet: Any, count: int) -> None:
    """Wait until the devices were told that so many readings are journalled."""
    ledger = fleet.ledger
    site._wait_until(lambda: len(ledger.told) + len(ledger.bad_told) == count, 20, f"{count} readings are journalled")


def test_devices_with_wrong_clocks_are_flagged_or_refused(
    site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    fast, slow, jumping, first, last, right = site.register(6)
    now = datetime.now(UTC)
    clocks: dict[str, list[datetime]] = {
        fast: [now + HOURS + timedelta(seconds=n) for n in range(10)],
        slow: [now - HOURS + timedelta(seconds=n) for n in range(10)],
        jumping: [now + (0, 1, -1)[n % 3] * HOURS + timedelta(seconds=n / 100) for n in range(10)],
        first: [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10)],
        last: [datetime(2199, 12, 31, tzinfo=UTC) + timedelta(seconds=n) for n in range(10)],
        right: [now + timedelta(minutes=4, seconds=n) for n in range(10)],
    }
    with site.fleet([*clocks], rate=0, probe=None) as fleet:
        for device, times in clocks.items():
            for n, at in enumerate(times):
                if at > now + timedelta(minutes=5) or at.year == 1970:
                    fleet.say(device, bad=[reading(at, 1 + n / 1000)])
                else:
                    fleet.say(device, (at, 1 + n / 1000))
        heard(site, fleet, 60)
        site.stored_all(fleet, 20)
    chain = site.chain
    site.check(fleet)
    values = [1 + n / 1000 for n in range(10)]
    assert refused(chain, fast) == [(v, AHEAD) for v in values]
    # by whole hours: the second look doubts the newest one's clock once nothing newer has come for a while
    assert [(v, r & ~Reason.CLOCK) for v, r in stored(chain, slow)] == [(v, LATE) for v in values]
    assert stored(chain, jumping) == [(v, (0, None, LATE)[n % 3]) for n, v in enumerate(values) if n % 3 != 1]
    assert refused(chain, jumping) == [(v, AHEAD) for n, v in enumerate(values) if n % 3 == 1]
    assert refused(chain, first) == [(v, OLD) for v in values]
    assert refused(chain, last) == [(v, AHEAD) for v in values]
    assert stored(chain, right) == [(v, 0) for v in values]
    assert chunks_far_from(chain, now) == []
    print(
        "clocks of devices (+3 h, -3 h, jumping, 1970, 2199): 60 readings, each stored, flagged or refused as written"
    )


def test_a_gateway_whose_clock_jumps_hides_nothing(site_of: Callable[..., Any], tmp_path: Path) -> None:
    """What a gateway's clock says is held against the database's when a batch arrives: a wrong one costs nothing."""
    shift = tmp_path / "shift"
    shift.write_text("+0")
    site = site_of("ingest")
    chain = site.chain
    chain.environment |= {
        "LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": str(shift), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    chain.start("gateway")
    (device,) = site.register(1)
    now = datetime.now(UTC)
    wanted = []
    for n, by in enumerate(["+0", "+3h", "-3h", "+200y", "-30y", "+0"]):
        shift.write_text(by)
        with site.fleet([device], rate=0, probe=None) as fleet:
            for i in range(10):
                at, value = now + timedelta(seconds=n + i / 10), round(1 + n / 10 + i / 1000, 3)
                fleet.say(device, (at, value))
                wanted.append((value, 0))
            heard(site, fleet, 10)
    site._wait_until(lambda: len(stored(chain, device)) == len(wanted), 20, "everything is stored")
    assert stored(chain, device) == wanted
    assert refused(chain, device) == []
    assert chunks_far_from(chain, now) == []
    print(f"a gateway's clock (+3 h, -3 h, +200 y, -30 y): {len(wanted)} readings stored, none late, none refused")


@pytest.mark.parametrize("by", [pytest.param("-3h", id="quick"), pytest.param("+3h", marks=pytest.mark.slow)])
def test_the_clock_of_ingest_does_not_matter(by: str, site_of: Callable[..., Any]) -> None:
    site = site_of("gateway")
    chain = site.chain
    chain.environment |= {
        "LD_PRELOAD": libfaketime(), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    chain.start("ingest")
    names = site.register(5)
    with site.fleet(names, rate=200, bad_every=20) as fleet:
        site.talk(fleet, 200, 300)
        site.stored_all(fleet, 20)
    count, bad = site.check(fleet)
    assert chain.sql("SELECT DISTINCT reasons & 1 FROM reading") == [(0,)]
    assert chunks_far_from(chain, datetime.now(UTC)) == []
    print(f"ingest's clock at {by}: {count} stored, none late, {bad} refused")
