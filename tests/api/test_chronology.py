# ruff: noqa: E501 - SQL reads best unbroken
"""The record of a night, as the disaster HQ gets it."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.contract import schemas
from api.feeds.chronology import COLUMNS, Line, as_csv, as_html, defused

NIGHT = datetime(2026, 9, 1, 15, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def line(**change) -> Line:
    return Line(**{"at": NIGHT, "kind": "記録", "text": "巡視", **change})


@given(st.text())
def test_no_spreadsheet_takes_words_for_a_formula(text):
    (_, row) = list(csv.reader(io.StringIO(as_csv([line(text=text, who=text)]).decode("utf-8-sig"))))
    assert len(row) == len(COLUMNS)
    for cell in row:
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or float(cell) is not None


def test_a_negative_level_stays_a_number():
    assert [defused(cell) for cell in ("-0.50", "-1+1", "=1", "@a", "+81", "-inf", "-nan")] == [
        "-0.50", "'-1+1", "'=1", "'@a", "+81", "'-inf", "'-nan",
    ]  # fmt: skip


def test_the_file_opens_in_japanese_spreadsheets():
    body = as_csv([line(text="a\r\nb")])
    assert body.startswith(b"\xef\xbb\xbf")
    assert body.count(b"\r\n") == 2
    assert body.decode("utf-8-sig").split("\r\n")[0] == "時刻(JST),種別,河川,観測所,水位,基準,内容,担当,状態"
    assert "2026-09-02 00:00:00" in body.decode()


def test_a_drill_is_marked_on_each_row_and_each_page_and_nothing_runs():
    page = as_html([line(status="exercise", text="<script>alert(1)</script>"), line()], "川守", NIGHT, NIGHT, "actual")
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert "【訓練】" in head
    assert page.count("【訓練】") == 4  # title, heading, head of each page, row
    assert "<script" not in page
    assert "【" not in as_html([line()], "川守", NIGHT, NIGHT, "actual")


@pytest.fixture(scope="module")
def night(rows):
    """A flood that was told of, escalated, acknowledged, and during which the database was away."""
    sensor, other = rows.station("weir"), rows.station("other")
    rows.readings(sensor, NIGHT, 10 * MINUTE, [2.1, 2.6, 3.2, 2.9, 1.8])
    number = rows.alert("weir", sensor, started_at=NIGHT, level=2, state="resolved", ended_at=NIGHT + 40 * MINUTE)
    rows.sql("UPDATE alert SET peak_m = 3.2 WHERE alert_id = %s", number)
    rows.alert("other", other, started_at=NIGHT, level=1)
    rows.sql("INSERT INTO contact VALUES ('duty', 'person', '当直', '{}')")
    rows.sql(
        "INSERT INTO notification (alert_id, contact_id, channel, recipient, event, idempotency_key, subject, body, created_at,"
        " delivered_at, attempts) VALUES (%s, 'duty', 'smtp', 'duty@city.example', 'raised', 'k', '【L2】', 'b', %s, %s, 2)",
        number, NIGHT + MINUTE, NIGHT + 3 * MINUTE,
    )  # fmt: skip
    rows.sql(
        "INSERT INTO attempt (notification_id, at, outcome, answer) SELECT notification_id, %s, 'failed', '451' FROM notification",
        NIGHT + 2 * MINUTE,
    )
    lines = [
        (6, "kawamori", "alert", number, "escalated", None, '{"to": ["chief", "mail:x@y.example"]}'),
        (7, "佐藤", "alert", number, "acknowledged", "現地へ", "{}"), (8, "佐藤", "alert", number, "noted", "=巡視", "{}"),
        (9, "佐藤", "alert", number, "shelved", "工事", '{"until": "2026-09-01T16:00:00+00:00"}'),
        (20, "kawamori", "alerting", None, "impaired", None, '{"at": "2026-09-01T15:12:00+00:00"}'),
        (21, "田中", "rule", None, "changed", None, '{"after": {"kind": "level", "station_id": "weir", "parameters": {}}}'),
        (22, "kawamori", "alerting", None, "self_test_passed", None, "{}"),
    ]  # fmt: skip
    for minute, who, subject, alert, event, note, detail in lines:
        rows.sql(
            "INSERT INTO audit (at, who, subject, subject_id, alert_id, event, note, detail) VALUES (%s, %s, %s, 'x', %s, %s, %s, %s)",
            NIGHT + minute * MINUTE, who, subject, alert, event, note, detail,
        )  # fmt: skip
    return {"from": NIGHT.isoformat(), "to": (NIGHT + timedelta(hours=2)).isoformat()}


def lines(api, **parameters):
    return schemas.Chronology.model_validate_json(api.get("/chronology", **parameters).content).lines


@pytest.mark.integration
def test_everything_is_there_in_order_of_time(api, night):
    found = lines(api, station="weir", **night)
    assert [((entry.at - NIGHT) // MINUTE, entry.kind) for entry in found] == [
        (0, "到達"), (1, "通知"), (2, "通知"), (3, "通知"), (6, "引継ぎ"), (7, "確認"), (8, "記録"), (9, "保留"), (12, "監視障害"),
        (20, "最高"), (21, "設定変更"), (40, "終了"),
    ]  # fmt: skip
    assert (found[0].level_m, found[0].threshold_m, found[0].river, found[0].station) == (2.1, 2.0, "久慈川", "weir橋")
    assert (found[9].level_m, found[5].who, found[4].who) == (3.2, "佐藤", "自動")
    assert [entry.text for entry in found[1:4]] == [
        "送信（メール）：【L2】",
        "不達（メール）、再送する：【L2】",
        "到着（メール、2回目）：【L2】",
    ]
    assert {entry.who for entry in found[1:4]} == {"当直"}
    assert "現地へ" in found[5].text
    assert "09月02日 01:00" in found[7].text


@pytest.mark.integration
def test_nobodys_address_is_in_it(api, night):
    for form in ("csv", "html", "json"):
        text = api.get("/chronology", format=form, **night).text
        assert "city.example" not in text
        assert "y.example" not in text
        assert "当直" in text


@pytest.mark.integration
def test_it_is_cut_by_time_river_and_station(api, night):
    assert {e.station for e in lines(api, river="kuji", **night) if e.station} == {"weir橋", "other橋"}
    assert {e.station for e in lines(api, station="other", **night) if e.station} == {"other橋"}
    late = {**night, "from": (NIGHT + 30 * MINUTE).isoformat()}
    assert [e.kind for e in lines(api, station="weir", **late)] == ["終了"]


@pytest.mark.integration
def test_as_a_file_and_on_paper(api, night):
    sheet = api.get("/chronology", format="csv", **night)
    assert sheet.headers["content-disposition"] == 'attachment; filename="chronology-202609020000-202609020200.csv"'
    assert "L2" in sheet.content.decode("utf-8-sig")
    page = api.get("/chronology", format="html", **night)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "=巡視" in page.text
    assert api.http.get("/api/chronology.css").text.startswith("@page{size:A4")


@pytest.mark.integration
def test_what_cannot_be_asked_is_named(api, night):
    for change, field in [({"to": night["from"]}, "from"), ({"from": "2020-01-01T00:00:00Z"}, "from"), ({"river": "styx"}, "river"),
                          ({"station": "x"}, "station"), ({"format": "pdf"}, "format")]:  # fmt: skip
        response = api.get("/chronology", **{**night, **change})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.integration
def test_of_a_registration_the_thresholds_alone_belong_to_the_night(api, rows):
    for subject, id_, event in (("threshold", "bridge/2", "ended"), ("sensor", "bridge/water_level", "added")):
        rows.sql(
            "INSERT INTO audit (at, who, subject, subject_id, event) VALUES (%s, 'unix:tester', %s, %s, %s)",
            NIGHT + MINUTE, subject, id_, event,
        )  # fmt: skip
    found = api.json("/chronology", **{"from": NIGHT.isoformat(), "to": (NIGHT + 2 * MINUTE).isoformat()})
    assert "基準水位 bridge/2 終了" in str(found)
    assert "water_level" not in str(found)
