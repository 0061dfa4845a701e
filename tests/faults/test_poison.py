"""What no device should send: it goes to quarantine at once with its bytes, and its neighbours do not notice."""

import os
import random
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from kawamori.wire import LARGEST_KEPT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def poisons(payload: Callable[..., bytes]) -> dict[str, tuple[str, bytes]]:
    """Device and payload of everything that has ever stopped a feed, here or elsewhere."""
    now = datetime.now(UTC).isoformat()
    good = payload(now, 1.0)
    letters = random.Random(7)
    long_name = "".join(letters.choices(string.ascii_letters + string.digits, k=9000))
    return {
        "not JSON": ("d0000", b"\xff\xfe\x00 garbage"),
        "empty": ("d0000", b""),
        "a list": ("d0000", b"[]"),
        "deep": ("d0000", b"[" * 100_000),
        "unknown field with a NUL": ("d0000", good[:-1] + b',"a\\u0000b":1}'),
        "unknown field of 60 kB": ("d0000", good[:-1] + b',"' + long_name.encode() * 7 + b'":1}'),
        "lone surrogate": ("d0000", good[:-1] + b',"\\ud800":1}'),
        "quantity with a NUL": ("d0000", payload(now, 1.0, quantity="a\0b")),
        "year 1": ("d0000", payload("0001-01-01T00:00:00+14:00", 1.0)),
        "year 9999": ("d0000", payload("9999-12-31T23:59:59-14:00", 1.0)),
        "endless number": ("d0000", good.replace(b"1.0", b"9" * 10_000)),
        "unknown device": ("nobody", good),
        "device with an endless name": (long_name, good),
        "a megabyte": ("d0000", os.urandom(1_000_000)),
        "fifteen megabytes": ("d0000", os.urandom(15_000_000)),
    }


@pytest.mark.parametrize(
    "readings", [pytest.param(10_000, id="quick"), pytest.param(60_000, id="full", marks=pytest.mark.slow)]
)
def test_poison_among_thousands_is_quarantined_at_once_and_harms_nobody(
    readings: int, site_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    chain = site.chain
    names = site.register(100)
    client = chain.client()
    delays = {}
    with site.fleet(names, rate=1000) as fleet, psycopg.connect(chain.database_url, autocommit=True) as watching:

        def kept_so_far() -> int:
            (count,) = watching.execute("SELECT count(*) FROM quarantine").fetchone() or (0,)
            return int(count)

        site.flowing(datetime.now(UTC), 20, "at the start")
        goal = readings // (len(poisons(payload)) + 1)
        for what, (device, body) in poisons(payload).items():
            site.talk(fleet, goal, goal)
            before = kept_so_far()
            begun = time.monotonic()
            client.publish(f"kawamori/v1/device/{device}/reading", body, qos=1)
            wait_until(lambda before=before: kept_so_far() > before, 20, f"{what} is in quarantine")
            delays[what] = time.monotonic() - begun
            ((kept, reason),) = chain.sql("SELECT payload, reason FROM quarantine ORDER BY quarantine_id DESC LIMIT 1")
            assert bytes(kept) == body[: len(kept)]
            assert len(kept) == min(len(body), LARGEST_KEPT)
            assert reason.split(":")[0] in {"message", "time", "quantity", "device", "unit", "value"}
            assert "\ufffd" not in reason
            assert "garbage" not in reason
        site.stored_all(fleet, 30)
    client.disconnect()
    client.loop_stop()
    rows = {(d, at): v for d, at, v in chain.sql(
        "SELECT device_id, observed_at, value FROM reading JOIN deployment USING (sensor_id)")}  # fmt: skip
    ledger = fleet.ledger
    assert rows == ledger.sent
    assert ledger.told.keys() == ledger.sent.keys()
    assert refused(chain) == len(delays)
    slowest = max(delays, key=lambda what: delays[what] if what != "fifteen megabytes" else 0)
    print(
        f"poison: {len(delays)} kinds among {len(rows)} readings at 1,000/s: all in quarantine, the slowest ({slowest})"
        f" after {delays[slowest]:.2f} s, 15 MB of noise after {delays['fifteen megabytes']:.2f} s; no neighbour lost"
    )
    assert delays[slowest] <= (1 if readings > 10_000 else 5)


def refused(chain: Any) -> int:
    return int(chain.sql("SELECT count(*) FROM quarantine")[0][0])


def test_a_status_that_cannot_be_stored_does_not_take_its_reading_along(
    site_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    site.register(3)
    at = datetime.now(UTC) - timedelta(seconds=1)
    site.chain.publish(
        [(f"d{n:04d}", payload(at.isoformat(), 1.5, status={"note": note})) for n, note in enumerate(["a", "\0", "b"])]
    )
    wait_until(lambda: site.chain.sql("SELECT count(*) FROM reading") == [(3,)], 20, "all three readings are stored")
    wait_until(lambda: refused(site.chain) == 1, 10, "the status is in quarantine")
    assert site.chain.sql("SELECT device_id, status->>'note' FROM device_status ORDER BY 1") == [
        ("d0000", "a"), ("d0002", "b"),
    ]  # fmt: skip
    ((device, reason, kept),) = site.chain.sql("SELECT device_id, reason, payload FROM quarantine")
    assert (device, reason.split(":")[0], bytes(kept)) == ("d0001", "status", b'{"note": "\\u0000"}')
