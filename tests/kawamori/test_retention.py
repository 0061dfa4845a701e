"""What is kept beside the readings is bounded: quarantine by age and size, statements and totals by age."""

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


def test_statements_and_totals_go_with_their_readings_but_for_each_counters_newest(fresh_database_url):
    old, young = NOW - timedelta(days=500), NOW - timedelta(days=100)
    with psycopg.connect(fresh_database_url) as connection:
        for at in (old, young):
            connection.execute(
                "INSERT INTO reading_statement VALUES (1, %s, 'd', 1.0, %s, false)", (at, at)
            )  # fmt: skip
        for device, at in (("gone", old - timedelta(days=1)), ("gone", old), ("there", old), ("there", young)):
            connection.execute("INSERT INTO counter_total VALUES (1, %s, %s, 5.0, %s, false, %s)", (device, at, at, at))
    retain(fresh_database_url, now=NOW, raw=timedelta(days=365), feed=timedelta(days=14), settle=timedelta(0))
    with psycopg.connect(fresh_database_url) as connection:
        assert connection.execute("SELECT observed_at FROM reading_statement").fetchall() == [(young,)]
        found = connection.execute("SELECT device_id, observed_at FROM counter_total ORDER BY 1").fetchall()
    assert found == [("gone", old), ("there", young)]
