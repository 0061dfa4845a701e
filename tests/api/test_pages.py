# ruff: noqa: E501 - SQL reads best unbroken
"""Stations, alerts, notifications, quarantine and the site: each shape, each page once."""

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest

from api.contract import schemas
from api.live.stream import HEARTBEAT_S

pytestmark = pytest.mark.integration
NIGHT = datetime(2026, 9, 9, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sensor(rows):
    return rows.station("bridge", thresholds={1: 1.0, 4: 4.0}, crest=6.5)


@pytest.fixture(scope="module")
def alerts(rows, sensor):
    """Thirty episodes; three start at each moment, so that the key needs its second part."""
    found = []
    for n in range(30):
        start = NIGHT + timedelta(hours=n // 3)
        found.append(rows.alert("bridge", sensor, started_at=start, level=1 + n % 3, state="firing" if n >= 27 else "resolved",
                                ended_at=None if n >= 27 else start + timedelta(minutes=30)))  # fmt: skip
    return found


def paged(api, path, key, **parameters):
    found, cursor = [], None
    while True:
        body = api.json(path, **parameters, **({"cursor": cursor} if cursor else {}))
        found += body[key]
        if (cursor := body["next"]) is None:
            return found


def test_a_station_tells_what_is_in_force(api, rows, sensor):
    rows.sql("INSERT INTO datum VALUES ('bridge', '2020-01-01Z', 12.345)")
    station = schemas.StationDetail.model_validate_json(api.get("/stations/bridge").content)
    assert [(t.level, t.value_m, t.name.ja) for t in station.thresholds] == [
        (1, 1.0, "水防団待機水位"),
        (4, 4.0, "氾濫危険水位"),
    ]
    assert (station.crest_m, station.gauge_zero_tp_m, station.river.river_id) == (6.5, 12.345, "kuji")
    assert [s.quantity for s in station.sensors] == ["water_level"]
    listed = schemas.Stations.model_validate_json(api.get("/stations").content).stations
    assert station.model_dump(exclude={"cross_section", "datums"}) in [one.model_dump() for one in listed]


def test_an_unknown_station_is_a_problem(api):
    response = api.get("/stations/nowhere")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


def test_a_station_tells_its_boxes_and_what_each_said_while_it_was_there(api, rows):
    sensor = rows.station("boxes")
    rows.sql("INSERT INTO device (device_id, kind) VALUES ('old-box', 'float'), ('new-box', 'radar')")
    rows.sql(
        "INSERT INTO deployment (device_id, quantity, sensor_id, valid_from, valid_to) VALUES"
        " ('old-box', 'water_level', %s, '2020-01-01Z', '2024-05-01Z'), ('new-box', 'distance', %s, '2024-05-01Z', NULL)",
        sensor, sensor,
    )  # fmt: skip
    # the old box speaks on from a shelf in the office: that is nothing of this station
    rows.sql(
        "INSERT INTO device_status VALUES ('old-box', now(), '{}'), ('new-box', now() - interval '1 hour', '{\"battery_v\": 3.61}')"
    )
    rows.newest(sensor, 1.2, minutes_ago=2)
    devices = schemas.Devices.model_validate_json(api.get("/stations/boxes/devices").content).devices
    new, old = devices
    assert (new.device_id, new.kind, new.quantity, new.sensor_quantity) == (
        "new-box",
        "radar",
        "distance",
        "water_level",
    )
    assert new.status == {"battery_v": 3.61}
    assert datetime.now(UTC) - new.status_at > timedelta(minutes=59)
    assert datetime.now(UTC) - new.heard_at < timedelta(minutes=1)
    assert (old.device_id, old.status, old.status_at, old.heard_at) == ("old-box", None, None, None)
    assert old.valid_to == new.valid_from
    assert api.get("/stations/nowhere/devices").status_code == 404
    assert api.json("/stations/bridge/devices") == {"devices": []}


def test_the_map_gets_points_and_river_lines(api, sensor):
    response = api.get("/stations.geojson")
    assert response.headers["content-type"] == "application/geo+json"
    features = response.json()["features"]
    river = next(f for f in features if f["properties"]["kind"] == "river")
    assert river["geometry"] == {"type": "LineString", "coordinates": [[140.1, 36.9], [140.6, 36.5]]}
    assert river["properties"]["river_id"] == "kuji"
    point = next(f for f in features if f["properties"].get("station_id") == "bridge")
    assert point["geometry"] == {"type": "Point", "coordinates": [140.5, 36.5]}


def test_alerts_come_newest_first_and_each_once_however_they_are_paged(api, alerts):
    whole = schemas.Alerts.model_validate_json(api.get("/alerts", station="bridge").content)
    assert [a.id for a in whole.alerts] == sorted(alerts, reverse=True)
    for limit in (1, 2, 7, 30):
        assert [a["id"] for a in paged(api, "/alerts", "alerts", station="bridge", limit=limit)] == sorted(
            alerts, reverse=True
        )


def test_alerts_are_filtered_by_state_station_and_time(api, alerts):
    assert [a["id"] for a in api.json("/alerts", state="firing", station="bridge")["alerts"]] == alerts[:-4:-1]
    assert api.json("/alerts", station="elsewhere")["alerts"] == []
    second = {"from": (NIGHT + timedelta(minutes=31)).isoformat(), "to": (NIGHT + timedelta(minutes=61)).isoformat()}
    assert {a["id"] for a in api.json("/alerts", station="bridge", **second)["alerts"]} == set(alerts[3:6])


def test_an_alert_that_began_before_the_span_and_still_fires_is_in_it(api, alerts):
    span = {"from": (NIGHT + timedelta(days=300)).isoformat()}
    assert {a["id"] for a in api.json("/alerts", station="bridge", **span)["alerts"]} == set(alerts[27:])


def test_an_alert_tells_whom_it_was_told_to(api, rows, alerts):
    for n in range(3):
        rows.sql(
            "INSERT INTO notification (alert_id, channel, recipient, event, idempotency_key, subject, body)"
            " VALUES (%s, 'log', 'duty', 'raised', %s, '基準水位超過（自動判定）', 'b')",
            alerts[0], f"k{n}",
        )  # fmt: skip
    detail = schemas.AlertDetail.model_validate_json(api.get(f"/alerts/{alerts[0]}").content)
    assert [n.recipient for n in detail.notifications] == ["duty"] * 3
    listed = schemas.Notifications.model_validate_json(api.get("/notifications").content)
    assert [n.id for n in listed.notifications] == sorted((n.id for n in listed.notifications), reverse=True)
    assert len(paged(api, "/notifications", "notifications", limit=1)) == 3
    assert api.get("/alerts/999999").status_code == 404


def test_quarantine_keeps_the_bytes_and_pages_newest_first(api, rows):
    for n in range(9):
        rows.sql(
            "INSERT INTO quarantine (received_at, topic, device_id, reason, payload, gateway_id)"
            " VALUES (now(), 't', %s, 'no unit', %s, 'g')",
            f"d{n % 3}", bytes([0, 255, n]),
        )  # fmt: skip
    messages = schemas.Quarantine.model_validate_json(api.get("/quarantine").content).messages
    assert [base64.b64decode(m.payload_base64)[2] for m in messages] == list(range(8, -1, -1))
    assert [m["id"] for m in paged(api, "/quarantine", "messages", limit=2)] == [m.id for m in messages]
    assert [
        base64.b64decode(m["payload_base64"])[2] for m in paged(api, "/quarantine", "messages", device="d1", limit=1)
    ] == [7, 4, 1]


def test_the_list_shows_the_beginning_of_a_long_message_and_its_own_address_all_of_it(api, rows):
    size, count = 2**20, 60
    rows.sql(
        "INSERT INTO quarantine (received_at, topic, reason, payload, gateway_id)"
        " SELECT now(), 'long-' || n, 'no JSON', convert_to(n || repeat(md5(n::text), %s), 'UTF8'), 'g'"
        " FROM generate_series(1, %s) n",
        size // 32 - 1, count,
    )  # fmt: skip
    with api.stream() as stream:
        stream.until(lambda e: e["event"] == "heartbeat")
        begun = time.monotonic()
        answer = api.get("/quarantine", limit=1000)
        took = time.monotonic() - begun
        stream.until(lambda e: e["event"] == "heartbeat")
        assert time.monotonic() - begun < HEARTBEAT_S + 2
    assert took < 2
    assert len(answer.content) < count * 6000
    newest = schemas.Quarantine.model_validate_json(answer.content).messages[0]
    shown = base64.b64decode(newest.payload_base64)
    whole = api.get(f"/quarantine/{newest.id}")
    assert (len(shown), len(whole.content)) == (4096, newest.payload_bytes)
    assert whole.content.startswith(shown)
    assert whole.content == f"{count}{hashlib.md5(str(count).encode()).hexdigest() * (size // 32 - 1)}".encode()
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert api.get("/quarantine/999999").status_code == 404
    rows.sql("DELETE FROM quarantine WHERE topic ~ '^long-'")


def test_a_drill_is_told_to_every_screen(serve_again):
    with serve_again(
        site={"name_ja": "日立市", "name_en": "Hitachi", "status": "exercise", "notice_ja": "訓練中"}
    ) as api:
        site = schemas.Site.model_validate_json(api.get("/site").content)
    assert (site.status, site.notice, site.time_zone) == (
        "exercise",
        schemas.Name(ja="訓練中", en="訓練中"),
        "Asia/Tokyo",
    )


def test_flood_levels_have_names_and_colours(api):
    levels = schemas.FloodLevels.model_validate_json(api.get("/flood-levels").content).flood_levels
    assert [(level.level, level.colour) for level in levels][::5] == [(0, "#C8C8CB"), (5, "#0C000C")]


def test_a_station_knows_its_neighbours_its_ward_and_the_bed_of_its_river(api, rows):
    for n, km in enumerate((30.0, 20.0, 10.0, 5.0, 1.0)):
        rows.station(f"row{n}")
        rows.sql("UPDATE station SET km = %s, ward_ja = '北区' WHERE station_id = %s", km, f"row{n}")
    rows.sql(
        "INSERT INTO cross_section VALUES ('row2', '2020-01-01Z', '[[0, 5], [9, -1], [20, 5.5]]'),"
        " ('row2', '2199-01-01Z', '[[0, 0], [1, 1], [2, 2]]')"
    )
    rows.sql(
        "INSERT INTO mark VALUES ('row2', 'crest_left', '2020-01-01Z', 5), ('row2', 'crest_right', '2020-01-01Z', 5.5)"
    )
    middle = schemas.StationDetail.model_validate_json(api.get("/stations/row2").content)
    assert middle.neighbours == schemas.Neighbours(upstream=["row1", "row0"], downstream=["row3", "row4"])
    assert (middle.ward, middle.crest_m, middle.crest_right_m) == (schemas.Name(ja="北区", en="北区"), 5.0, 5.5)
    assert middle.cross_section.points == [(0, 5), (9, -1), (20, 5.5)]
    end = schemas.StationDetail.model_validate_json(api.get("/stations/row4").content)
    assert (end.neighbours.downstream, end.cross_section) == ([], None)
