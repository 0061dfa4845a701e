"""Quarantine is bounded by age and, for a device that floods it, by size; what is young and small stays."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from kawamori.storage.retention import QuarantineLimits, retain

pytestmark = pytest.mark.integration
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_quarantine_lets_go_of_what_is_old_and_of_what_one_device_fills(fresh_database_url):
    def put(device, days, size, reason="value: x", count=1):
        with psycopg.connect(fresh_database_url) as connection:
            connection.execute(
                "INSERT INTO quarantine (received_at, topic, device_id, reason, payload, gateway_id)"
                " SELECT %s, 't', %s, %s, convert_to(lpad(%s || n::text, %s, 'x'), 'UTF8'), 'g'"
                " FROM generate_series(1, %s) n",
                (NOW - timedelta(days=days), device, reason, f"{device} {days} {reason} ", size, count),
            )

    put("calm", 100, 50)
    put("calm", 20, 50)
    put("calm", 1, 50)
    put("flood", 1, 100_000, count=30)
    put(None, 20, 3_000_000, reason="gateway: not registered")
    limits = QuarantineLimits(age=timedelta(days=1), bytes_each=1_000_000)  # nothing younger than 14 days goes by age
    found = {"now": NOW, "raw": timedelta(days=3653), "feed": timedelta(days=14), "quarantine": limits}
    assert retain(fresh_database_url, **found, dry_run=True).quarantine == 3 + 20
    assert retain(fresh_database_url, **found).quarantine == 3 + 20
    with psycopg.connect(fresh_database_url) as connection:
        left = connection.execute("SELECT device_id, count(*) FROM quarantine GROUP BY 1 ORDER BY 1").fetchall()
    assert left == [("calm", 1), ("flood", 10)]
