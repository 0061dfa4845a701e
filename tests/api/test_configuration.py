# ruff: noqa: E501 - tables read best unbroken
"""Who is told of what: what is taken, what is refused with the field named, and that nothing is half-saved."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from api.contract import schemas

pytestmark = pytest.mark.integration
DUTY = {
    "kind": "person", "name": "当直", "language": "ja", "self_test": False,
    "addresses": [{"channel": "smtp", "address": "duty@city.example"}, {"channel": "slack", "address": "https://hooks.slack.example/services/T0/B0/secret"}],
}  # fmt: skip
MASKED = {"channel": "slack", "address": "https://hooks.slack.example/…"}
LEVELS = [{"level": 1, "fire_m": 1.0}, {"level": 2, "fire_m": 2.0}, {"level": 3, "fire_m": 3.0, "clear_m": 2.8}]
TABLES = ("contact", "escalation", "silence", "alert_rule", "threshold", "audit", "notification")


@pytest.fixture(scope="module", autouse=True)
def station(rows):
    return rows.station("weir", thresholds={1: 1.0, 2: 2.0})


@pytest.fixture(scope="module", autouse=True)
def duty(api, station):
    return put(api, "/contacts/duty", DUTY)


def put(api, path, body, status=200):
    response = api.act(path, body, method="PUT")
    assert response.status_code == status, response.text
    return response.json()


def fields(response):
    assert response.status_code == 422, response.text
    schemas.Problem.model_validate_json(response.content)
    return [e["field"] for e in response.json()["errors"]]


@pytest.fixture
def untouched(rows):
    """Nothing is saved by whatever the test does."""

    def everything():
        return {table: rows.sql(f"SELECT to_jsonb(t) FROM {table} t ORDER BY 1") for table in TABLES}

    before = everything()
    yield
    assert everything() == before


def group(*members):
    return {"kind": "group", "name": "班", "members": list(members)}


def rota(*members, **change):
    hours = {"days": ["mon", "sun"], "start": "22:00", "end": "06:00"}
    return {"kind": "rota", "name": "夜勤", "shifts": [{"hours": hours, "members": list(members)}], **change}


def steps(*to, **change):
    return {"name": "河川課", "steps": [{"to": list(to), "wait_s": 300}], **change}


# Contacts.


def test_a_persons_secret_address_is_shown_as_its_host_only_and_kept_when_it_comes_back(api, rows, duty):
    assert duty["addresses"] == [DUTY["addresses"][0], MASKED]
    assert put(api, "/contacts/duty", {**DUTY, "name": "当直長", "addresses": [MASKED]})["name"] == "当直長"
    ((settings,),) = rows.sql("SELECT settings FROM contact WHERE contact_id = 'duty'")
    assert settings["addresses"] == [DUTY["addresses"][1]]
    assert "secret" not in json.dumps(rows.sql("SELECT detail FROM audit"))
    assert put(api, "/contacts/duty", DUTY) == duty
    assert schemas.Contacts.model_validate_json(api.get("/contacts").content)


def test_two_secrets_of_one_host_are_both_kept(api, rows):
    addresses = [{"channel": "webhook", "address": f"https://hooks.example/{n}"} for n in (1, 2)]
    shown = put(api, "/contacts/two", {**DUTY, "addresses": addresses})
    put(api, "/contacts/two", {**DUTY, "addresses": shown["addresses"]})
    ((settings,),) = rows.sql("SELECT settings FROM contact WHERE contact_id = 'two'")
    assert settings["addresses"] == addresses


def test_the_same_contact_again_is_no_change(api, rows, duty):
    before = rows.sql("SELECT count(*) FROM audit")
    put(api, "/contacts/duty", DUTY)
    assert rows.sql("SELECT count(*) FROM audit") == before


def test_groups_and_rotas_come_back_as_they_were_put(api):
    put(api, "/contacts/crew", group("duty"))
    put(api, "/contacts/night", rota("crew", "duty", time_zone="Australia/Lord_Howe"))
    found = schemas.Contact.model_validate_json(api.get("/contacts/night").content).root
    assert (found.kind, found.time_zone, found.shifts[0].members) == ("rota", "Australia/Lord_Howe", ["crew", "duty"])
    assert api.get("/contacts/nobody").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**DUTY, "name": ""}, "name"), ({**DUTY, "name": "a\nb"}, "name"), ({**DUTY, "language": "fr"}, "language"),
        ({**DUTY, "more": 1}, "more"), ({**DUTY, "kind": "robot"}, "body"), ([], "body"),
        ({**DUTY, "addresses": [{"channel": "pigeon", "address": "x"}]}, "addresses.0.channel"),
        ({**DUTY, "addresses": [{"channel": "smtp", "address": "duty"}]}, "addresses.0.address"),
        ({**DUTY, "addresses": [{"channel": "smtp", "address": "a@b\r\nBcc: c@d"}]}, "addresses.0.address"),
        ({**DUTY, "addresses": [DUTY["addresses"][0], {"channel": "webhook", "address": "ftp://x"}]}, "addresses.1.address"),
        ({**DUTY, "addresses": [{"channel": "webhook", "address": "https://user:pass@host/"}]}, "addresses.0.address"),
        ({**DUTY, "addresses": [{"channel": "teams", "address": "https://elsewhere.example/…"}]}, "addresses.0.address"),
        ({**DUTY, "addresses": [{"channel": "webpush", "address": "{}"}]}, "addresses.0.address"),
        (group("duty", "nobody"), "members.1"), (group("a b"), "members.0"),
        (rota("duty", "nobody"), "shifts.0.members.1"), (rota("duty", time_zone="Asia/Edo"), "time_zone"),
        (rota("duty", time_zone="../etc/passwd"), "time_zone"), (rota(), "shifts.0.members"),
        (rota("duty", shifts=[{"hours": {"days": ["fri"], "start": "25:00", "end": "06:00"}, "members": ["duty"]}]), "shifts.0.hours.start"),
    ],
)  # fmt: skip
def test_a_contact_that_cannot_be_is_refused_by_field(api, untouched, body, field):
    assert fields(api.act("/contacts/new", body, method="PUT")) == [field]


def test_a_contact_that_names_itself_through_others_is_refused_with_the_way(api, rows):
    put(api, "/contacts/a", group("duty"))
    put(api, "/contacts/b", group("a"))
    response = api.act("/contacts/a", rota("b"), method="PUT")
    assert fields(response) == ["shifts.0.members.0"]
    assert "a → b → a" in response.text
    assert fields(api.act("/contacts/c", group("c"), method="PUT")) == ["members.0"]


def test_a_contact_that_is_still_named_cannot_go(api, rows):
    put(api, "/contacts/kept", DUTY)
    put(api, "/contacts/keeper", group("kept"))
    put(api, "/escalations/keeps", steps("kept"))
    response = api.act("/contacts/kept", method="DELETE")
    assert response.status_code == 409
    assert "group keeper" in response.text
    assert "escalation keeps" in response.text
    assert api.act("/contacts/keeper", method="DELETE").status_code == 204
    assert api.act("/escalations/keeps", method="DELETE").status_code == 204
    assert api.act("/contacts/kept", method="DELETE").status_code == 204
    assert api.act("/contacts/kept", method="DELETE").status_code == 404
    assert rows.sql("SELECT event FROM audit WHERE subject_id = 'kept' ORDER BY audit_id") == [("added",), ("removed",)]


def test_two_who_would_make_a_loop_together_do_not(api):
    put(api, "/contacts/x", group())
    put(api, "/contacts/y", group())
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda pair: api.act(f"/contacts/{pair[0]}", group(pair[1]), method="PUT"), [("x", "y"), ("y", "x")]
            )
        )
    assert sorted(a.status_code for a in answers) == [200, 422]


def test_a_test_message_goes_to_each_address_behind_a_contact_and_can_be_followed(api, rows):
    put(api, "/contacts/english", {**DUTY, "language": "en", "addresses": [{"channel": "log", "address": "log"}]})
    put(api, "/contacts/both", group("duty", "english"))
    response = api.act("/contacts/both/test")
    assert response.status_code == 202
    ids = response.json()["notifications"]
    told = schemas.Notifications.model_validate_json(api.get("/notifications", id=ids).content).notifications
    assert sorted((n.channel, n.event) for n in told) == [("log", "test"), ("slack", "test"), ("smtp", "test")]
    assert {n.subject[:5] for n in told} == {"【試験】川", "[TEST"}
    assert rows.sql("SELECT who, event FROM audit WHERE subject_id = 'both' ORDER BY audit_id DESC LIMIT 1") == [
        ("佐藤", "tested")
    ]
    assert len(api.act("/contacts/both/test").json()["notifications"]) == 3
    put(api, "/contacts/nowhere", {**DUTY, "addresses": []})
    assert api.act("/contacts/nowhere/test").status_code == 409
    assert api.act("/contacts/nobody/test").status_code == 404


# Escalations.


def test_an_escalation_comes_back_as_it_was_put(api):
    put(api, "/escalations/last", steps("duty", topics=["flood", "equipment"], min_level=0))
    body = steps("duty", river_id="kuji", repeat=2, then="last")
    found = schemas.Escalation.model_validate(put(api, "/escalations/first", body))
    assert (found.river_id, found.repeat, found.then, found.steps[0].wait_s) == ("kuji", 2, "last", 300)
    assert found in schemas.Escalations.model_validate_json(api.get("/escalations").content).escalations
    assert api.get("/escalations/first").json() == found.model_dump(mode="json")
    response = api.act("/escalations/last", method="DELETE")
    assert response.status_code == 409
    assert "first" in response.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": []}, "steps"), ({"steps": [{"to": []}]}, "steps.0.to"), ({"steps": [{"to": ["nobody"]}]}, "steps.0.to"),
        ({"steps": [{"to": ["duty"]}, {"to": ["duty", "nobody"]}]}, "steps.1.to"),
        ({"steps": [{"to": ["duty"], "wait_s": -1}]}, "steps.0.wait_s"), ({"min_level": 6}, "min_level"),
        ({"topics": ["gossip"]}, "topics.0"), ({"river_id": "styx"}, "river_id"), ({"then": "nowhere"}, "then"),
        ({"then": "new"}, "then"), ({"repeat": 1000}, "repeat"),
    ],
)  # fmt: skip
def test_an_escalation_that_cannot_be_is_refused_by_field(api, untouched, change, field):
    assert fields(api.act("/escalations/new", steps("duty", **change), method="PUT")) == [field]


def test_escalations_that_lead_back_to_each_other_are_refused_with_the_way(api):
    put(api, "/escalations/one", steps("duty"))
    put(api, "/escalations/two", steps("duty", then="one"))
    response = api.act("/escalations/one", steps("duty", then="two"), method="PUT")
    assert fields(response) == ["then"]
    assert "one → two → one" in response.text


# Silences.


def soon(**change):
    return {"ends_at": (datetime.now(UTC) + timedelta(hours=2)).isoformat(), "reason": "点検", **change}


def test_a_window_is_announced_and_lifted_and_screens_hear_of_what_it_covers(api, rows):
    sensor = rows.station("closed")
    alert = rows.alert("closed", sensor, level=1)
    with api.stream() as stream:
        stream.until(lambda e: e["event"] == "heartbeat")
        response = api.act("/silences", soon(station_id="closed", up_to_level=1))
        assert response.status_code == 201, response.text
        stream.until(lambda e: e["event"] == "alert" and e["data"]["id"] == alert and e["data"]["state"] == "shelved")
        silence = schemas.Silence.model_validate_json(response.content)
        assert silence in schemas.Silences.model_validate_json(api.get("/silences").content).silences
        lifted = schemas.Silence.model_validate_json(api.act(f"/silences/{silence.id}/lift").content)
        stream.until(lambda e: e["event"] == "alert" and e["data"]["id"] == alert and e["data"]["state"] == "firing")
    assert (lifted.lifted_by, silence.author) == ("佐藤", "佐藤")
    assert schemas.Silence.model_validate_json(api.act(f"/silences/{silence.id}/lift").content) == lifted
    assert silence.id not in [s["id"] for s in api.get("/silences").json()["silences"]]
    assert silence.id in [s["id"] for s in api.get("/silences", over=True).json()["silences"]]
    assert rows.sql(
        "SELECT event FROM audit WHERE subject = 'silence' AND subject_id = %s ORDER BY audit_id", str(silence.id)
    ) == [("added",), ("lifted",)]
    assert api.act("/silences/999999/lift").status_code == 404


def test_a_weekly_window_keeps_its_hours_and_zone(api):
    weekly = {"hours": [{"days": ["sat"], "start": "01:00", "end": "03:00"}], "time_zone": "America/New_York"}
    found = api.act("/silences", soon(weekly=weekly, kinds=["silent"])).json()
    assert (found["weekly"]["time_zone"], found["weekly"]["hours"][0]["start"]) == ("America/New_York", "01:00:00")
    schemas.Silence.model_validate_json(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"), ({"starts_at": "2090-01-01T00:00:00Z"}, "ends_at"), ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"), ({"ends_at": None}, "ends_at"), ({"ends_at": "2090-01-01T00:00:00Z"}, "ends_at"),
        ({"station_id": "nowhere"}, "station_id"), ({"river_id": "styx"}, "river_id"), ({"station_id": "weir", "river_id": "kuji"}, "river_id"),
        ({"kinds": ["level", "gossip"]}, "kinds.1"), ({"kinds": []}, "kinds"), ({"up_to_level": 9}, "up_to_level"),
        ({"weekly": {"hours": []}}, "weekly.hours"), ({"ends_at": "tomorrow"}, "ends_at"), ({"ends_at": "2026-01-01T00:00:00"}, "ends_at"),
    ],
)  # fmt: skip
def test_a_silence_that_cannot_be_is_refused_by_field(api, untouched, change, field):
    assert fields(api.act("/silences", soon(**change))) == [field]


# Rules.


def rule(**change):
    return {"kind": "level", "station_id": "weir", "parameters": {"thresholds": LEVELS}, **change}


def in_force(rows, station="weir"):
    return rows.sql(
        "SELECT level, value_m, hysteresis_m FROM threshold WHERE station_id = %s AND valid_to IS NULL ORDER BY level",
        station,
    )


def test_a_rule_takes_the_place_of_the_one_before_and_the_past_keeps_its_own(api, rows):
    rows.station("dated", thresholds={1: 1.0, 2: 2.5})
    first = put(api, "/alert-rules", rule(station_id="dated"))
    assert in_force(rows, "dated") == [(1, 1.0, None), (2, 2.0, None), (3, 3.0, 0.2)]
    second = put(api, "/alert-rules", rule(station_id="dated", parameters={"thresholds": LEVELS[:2], "hold": "PT10M"}))
    assert second["id"] > first["id"]
    assert second["parameters"] == {"hold": "PT600S"}
    assert in_force(rows, "dated") == [(1, 1.0, None), (2, 2.0, None)]
    assert rows.sql(
        "SELECT valid_to IS NULL, parameters FROM alert_rule WHERE station_id = 'dated' ORDER BY rule_id"
    ) == [(False, {}), (True, {"hold": "PT600S"})]
    ended = rows.sql(
        "SELECT level, value_m FROM threshold WHERE station_id = 'dated' AND valid_to IS NOT NULL ORDER BY level, valid_from"
    )
    # what did not change was left alone, but for the column that had its own hysteresis before
    assert (2, 2.5) in ended
    assert (3, 3.0) in ended
    (closed,), (opened,) = (
        rows.sql("SELECT DISTINCT valid_to FROM alert_rule WHERE station_id = 'dated' AND valid_to IS NOT NULL"),
        rows.sql("SELECT valid_from FROM alert_rule WHERE rule_id = %s", second["id"]),
    )
    assert closed == opened
    listed = schemas.AlertRules.model_validate_json(api.get("/alert-rules").content)
    assert [r.id for r in listed.rules if r.station_id == "dated"] == [second["id"]]
    assert [(t.level, t.fire_m) for t in listed.thresholds if t.station_id == "dated"] == [(1, 1.0), (2, 2.0)]
    station = next(s for s in api.json("/stations")["stations"] if s["station_id"] == "dated")
    assert [(t["level"], t["value_m"], t["hold_s"]) for t in station["thresholds"]] == [(1, 1.0, 600), (2, 2.0, 600)]


def test_the_same_rule_again_is_no_change(api, rows):
    rows.station("again")
    first = put(api, "/alert-rules", rule(station_id="again"))
    before = rows.sql("SELECT count(*) FROM audit")
    assert put(api, "/alert-rules", rule(station_id="again")) == first
    assert rows.sql("SELECT count(*) FROM audit") == before


def test_a_rule_without_thresholds_leaves_those_of_the_station(api, rows):
    rows.station("left", thresholds={1: 1.0})
    put(api, "/alert-rules", rule(station_id="left", parameters={"consecutive": 2}))
    assert in_force(rows, "left") == [(1, 1.0, None)]


def test_a_rule_that_is_removed_leaves_the_rivers(api, rows):
    put(api, "/alert-rules", {"kind": "silent", "river_id": "kuji", "parameters": {"factor": 5}})
    own = put(api, "/alert-rules", {"kind": "silent", "station_id": "weir", "enabled": False, "status": "exercise"})
    assert (own["enabled"], own["status"], own["author"]) == (False, "exercise", "佐藤")
    assert api.act(f"/alert-rules/{own['id']}", method="DELETE").status_code == 204
    assert api.act(f"/alert-rules/{own['id']}", method="DELETE").status_code == 404
    listed = api.json("/alert-rules")["rules"]
    assert [(r["river_id"], r["station_id"]) for r in listed if r["kind"] == "silent"] == [("kuji", None)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"parameters": {"thresholds": [*LEVELS[:2], {"level": 3, "fire_m": 3.0, "clear_m": 3.1}]}}, "thresholds.2.clear_m"),
        ({"parameters": {"thresholds": [LEVELS[0], {"level": 2, "fire_m": 0.5}]}}, "thresholds"),
        ({"parameters": {"thresholds": [LEVELS[0], {"level": 1, "fire_m": 2.0}]}}, "thresholds"),
        ({"parameters": {"thresholds": [{"level": 6, "fire_m": 1.0}]}}, "thresholds.0.level"),
        ({"parameters": {"thresholds": [{"level": 1}]}}, "thresholds.0.fire_m"),
        ({"parameters": {"thresholds": [{"level": 1, "fire_m": -9999}]}}, "thresholds.0.fire_m"),
        ({"parameters": {"thresholds": [LEVELS[0], {"level": 2, "fire_m": 999}]}}, "thresholds.1.fire_m"),
        ({"parameters": {"thresholds": [{"level": 1, "fire_m": "high"}]}}, "thresholds.0.fire_m"),
        ({"parameters": {"thresholds": [{"level": 1, "fire_m": 1.0, "colour": "red"}]}}, "thresholds.0.colour"),
        ({"parameters": {"thresholds": "high"}}, "thresholds"), ({"parameters": {"hysteresis_m": -1}}, "hysteresis_m"),
        ({"parameters": {"hold": "PT25H"}}, "hold"), ({"parameters": {"hold": "soon"}}, "hold"), ({"parameters": {"consecutive": 0}}, "consecutive"),
        ({"parameters": {"colour": "red"}}, "colour"), ({"kind": "gossip"}, "kind"), ({"kind": "manual", "parameters": {}}, "kind"),
        ({"station_id": "nowhere"}, "station_id"), ({"station_id": None, "river_id": "styx", "parameters": {}}, "river_id"),
        ({"river_id": "kuji"}, "river_id"), ({"station_id": None}, "thresholds"), ({"status": "real"}, "status"),
        ({"kind": "rise", "parameters": {"rise_m": 0}}, "rise_m"), ({"parameters": {"hysteresis_m": 1e300}}, "hysteresis_m"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused_by_field(api, untouched, change, field):
    assert fields(api.act("/alert-rules", rule(**change), method="PUT")) == [field]


def test_what_json_does_not_know_is_refused(api, untouched):
    headers = {"Content-Type": "application/json", "X-Kawamori-Name": "a"}
    for number in ("NaN", "Infinity", "1e999", "9" * 400):
        content = f'{{"kind": "rise", "parameters": {{"rise_m": {number}}}}}'
        assert fields(api.http.put("/api/v1/alert-rules", content=content, headers=headers)) == ["rise_m"]


def test_every_kind_tells_what_can_be_set(api):
    kinds = schemas.RuleKinds.model_validate_json(api.get("/alert-rules/kinds").content).kinds
    level = next(k for k in kinds if k.kind == "level")
    assert level.by_default
    assert level.defaults["consecutive"] == 1
    assert set(level.schema_["$defs"]["LevelRule"]["properties"]) == set(level.defaults)
    for kind in kinds:
        put(
            api,
            "/alert-rules",
            {
                "kind": kind.kind,
                "river_id": "kuji",
                "parameters": {k: v for k, v in kind.defaults.items() if v is not None and k != "thresholds"},
            },
        )


def test_eight_managers_at_once_leave_one_rule_in_force(api, rows):
    rows.station("busy")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda n: api.act(
                    "/alert-rules", rule(station_id="busy", parameters={"consecutive": n + 1}), method="PUT"
                ),
                range(8),
            )
        )
    assert {a.status_code for a in answers} == {200}
    assert rows.sql(
        "SELECT count(*) FILTER (WHERE valid_to IS NULL), count(*) FROM alert_rule WHERE station_id = 'busy'"
    ) == [(1, 8)]


def test_every_change_is_in_the_audit_for_ever(api, rows):
    entries = schemas.Audit.model_validate_json(api.get("/audit", subject="contact", subject_id="duty").content).entries
    assert (entries[-1].who, entries[-1].event) == ("佐藤", "added")
    import psycopg

    for text in ("DELETE FROM audit", "UPDATE audit SET who = 'x'", "TRUNCATE audit"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            rows.sql(text)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", "/contacts/duty", DUTY), ("DELETE", "/contacts/duty", None), ("PUT", "/escalations/x", steps("duty")), ("POST", "/silences", soon()),
     ("PUT", "/alert-rules", rule()), ("DELETE", "/alert-rules/1", None), ("DELETE", "/escalations/x", None), ("POST", "/silences/1/lift", None)],
)  # fmt: skip
def test_only_a_manager_changes_who_is_told_of_what(serve_again, rows, untouched, method, path, body):
    operator = rows.account("操作員", "operator")
    with serve_again(api={"open": False}) as shut:
        assert shut.act(path, body, method=method).status_code == 401
        assert shut.act(path, body, method=method, by=operator).status_code == 403
        assert shut.get("/contacts").status_code == 401
