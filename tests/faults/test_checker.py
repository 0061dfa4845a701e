"""The checker sees what it is there to see: a harness that cannot fail proves nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

pytestmark = [pytest.mark.faults]

#: What would be wrong, the SQL that makes it so, and what the checker must say.
WRONGS: dict[str, tuple[str, str]] = {
    "a reading is lost": (
        "DELETE FROM reading r WHERE observed_at = (SELECT min(observed_at) FROM reading)",
        "acknowledged readings are lost",
    ),
    "a reading was never sent": (
        (
            "INSERT INTO reading SELECT sensor_id, observed_at - interval '1 hour', value, flag, reasons, received_at"
            " FROM reading LIMIT 1"
        ),
        "nobody sent",
    ),
    "a value is another": (
        "UPDATE reading SET value = value + 0.001 WHERE observed_at = (SELECT min(observed_at) FROM reading)",
        "another value",
    ),
    "an hour counts one reading twice": ("UPDATE reading_hour SET n = n + 1", "reading_hour"),
    "a day's sum is off by a millionth": ("UPDATE reading_day SET sum_micro = sum_micro + 1", "reading_day"),
    "the latest reading is an old one": (
        "UPDATE latest_reading SET observed_at = observed_at - interval '1 s'",
        "latest_reading",
    ),
    "a refused message is gone": (
        "DELETE FROM quarantine WHERE quarantine_id = (SELECT min(quarantine_id) FROM quarantine)",
        "not in quarantine",
    ),
    "a good message was refused": (
        (
            "INSERT INTO quarantine (received_at, topic, reason, payload, gateway_id)"
            " VALUES (now(), 'kawamori/v1/device/d0000/reading', 'no reason', 'good', 'g')"
        ),
        "not bad",
    ),
    "a refused message is there twice": (
        (
            "INSERT INTO quarantine (received_at, topic, reason, payload, gateway_id)"
            " SELECT now(), topic || '/', reason, payload, gateway_id FROM quarantine LIMIT 1"
        ),
        "twice",
    ),
}


def test_the_checker_finds_what_is_lost_doubled_or_wrong(site_of: Callable[..., Any]) -> None:
    site = site_of("gateway", "ingest")
    with site.fleet(site.register(5), rate=300, bad_every=20) as fleet:
        fleet.say("d0001", (datetime.now(UTC) - timedelta(days=1), 1.5), bad=[{"quantity": "%"}])
        fleet.say_garbage("d0002", b"\xff garbage")
        site.talk(fleet, 200, 200)
        site.stored_all(fleet, 60)
        site.check(fleet)  # nothing is wrong yet
        for what, (sql, complaint) in WRONGS.items():
            with psycopg.connect(site.chain.database_url) as connection:
                connection.execute(sql)
                with pytest.raises(AssertionError, match=complaint):
                    site.check(fleet, sql=lambda text: connection.execute(text).fetchall())
                connection.rollback()
            print(f"seen: {what}")
        site.check(fleet)
