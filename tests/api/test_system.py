# ruff: noqa: E501 - SQL reads best unbroken
"""Would people be told now? And who may act."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from api.contract import schemas
from api.live.stream import HEARTBEAT_S
from api.read.system import KEPT
from kawamori.storage.system import judge

NOW = datetime(2026, 9, 1, tzinfo=UTC)
S = timedelta(seconds=1)


def judged(**change):
    facts = {
        "leader": "a",
        "until": NOW + 5 * S,
        "now": NOW,
        "waits_since": None,
        "unsent_since": None,
        "self_test": (NOW, True),
        "has_listeners": True,
        "given_up": False,
        "self_test_every": timedelta(hours=1),
    }
    return judge(**{**facts, **change})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, []), ({"until": NOW - S}, ["no_engine"]), ({"until": None, "leader": None}, ["no_engine"]),
        ({"waits_since": NOW - 10 * S}, []), ({"waits_since": NOW - 30 * S}, ["behind"]),
        ({"unsent_since": NOW - 60 * S}, []), ({"unsent_since": NOW - 180 * S}, ["unsent"]),
        ({"self_test": None}, []), ({"self_test": (NOW, False)}, ["self_test"]),
        ({"self_test": (NOW - 7200 * S, True)}, []), ({"self_test": (NOW - 7300 * S, True)}, ["self_test"]),
        ({"self_test": (NOW - 7300 * S, True), "self_test_every": None}, []),
        ({"has_listeners": False}, ["nobody"]), ({"has_listeners": None}, []), ({"given_up": True}, ["given_up"]),
        ({"until": NOW - S, "waits_since": NOW - 30 * S, "self_test": (NOW, False)}, ["no_engine", "behind", "self_test"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_alerting_is_named(change, why):
    found = judged(**change)
    assert (found.why, found.ok) == (why, not why)


def system(api):
    """How all is after this moment: an answer is kept for two seconds."""
    asked = datetime.now(UTC)
    while (found := schemas.System.model_validate_json(api.get("/system").content)).as_of < asked:
        assert datetime.now(UTC) - asked < 5 * S
        time.sleep(0.1)
    return found


def alerting(api):
    return system(api).alerting


@pytest.mark.integration
def test_nobody_leads_and_then_somebody_does(api, rows):
    assert alerting(api).why == ["no_engine"]
    rows.sql("INSERT INTO lease VALUES ('alerts', 'engine-1', 1, now() + interval '1 minute')")
    rows.sql("UPDATE gateway SET seen_at = now(), backlog = 42, set_aside = 3 WHERE gateway_id = 'gateway-1'")
    found = system(api)
    assert (found.alerting.ok, found.alerting.leader, found.alerting.last_self_test) == (True, "engine-1", None)
    assert [(g.gateway_id, g.backlog, g.alive) for g in found.gateways] == [("gateway-1", 42, True)]
    assert found.gateways[0].set_aside == 3
    assert [n.text.en.partition(" rows ")[0] for n in found.notices] == ["Gateway gateway-1 keeps 3"]
    rows.sql("UPDATE gateway SET set_aside = 0")


@pytest.mark.integration
def test_a_batch_that_nobody_evaluates_and_a_message_that_nobody_sends_are_told(api, rows):
    sensor = rows.station("weir")
    rows.sql("INSERT INTO feed_cursor VALUES ('alerts', '0', 0) ON CONFLICT DO NOTHING")
    rows.batch(sensor, [1.0], start=NOW)
    rows.sql("UPDATE ingest_batch SET committed_at = now() - interval '1 minute'")
    rows.sql(
        "INSERT INTO notification (channel, recipient, event, idempotency_key, subject, body, created_at)"
        " VALUES ('smtp', 'a@b', 'raised', 'k', 's', 'b', now() - interval '10 minutes')"
    )
    rows.sql(
        "INSERT INTO audit (who, subject, subject_id, event) VALUES ('kawamori', 'alerting', 'self_test', 'self_test_failed')"
    )
    found = alerting(api)
    assert found.why == ["behind", "unsent", "self_test"]
    assert 55 < found.behind_s < 120
    assert 590 < found.oldest_unsent_s < 700
    rows.sql(
        "INSERT INTO notification (channel, recipient, event, idempotency_key, subject, body, instead_of, delivered_at)"
        " SELECT 'line', 'u', 'raised', 'k2', 's', 'b', notification_id, now() FROM notification"
    )
    assert alerting(api).why == ["behind", "self_test"]


@pytest.mark.integration
def test_the_stream_says_so_too(api):
    with api.stream() as stream:
        stream.until(lambda e: e["event"] == "heartbeat" and "behind" in e["data"]["alerting"]["why"])


@pytest.mark.integration
def test_whether_anybody_would_be_told_and_how_old_the_self_test_is_are_said_by_who_leads(api, rows):
    rows.sql("UPDATE lease SET until = now() + interval '1 minute', has_listeners = false, self_test_every = 'PT1H'")
    rows.sql(
        "UPDATE feed_cursor SET (xid, batch_id) = (SELECT xid, batch_id FROM ingest_batch ORDER BY xid DESC, batch_id DESC LIMIT 1)"
        " WHERE follower = 'alerts'"
    )
    rows.sql("UPDATE notification SET delivered_at = now()")
    rows.sql(
        "INSERT INTO audit (at, who, subject, subject_id, event) VALUES"
        " (now() - interval '1 year', 'kawamori', 'alerting', 'self_test', 'self_test_passed')"
    )
    assert alerting(api).why == ["nobody", "self_test"]
    rows.sql("UPDATE lease SET has_listeners = true, self_test_every = NULL")
    assert alerting(api).why == []


@pytest.mark.integration
def test_a_token_is_shown_once_works_and_can_be_revoked(rows, serve_again):
    def kawamori(*words, status=0):
        environment = {**os.environ, "KAWAMORI_DATABASE_URL": rows.url}
        done = subprocess.run(
            [sys.executable, "-m", "kawamori.cli", "user", *words], env=environment, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
        return done.stdout.strip() or done.stderr.strip()

    token = kawamori("add", "田中", "--role", "manager")
    assert len(token) >= 43
    assert token not in str(rows.sql("SELECT * FROM account")) + str(rows.sql("SELECT * FROM audit"))
    assert "already" in kawamori("add", "田中", "--role", "operator", status=2)
    assert "--role" in kawamori("add", "x", "--role", "king", status=2)
    assert "NAME" in kawamori("add", " ", "--role", "manager", status=2)
    assert json.loads(kawamori("list", "--json"))[0]["name"] == "田中"
    with serve_again(api={"open": False}) as shut:
        assert shut.act("/contacts/a", {"kind": "group", "name": "g"}, by=token, method="PUT").status_code == 200
        kawamori("revoke", "田中")
        assert shut.act("/contacts/a", by=token, method="DELETE").status_code == 401
    assert "NAME" in kawamori("revoke", "田中", status=2)
    assert "revoked" in kawamori("list")
    assert rows.sql("SELECT event FROM audit WHERE subject = 'account' ORDER BY audit_id") == [("added",), ("revoked",)]
    assert kawamori("add", "田中", "--role", "operator") != token


@pytest.mark.integration
def test_every_link_is_told(api, rows):
    sensor = rows.station("linked")
    rows.newest(sensor, 1.0)
    rows.sql(
        "INSERT INTO process VALUES ('ingest-a', 'ingest', now()), ('ingest-b', 'ingest', now() - interval '10 minutes'),"
        " ('ingest-c', 'ingest', now() - interval '1 hour')"
    )
    rows.sql("UPDATE gateway SET seen_at = now() - interval '2 minutes' WHERE gateway_id = 'gateway-1'")
    rows.batch(sensor, [1.0, 1.1], start=NOW)
    rows.sql(
        "INSERT INTO quarantine (received_at, topic, reason, payload, gateway_id) VALUES"
        " (now() - interval '2 hours', 't', 'time: no offset', 'a', 'g'), (now(), 't', 'unit: unknown', 'b', 'g')"
    )
    found = system(api)
    assert [(p.process, p.alive) for p in found.ingest] == [("ingest-a", True), ("ingest-b", False)]
    assert {g.alive for g in found.gateways} == {False}
    assert found.stations.fresh >= 1
    assert found.intake.readings_last_minute >= 2
    assert (found.quarantine.last_hour, found.quarantine.last_day, found.quarantine.newest.reason) == (
        1,
        2,
        "unit: unknown",
    )
    assert found.database.size_bytes > 1_000_000
    assert found.unknown == []


@pytest.mark.integration
def test_a_part_that_cannot_be_learned_is_named_and_spoils_no_other(api, rows):
    rows.sql("ALTER TABLE quarantine RENAME TO hidden")
    try:
        found = system(api)
    finally:
        rows.sql("ALTER TABLE hidden RENAME TO quarantine")
    assert (found.unknown, found.quarantine) == (["quarantine"], None)
    assert found.database is not None


@pytest.mark.integration
def test_a_crowd_that_holds_every_connection_does_not_hold_up_the_stream(api, rows):
    def ask(path):
        return api.get(path).status_code

    with (
        ThreadPoolExecutor(40) as crowd,
        psycopg.connect(rows.url) as slow,
        api.stream() as stream,
    ):
        stream.until(lambda e: e["event"] == "heartbeat")
        slow.execute("LOCK TABLE quarantine")  # whoever asks for it waits with a connection in hand
        begun = time.monotonic()
        held = [crowd.submit(ask, "/quarantine") for _ in range(20)]
        asked = [crowd.submit(ask, "/system") for _ in range(20)]
        for n in range(1, 3):
            beat = stream.until(lambda e: e["event"] == "heartbeat")[-1]["data"]
            assert time.monotonic() - begun < n * (HEARTBEAT_S + 1)
            assert "database" not in beat["alerting"]["why"]
            assert datetime.now(UTC) - datetime.fromisoformat(beat["as_of"]) < 3 * S
        assert {one.result() for one in held} == {503}
        assert {one.result() for one in asked} <= {200, 503}


@pytest.mark.integration
def test_a_crowd_is_told_what_was_learned_once(api, rows):
    kept_until = system(api).as_of + KEPT
    with psycopg.connect(rows.url) as slow, ThreadPoolExecutor(40) as crowd:
        slow.execute("LOCK TABLE quarantine")
        while datetime.now(UTC) < kept_until:
            time.sleep(0.1)
        answers = list(crowd.map(lambda _: api.get("/system").json(), range(40)))
    assert len({one["as_of"] for one in answers}) == 1
    assert {tuple(one["unknown"]) for one in answers} == {("quarantine",)}


@pytest.mark.integration
def test_what_of_the_registry_cannot_be_used_and_who_is_not_registered_are_named(api, rows):
    rows.station("typo")
    rows.sql("UPDATE station SET time_zone = 'Asia/Tokio' WHERE station_id = 'typo'")
    rows.sql("INSERT INTO unknown_gateway (gateway_id, messages) VALUES ('stranger', 3)")
    rows.sql("INSERT INTO quarantine_use VALUES ('device:junk', now(), 20000, 5000000, 7, NULL)")
    found = system(api)
    assert found.registry.problem_count == len(found.registry.problems) >= 1
    assert any("time_zone" in p.reason and p.subject == "station typo" for p in found.registry.problems)
    assert (found.unknown_gateways.count, found.unknown_gateways.last_name) == (1, "stranger")
    assert (found.quarantine.not_kept_last_day, found.quarantine.warning) == (7, "quota")
    assert "typo" in api.get("/levels/latest").text, "the station is still shown"
    rows.sql("UPDATE station SET time_zone = 'Asia/Tokyo' WHERE station_id = 'typo'")


@pytest.mark.integration
def test_what_hides_a_flood_stands_as_a_banner_on_system_and_stream_until_it_is_lifted(api, rows):
    rows.station("banner", thresholds={1: 1.0, 4: 4.0}, crest=5.0)
    rows.sql("UPDATE process SET seen_at = now() WHERE service = 'ingest'")
    rows.sql(
        "INSERT INTO silence (up_to_level, starts_at, ends_at, reason, author) VALUES (5, now(), now() + interval '1 hour', '工事', '佐藤')"
    )
    rows.sql("UPDATE threshold SET valid_to = now() WHERE station_id = 'banner' AND level = 4")
    rows.sql("INSERT INTO threshold (station_id, level, valid_from, value_m) VALUES ('banner', 4, now(), 999)")
    found = system(api)
    assert [(n.kind, n.by) for n in found.notices] == [("silenced", "佐藤"), ("thresholds", None)]
    assert {"silenced", "thresholds"} <= set(found.alerting.why)
    assert "999 m" in found.notices[1].text.en
    with api.stream() as stream:
        beat = stream.until(lambda e: e["event"] == "heartbeat" and len(e["data"].get("notices", ())) == 2)[-1]["data"]
    assert beat["notices"][0]["text"]["ja"].startswith("通知停止中：全域")
    rows.sql("UPDATE silence SET lifted_at = now()")
    rows.sql("UPDATE threshold SET value_m = 4 WHERE value_m = 999")
    found = system(api)
    assert found.notices == []
    assert not {"silenced", "thresholds"} & set(found.alerting.why)


@pytest.mark.integration
def test_an_ingest_that_starts_again_and_again_is_named_and_ok_is_false(api, rows):
    rows.sql("INSERT INTO service_start SELECT 'ingest', now() - n * interval '7 s' FROM generate_series(0, 20) n")
    found = system(api)
    assert "restarting" in found.alerting.why
    assert not found.alerting.ok
    assert "ingest has started 21 times in the last 14" in found.notices[0].text.en
    rows.sql("DELETE FROM service_start")


@pytest.mark.integration
def test_a_row_that_this_version_does_not_understand_is_named_and_left_out(api, rows):
    rows.sql("INSERT INTO contact VALUES ('odd', 'person', 'x', '{\"addresses\": 7}'), ('fine', 'person', 'y', '{}')")
    rows.sql("INSERT INTO escalation VALUES ('odd', 'x', NULL, '{\"steps\": [], \"pager\": 1}')")
    assert [p.split(":")[0] for p in system(api).problems] == ["contact odd", "escalation odd"]
    assert [c["id"] for c in api.json("/contacts")["contacts"] if c["id"] in ("odd", "fine")] == ["fine"]
    rows.sql("DELETE FROM contact")
    rows.sql("DELETE FROM escalation")
