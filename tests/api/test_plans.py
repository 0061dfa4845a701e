# ruff: noqa: E501 - SQL reads best unbroken
"""Every query of the read side finds its rows by an index, with a million readings stored."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from kawamori.storage.database import queries, query
from kawamori.storage.page_keys import FIRST, LARGEST_ID, LAST

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
START = datetime(2025, 7, 1, tzinfo=UTC)
END = START + timedelta(days=365)
DAY = {
    "sensor": 7, "start": END - timedelta(days=1), "end": END, "limit": 2001, "time_zone": "Asia/Tokyo",
    "shift": timedelta(0),
}  # fmt: skip
#: Every query of the read side (`READ_SIDE`) but `latest_levels`, which wants all rows of a small table; and what ingest reads.
HOT = {
    "recent_levels": {"start": END - timedelta(hours=6), "end": END},
    "recent_rise": {"sensors": [3, 7], "start": END - timedelta(hours=1), "end": END},
    "links": {},
    "intake": {"limit": 20_000},
    "quarantine_facts": {"now": END, "limit": 20_000},
    "raw_readings": DAY,
    "ten_minute_readings": DAY,
    "hourly_readings": DAY,
    "daily_readings": DAY,
    "weekly_readings": DAY,
    "count_raw_readings": DAY,
    "count_hourly_readings": DAY,
    "alerts_page": {
        "start": FIRST, "end": LAST, "before": LAST, "before_id": LARGEST_ID, "state": None, "station": None, "limit": 101,
        "river": None, "kind": None, "status": None, "min_level": 0, "shelved": [1, 2], "untils": [END, END],
    },
    "alerts_by_id": {"ids": [1, 2, 3], "shelved": [1, 2], "untils": [END, END]},
    "incidents_page": {"before_id": LARGEST_ID, "open": None, "limit": 101},
    "audit_page": {"start": FIRST, "end": LAST, "subject": None, "subject_id": None, "before_id": LARGEST_ID, "limit": 101},
    "audit_of_alert": {"alert": 7, "limit": 1000},
    "internal_alerts": {"ids": [1, 2, 3]},
    "notifications_page": {"before_id": LARGEST_ID, "limit": 101},
    "notifications_by_id": {"ids": [1, 2, 3]},
    "notifications_of_alert": {"alert": 7, "limit": 1000},
    "quarantine_page": {"device": None, "before_id": LARGEST_ID, "limit": 101, "most": 4096},
    "quarantine_payload": {"id": 7},
    "newest_in_spans": {
        "sensors": [3, 7], "starts": [END - timedelta(hours=1)] * 2, "ends": [END] * 2,
        "earliest": END - timedelta(hours=1), "latest": END, "each": 50,
    },
    "trusted_before": {
        "sensors": [3, 7], "before": [END] * 2, "earliest": END - timedelta(days=30), "latest": END,
    },
    "recent_readings": {"sensors": [3, 7], "earliest": END - timedelta(days=30), "latest": END, "limit": 20},
    "readings_around": {
        "sensors": [3, 7], "starts": [END - timedelta(hours=1)] * 2, "ends": [END] * 2,
        "earliest": END - timedelta(days=30), "latest": END,
    },
    "missed_after": {"xid": "1000", "batch_id": 5, "each": 50, "limit": 5000},
    "alert_changes_after": {"xid": "17000", "audit_id": 0, "limit": 5000},
    "alerting_state": {},
    "told_of_alert": {"alert": 7},
    "newest_told": {"status": "actual", "limit": 100},
    "chronology_of_audit": {"start": END - timedelta(days=1), "end": END, "station": None, "river": None, "limit": 20_000},
    "newest_alert_change": {},
    "claim_notifications": {"channel": "log", "busy": ["a"], "each": 8, "limit": 32, "length": timedelta(seconds=15)},
    "channels_due": {},
    "claim_strays": {"channels": ["log", "smtp"], "length": timedelta(seconds=15)},
    "need_not": {"id": 7},
    "messages_stuck": {
        "after": timedelta(seconds=60), "contacts": ["duty"], "channels": ["smtp"], "recipients": ["duty@city.example"],
    },
    "changes_after": {"xid": "1000", "batch_id": 5, "limit": 64},
    "newest_change": {},
}  # fmt: skip


SMALL = {
    "latest_reading", "station", "sensor", "gateway", "process", "silence", "contact", "lease", "feed_cursor",
}  # fmt: skip


@pytest.fixture(scope="module")
def full(rows):
    for n in range(20):
        rows.station(f"s{n}")
    series = (
        "SELECT s, at FROM generate_series(1, 20) s, generate_series(%s::timestamptz, %s::timestamptz, %s::interval) at"
    )
    for text, step in (
        ("INSERT INTO reading SELECT s, at, 1, 1, 0, at FROM ({}) x", "10 minutes"),
        ("INSERT INTO reading_hour SELECT s, at, 6, 6000000, 1, 1 FROM ({}) x", "1 hour"),
        ("INSERT INTO reading_day SELECT s, at, 144, 144000000, 1, 1 FROM ({}) x", "1 day"),
    ):
        rows.sql(text.format(series), START, END, step)
    rows.sql(
        "INSERT INTO alert (station_id, sensor_id, flood_level, threshold_m, state, started_at, ended_at, value_m, peak_m,"
        " verified, retroactive) SELECT 's1', 2, 1, 1, 'resolved', at, at, 1, 1, true, false"
        " FROM generate_series(%s::timestamptz, %s::timestamptz, '30 minutes') at",
        START, END,
    )  # fmt: skip
    rows.sql(
        "INSERT INTO incident (topic, status, opened_at, closed_at) SELECT 'flood', 'actual', started_at, started_at FROM alert"
    )
    rows.sql("UPDATE alert SET incident_id = alert_id")
    rows.sql(
        "INSERT INTO audit (who, subject, subject_id, alert_id, event, at, xid)"
        " SELECT 'kawamori', 'alert', alert_id::text, alert_id, 'raised', started_at, alert_id::text::xid8 FROM alert"
    )
    rows.sql(
        "INSERT INTO audit (who, subject, subject_id, event) VALUES ('kawamori', 'alerting', 'self_test', 'self_test_passed')"
    )
    rows.sql("INSERT INTO announcement (alert_id, event, told_at) SELECT alert_id, 'raised', started_at FROM alert")
    rows.sql(
        "INSERT INTO notification (alert_id, incident_id, channel, recipient, event, idempotency_key, subject, body, delivered_at)"
        " SELECT alert_id, alert_id, 'log', 'duty', 'raised', alert_id::text, 's', 'b', now() FROM alert"
    )
    rows.sql(
        "INSERT INTO attempt (notification_id, outcome, answer) SELECT notification_id, 'delivered', '' FROM notification"
    )
    rows.sql(
        "INSERT INTO quarantine (received_at, topic, reason, payload, gateway_id)"
        " SELECT %s, 't', 'r', n::text::bytea, 'g' FROM generate_series(1, 20000) n",
        START,
    )
    rows.sql(
        "INSERT INTO ingest_batch (xid, readings, sensor_ids, starts, ends)"
        " SELECT n::text::xid8, 1, '{1}', ARRAY[now()], ARRAY[now()] FROM generate_series(1, 20000) n"
    )
    rows.sql("ANALYZE")
    assert rows.sql("SELECT count(*) FROM reading")[0][0] > 1_000_000
    return rows


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_never_scans_a_table(full, name):
    with psycopg.connect(full.url) as connection:
        (answer,) = connection.execute(f"EXPLAIN (FORMAT JSON) {query(name)}", HOT[name]).fetchone()
    plan = list(nodes(answer[0]["Plan"]))
    scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    # a row a sensor, a station, a contact …: here they are smaller than their indexes
    assert scanned <= SMALL
    read = {node["Relation Name"] for node in plan if "Relation Name" in node}
    assert read <= SMALL or any("Index" in node["Node Type"] for node in plan)
    for node in plan:  # by time alone the whole index of a chunk would be read
        if node.get("Relation Name", "").startswith("_hyper"):
            assert "sensor_id" in node.get("Index Cond", node.get("Recheck Cond", ""))


IN_A_SPAN = [
    "raw_readings", "ten_minute_readings", "count_raw_readings", "newest_in_spans", "recent_levels", "recent_rise",
]  # fmt: skip


@pytest.mark.parametrize("name", IN_A_SPAN)
def test_a_span_visits_only_its_own_chunks(full, name):
    with psycopg.connect(full.url) as connection:
        (answer,) = connection.execute(f"EXPLAIN (FORMAT JSON) {query(name)}", HOT[name]).fetchone()
    chunks = [n for n in nodes(answer[0]["Plan"]) if n.get("Relation Name", "").startswith("_hyper")]
    assert 1 <= len(chunks) <= 2


READ_SIDE = (
    "levels", "charts", "alert_pages", "incident_pages", "audit_pages", "notifications", "quarantine_pages", "news",
)  # fmt: skip


def test_every_query_of_the_read_side_is_held_against_its_plan():
    from importlib.resources import files

    folder = files("kawamori.storage").joinpath("queries")
    text = "\n".join(folder.joinpath(f"{topic}.sql").read_text("utf-8") for topic in READ_SIDE)
    names = [name for name in queries() if f"-- name: {name}\n" in text]
    assert set(names) - set(HOT) == {"latest_levels"}
