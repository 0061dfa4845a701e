# ruff: noqa: E501 - SQL reads best unbroken
"""Answering alerts: who may, what it changes, what is written down, and who hears of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from api.auth.actors import given_name
from api.contract import schemas
from api.contract.problems import WrongField

pytestmark = pytest.mark.integration
SATO = "佐藤"


@pytest.fixture(scope="module")
def sensor(rows):
    return rows.station("weir", thresholds={1: 1.0, 2: 2.0})


@pytest.fixture
def alert(rows, sensor):
    return rows.alert("weir", sensor)


@pytest.fixture
def doubtful(rows, sensor):
    return rows.alert("weir", sensor, verified=False)


def shown(response, status=200):
    assert response.status_code == status, response.text
    return schemas.Alert.model_validate_json(response.content)


def refused(response, status, *words):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    schemas.Problem.model_validate_json(response.content)
    assert all(word in response.text for word in words), response.text


def fields(response):
    refused(response, 422)
    return [e["field"] for e in response.json()["errors"]]


def test_an_acknowledged_alert_goes_on_and_tells_who_when_and_why(api, rows, alert):
    found = shown(api.act(f"/alerts/{alert}/acknowledge", {"note": "現地に向かう"}))
    assert (found.state, found.acknowledged_by, found.ended_at) == ("acknowledged", SATO, None)
    assert abs(found.acknowledged_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert rows.audit(alert) == [(SATO, "acknowledged", "現地に向かう")]
    detail = schemas.AlertDetail.model_validate_json(api.get(f"/alerts/{alert}").content)
    assert [(e.who, e.event, e.note) for e in detail.history][-1] == (SATO, "acknowledged", "現地に向かう")


def test_acknowledging_again_changes_nothing_whoever_does(api, rows, alert):
    first = shown(api.act(f"/alerts/{alert}/acknowledge"))
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda _: shown(api.act(f"/alerts/{alert}/acknowledge", {"note": "再"})), range(16)))
    assert again == [first] * 16
    assert len(rows.audit(alert)) == 1


def test_eight_people_at_once_acknowledge_one_alert_once(api, rows, alert):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shown(api.act(f"/alerts/{alert}/acknowledge")), range(8)))
    assert len({f.acknowledged_at for f in found}) == 1
    assert len(rows.audit(alert)) == 1


def test_others_see_an_acknowledgement_within_two_seconds(api, alert):
    with api.stream() as stream:
        stream.until(lambda e: e["event"] == "heartbeat")
        begun = time.monotonic()
        api.act(f"/alerts/{alert}/acknowledge")
        event = stream.until(lambda e: e["event"] == "alert" and e["data"]["acknowledged_by"])[-1]
        assert time.monotonic() - begun < 2
    assert (event["data"]["id"], event["data"]["state"]) == (alert, "acknowledged")


def test_an_alert_that_is_over_can_still_be_acknowledged_but_not_shelved(api, rows, sensor):
    alert = rows.alert("weir", sensor, state="resolved", ended_at=datetime.now(UTC))
    found = shown(api.act(f"/alerts/{alert}/acknowledge"))
    assert (found.state, found.acknowledged_by) == ("resolved", SATO)
    refused(api.act(f"/alerts/{alert}/shelve", {"minutes": 5, "reason": "r"}), 409, "over")


def test_a_incident_is_acknowledged_as_a_whole_once(api, rows, sensor):
    incident = rows.incident()
    alerts = [rows.alert("weir", sensor, incident=incident, level=n) for n in (1, 2, 3)]
    api.act(f"/alerts/{alerts[0]}/acknowledge")
    body = schemas.Alerts.model_validate_json(api.act(f"/incidents/{incident}/acknowledge", {"note": "n"}).content)
    assert [a.id for a in body.alerts] == alerts[1:]
    assert api.act(f"/incidents/{incident}/acknowledge").json()["alerts"] == []
    assert [len(rows.audit(a)) for a in alerts] == [1, 1, 1]
    listed = schemas.Incidents.model_validate_json(api.get("/incidents", open=False).content)
    assert next(i.alerts for i in listed.incidents if i.id == incident) == alerts
    refused(api.act("/incidents/999999/acknowledge"), 404)


def test_a_note_is_kept_with_the_alert(api, rows, alert):
    assert shown(api.act(f"/alerts/{alert}/notes", {"note": " 堤防を巡視\n異常なし "})).notes == 1
    assert rows.audit(alert) == [(SATO, "noted", "堤防を巡視\n異常なし")]
    for note in ("", " ", "\x00", "x" * 2001, "\x1b[2J"):
        assert fields(api.act(f"/alerts/{alert}/notes", {"note": note})) == ["note"]
    assert fields(api.act(f"/alerts/{alert}/notes", {"note": "n", "more": 1})) == ["more"]
    assert len(rows.audit(alert)) == 1


def test_a_shelved_alert_is_told_again_after_its_time_or_when_somebody_says_so(api, rows, alert):
    found = shown(api.act(f"/alerts/{alert}/shelve", {"minutes": 30, "reason": "工事"}))
    assert found.state == "shelved"
    left = found.shelved_until - datetime.now(UTC)
    assert timedelta(minutes=29) < left <= timedelta(minutes=30, seconds=1), "the database's clock is not quite ours"
    assert alert in [a["id"] for a in api.json("/alerts", state="shelved")["alerts"]]
    assert alert not in [a["id"] for a in api.json("/alerts", state="firing")["alerts"]]
    longer = shown(api.act(f"/alerts/{alert}/shelve", {"minutes": 60, "reason": "工事"}))
    assert longer.shelved_until > found.shelved_until
    assert rows.sql("SELECT count(*) FROM silence WHERE alert_id = %s AND lifted_at IS NULL", alert) == [(1,)]
    assert shown(api.act(f"/alerts/{alert}/unshelve")).state == "firing"
    assert shown(api.act(f"/alerts/{alert}/unshelve")).state == "firing"
    assert [event for _, event, _ in rows.audit(alert)] == ["shelved", "shelved", "unshelved"]


def test_the_same_shelving_twice_is_one(api, rows, alert):
    body = {"until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "reason": "工事"}
    assert shown(api.act(f"/alerts/{alert}/shelve", body)) == shown(api.act(f"/alerts/{alert}/shelve", body))
    assert len(rows.audit(alert)) == 1


def test_shelving_always_ends_within_a_day_and_has_a_reason(api, rows, alert):
    late = (datetime.now(UTC) + timedelta(hours=25)).isoformat()
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    for body, field in [
        ({"minutes": 1441, "reason": "r"}, "minutes"), ({"minutes": 0, "reason": "r"}, "minutes"),
        ({"until": late, "reason": "r"}, "until"), ({"until": past, "reason": "r"}, "until"),
        ({"reason": "r"}, "until"), ({"minutes": 5, "until": late, "reason": "r"}, "until"),
        ({"minutes": 5}, "reason"), ({"minutes": 5, "reason": ""}, "reason"),
        ({"until": "2026-01-01T00:00:00", "reason": "r"}, "until"),
    ]:  # fmt: skip
        assert fields(api.act(f"/alerts/{alert}/shelve", body)) == [field]
    assert rows.audit(alert) == []


def test_a_rapid_rise_under_a_window_that_does_not_name_it_shows_as_firing_because_people_are_told(api, rows):
    rise = rows.alert("window-rise", rows.station("window-rise"), level=0)
    rows.sql("UPDATE alert SET kind = 'rise', threshold_m = NULL WHERE alert_id = %s", rise)
    rows.sql(
        "INSERT INTO silence (station_id, up_to_level, starts_at, ends_at, reason, author)"
        " VALUES ('window-rise', 5, now() - interval '1 hour', now() + interval '1 hour', 'works', 't')"
    )
    assert api.json(f"/alerts/{rise}")["state"] == "firing"
    assert api.json("/alerts", station="window-rise", state="shelved")["alerts"] == []


def test_an_alert_under_a_window_of_its_station_shows_as_shelved_and_is_not_unshelved_alone(api, rows):
    alert = rows.alert("dredged", rows.station("dredged"), level=2)
    rows.sql(
        "INSERT INTO silence (station_id, up_to_level, starts_at, ends_at, reason, author)"
        " VALUES ('dredged', 2, now() - interval '1 minute', now() + interval '1 hour', '浚渫', 'x')"
    )
    assert api.json(f"/alerts/{alert}")["state"] == "shelved"
    refused(api.act(f"/alerts/{alert}/unshelve"), 409, "lift")
    worse = rows.alert("dredged", 0, level=3)
    assert api.json(f"/alerts/{worse}")["state"] == "firing"


def test_a_person_confirms_a_doubtful_alert_and_people_are_told(api, rows, doubtful):
    found = shown(api.act(f"/alerts/{doubtful}/confirm", {"note": "目視"}))
    assert (found.verified, found.confirmed_by) == (True, SATO)
    assert shown(api.act(f"/alerts/{doubtful}/confirm")) == found
    assert rows.audit(doubtful) == [(SATO, "confirmed", "目視")]
    assert rows.announced(doubtful) == ["confirmed"]
    refused(api.act(f"/alerts/{doubtful}/withdraw", {"reason": "r"}), 409, "verified")


def test_a_person_withdraws_what_was_no_water_and_people_are_told(api, rows, doubtful):
    assert fields(api.act(f"/alerts/{doubtful}/withdraw", {})) == ["reason"]
    found = shown(api.act(f"/alerts/{doubtful}/withdraw", {"reason": "流木"}))
    assert (found.state, found.dismissed_by) == ("withdrawn", SATO)
    assert shown(api.act(f"/alerts/{doubtful}/withdraw", {"reason": "再"})) == found
    assert rows.audit(doubtful) == [(SATO, "withdrawn", "流木")]
    assert rows.announced(doubtful) == ["withdrawn"]
    refused(api.act(f"/alerts/{doubtful}/confirm"), 409, "withdrawn")
    refused(api.act(f"/alerts/{doubtful}/shelve", {"minutes": 5, "reason": "r"}), 409)


def test_nobody_is_told_that_a_doubt_nobody_was_told_of_is_over(api, rows, sensor):
    alert = rows.alert("weir", sensor, verified=False, told=False)
    shown(api.act(f"/alerts/{alert}/confirm"))
    assert rows.announced(alert) == []


def test_what_readings_verified_is_not_withdrawn(api, rows, alert):
    refused(api.act(f"/alerts/{alert}/withdraw", {"reason": "r"}), 409, "verified")
    assert rows.audit(alert) == []


BY_HAND = {"station_id": "weir", "flood_level": 4, "message": {"ja": "越水を確認"}}


def test_a_manager_raises_what_no_sensor_sees_and_ends_it(api, rows, sensor):
    found = shown(api.act("/alerts", BY_HAND), 201)
    assert (found.kind, found.state, found.verified, found.flood_level) == ("manual", "firing", True, 4)
    assert (found.station_id, found.river, found.value_m, found.threshold_m) == ("weir", "kuji", None, None)
    assert found.detail["message"] == {"ja": "越水を確認", "en": "越水を確認"}
    assert rows.announced(found.id) == ["raised"]
    over = shown(api.act(f"/alerts/{found.id}/resolve"))
    assert over.state == "resolved"
    assert shown(api.act(f"/alerts/{found.id}/resolve")) == over
    assert rows.announced(found.id) == ["raised", "resolved"]
    assert [event for _, event, _ in rows.audit(found.id)] == ["raised", "resolved"]


def test_a_river_can_be_meant_as_a_whole(api, rows, sensor):
    found = shown(api.act("/alerts", {"river_id": "kuji", "flood_level": 3, "message": {"ja": "a", "en": "b"}}), 201)
    assert (found.station_id, found.river, found.subject) == (None, "kuji", "river:kuji")
    assert found.id in [a["id"] for a in api.json("/alerts", river="kuji", kind="manual", min_level=3)["alerts"]]
    assert found.id not in [a["id"] for a in api.json("/alerts", river="kuji", min_level=4)["alerts"]]
    assert found.id not in [a["id"] for a in api.json("/alerts", river="other")["alerts"]]


def test_a_request_sent_twice_raises_one_alert(api, rows, sensor):
    body = {**BY_HAND, "request": "0123456789abcdef"}
    with ThreadPoolExecutor(4) as pool:
        ids = {response.json()["id"] for response in pool.map(lambda _: api.act("/alerts", body), range(4))}
    assert len(ids) == 1


def test_what_is_wrong_with_a_manual_alert_is_named_and_nothing_is_raised(api, rows, sensor):
    before = rows.sql("SELECT count(*) FROM alert")
    for change, field in [
        ({"station_id": "nowhere"}, "station_id"), ({"station_id": None}, "station_id"), ({"river_id": "kuji"}, "station_id"),
        ({"station_id": None, "river_id": "nowhere"}, "river_id"), ({"flood_level": 6}, "flood_level"),
        ({"flood_level": "4m"}, "flood_level"), ({"message": {}}, "message.ja"), ({"status": "real"}, "status"),
        ({"station_id": "\x00"}, "station_id"),
    ]:  # fmt: skip
        assert fields(api.act("/alerts", {**BY_HAND, **change})) == [field]
    assert rows.sql("SELECT count(*) FROM alert") == before


def test_a_drill_is_raised_as_a_drill(serve_again, api, rows, sensor):
    assert shown(api.act("/alerts", {**BY_HAND, "status": "exercise"}), 201).status == "exercise"
    with serve_again(site={"status": "exercise"}) as drill:
        assert shown(drill.act("/alerts", BY_HAND), 201).status == "exercise"


def test_only_manual_alerts_are_ended_by_hand(api, alert):
    refused(api.act(f"/alerts/{alert}/resolve"), 409, "readings")
    refused(api.act("/alerts/999999/resolve"), 404)


def test_what_nobody_was_told_of_and_the_readings_no_longer_show_is_hidden(api, rows, sensor):
    gone = rows.alert("weir", sensor, told=False)
    with api.stream() as stream:
        stream.until(lambda e: e["event"] == "heartbeat")
        rows.sql("UPDATE alert SET retracted_at = now(), state = 'withdrawn' WHERE alert_id = %s", gone)
        rows.sql(
            "INSERT INTO audit (who, subject, subject_id, alert_id, event) VALUES ('kawamori', 'alert', 'x', %s, 'forgotten')",
            gone,
        )
        stream.until(lambda e: e["event"] == "alert_gone" and e["data"] == {"id": gone})
    assert api.get(f"/alerts/{gone}").status_code == 404
    refused(api.act(f"/alerts/{gone}/acknowledge"), 404)
    assert gone not in [a["id"] for a in api.json("/alerts", station="weir", limit=1000)["alerts"]]


def test_a_change_that_commits_after_a_later_one_is_heard_too(api, rows, sensor):
    import psycopg

    slow, quick = rows.alert("weir", sensor), rows.alert("weir", sensor)
    text = (
        "INSERT INTO audit (who, subject, subject_id, alert_id, event) VALUES ('kawamori', 'alert', 'x', %s, 'changed')"
    )
    with api.stream() as stream, psycopg.connect(rows.url) as connection:
        stream.until(lambda e: e["event"] == "heartbeat")
        connection.execute(text, (slow,))
        begun = time.monotonic()
        api.act(f"/alerts/{quick}/acknowledge")
        stream.until(lambda e: e["event"] == "alert" and e["data"]["acknowledged_by"])
        assert time.monotonic() - begun < 2
        connection.commit()
        heard = stream.until(lambda e: e["event"] == "alert" and e["data"]["id"] == slow)
    assert quick not in [e["data"]["id"] for e in heard if e["event"] == "alert"]


def test_the_self_tests_own_station_is_on_no_screen(api, rows):
    sensor = rows.station("inner", quantity="self_test")
    rows.sql("UPDATE station SET internal = true WHERE station_id = 'inner'")
    alert = rows.alert("inner", sensor)
    assert "inner" not in api.get("/stations").text + api.get("/stations.geojson").text + api.get("/levels/latest").text
    assert api.get("/stations/inner").status_code == 404
    assert api.get("/alerts", station="inner").json()["alerts"] == []
    assert api.get(f"/alerts/{alert}").status_code == 404


# Who may.


@pytest.fixture(scope="module")
def shut(serve_again, rows):
    with serve_again(api={"open": False}) as api:
        yield api


@pytest.fixture(scope="module")
def operator(rows):
    return rows.account("鈴木", "operator")


@pytest.fixture(scope="module")
def manager(rows):
    return rows.account("田中", "manager")


def test_without_a_token_one_may_look_but_not_act(shut, alert):
    assert shut.get(f"/alerts/{alert}").status_code == 200
    response = shut.act(f"/alerts/{alert}/acknowledge")
    refused(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")
    refused(shut.get("/audit"), 401)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic dTpw", "Bearer \u00e9".encode("latin-1")])
def test_a_wrong_token_opens_nothing(shut, operator, alert, header):
    refused(shut.http.get("/api/v1/audit", headers={"Authorization": header}), 401)
    refused(shut.http.get(f"/api/v1/alerts/{alert}", headers={"Authorization": header}), 401)


def test_an_operator_answers_and_a_manager_raises(shut, operator, manager, rows, alert, sensor):
    assert shown(shut.act(f"/alerts/{alert}/acknowledge", by=operator)).acknowledged_by == "鈴木"
    refused(shut.act("/alerts", BY_HAND, by=operator), 403, "manager", "operator")
    assert rows.audit(shown(shut.act("/alerts", BY_HAND, by=manager), 201).id)[0][0] == "田中"
    assert shut.http.get("/api/v1/audit", headers={"Authorization": f"Bearer {operator}"}).status_code == 200


def test_a_revoked_token_opens_nothing_any_more(shut, rows, alert):
    token = rows.account("gone", "manager")
    assert shut.act(f"/alerts/{alert}/acknowledge", by=token).status_code == 200
    rows.sql("UPDATE account SET revoked_at = now() WHERE name = 'gone'")
    refused(shut.act(f"/alerts/{alert}/acknowledge", by=token), 401)


def test_where_the_site_is_open_whoever_acts_gives_a_name(api, alert):
    def act(name):
        headers = {"Content-Type": "application/json"} | ({} if name is None else {"X-Kawamori-Name": name})
        return api.http.post(f"/api/v1/alerts/{alert}/acknowledge", headers=headers)

    for name in (None, "", "%20", "%FF", quote("あ" * 51), "a%00b", "a%0Ab", quote("a\u202eb")):
        assert fields(act(name)) == ["X-Kawamori-Name"]
    assert shown(act(quote("田中 一郎"))).acknowledged_by == "田中 一郎"


def test_a_name_is_told_what_is_wrong_with_it():
    assert given_name("%E4%BD%90%E8%97%A4") == SATO
    with pytest.raises(WrongField, match="UTF-8"):
        given_name("%FF")


def test_another_sites_page_cannot_act_and_nobody_sends_a_flood(api, alert):
    path, who = f"/api/v1/alerts/{alert}/notes", {"X-Kawamori-Name": "a"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        refused(api.http.post(path, content=b'{"note": "n"}', headers={**who, "Content-Type": kind}), 415)
    kind = {**who, "Content-Type": "application/json; charset=utf-8"}
    assert api.http.post(path, content=b'{"note": "n"}', headers=kind).status_code == 200
    refused(api.http.post(path, content=b" " * 65_537, headers=kind), 413)

    def chunks():
        for _ in range(70):
            yield b" " * 1000

    refused(api.http.post(path, content=chunks(), headers=kind), 413)
    refused(api.http.post(path, content=b"{", headers=kind), 422)


def test_addresses_are_for_people_with_a_token_and_answer_links_for_nobody(shut, operator, rows, alert):
    rows.sql(
        "INSERT INTO notification (alert_id, contact_id, channel, recipient, event, idempotency_key, subject, body, last_error)"
        " VALUES (%s, 'mail:duty@city.example', 'smtp', 'duty@city.example', 'raised', %s, 's',"
        " 'see https://k.example/acknowledge/1.2.3.secret now', '550 <duty@city.example>'),"
        " (%s, 'hook', 'webhook', 'https://hooks.example/T1/secret', 'raised', %s, 's', 'b', NULL)",
        alert, f"a{alert}", alert, f"b{alert}",
    )  # fmt: skip
    anonymous = shut.get(f"/alerts/{alert}").text + shut.get("/notifications").text
    assert "duty@city" not in anonymous
    known = shut.http.get(f"/api/v1/alerts/{alert}", headers={"Authorization": f"Bearer {operator}"}).text
    assert "duty@city.example" in known
    assert "https://hooks.example/…" in known
    assert "secret" not in anonymous + known
