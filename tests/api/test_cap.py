# ruff: noqa: E501 - tables read best unbroken
"""Alerts as CAP 1.2: valid by two schemas whatever is said, and by the rules that no schema says."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from capvalidator import check_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from api.feeds import cap
from kawamori.domain.reading import RiverId, StationId
from kawamori.domain.registry import Station
from kawamori.domain.rules import KINDS
from kawamori.storage.alert_pages import Alert

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "cap"
NAMES = {"c": cap.NAMESPACE}
SENDER = cap.Sender(id="kawamori@city.example", name={"ja": "川守市", "en": "Kawamori"}, web="https://k.example")
START = datetime(2026, 9, 1, 17, 4, 5, 678_901, tzinfo=UTC)
STATION = Station(
    id=StationId("weir"), name_ja="下橋", name_en="Shimohashi", river=RiverId("kuji"), river_name_ja="久慈川",
    river_name_en="Kuji", lon=140.5, lat=36.5,
)  # fmt: skip


def alert(**change) -> Alert:
    return replace(
        Alert(
            id=7, station="weir", river="kuji", kind="level", subject="", flood_level=4, state="firing", started_at=START,
            ended_at=None, retroactive=False, verified=True, status="actual", value_m=4.52, threshold_m=4.45, peak_m=4.6,
            recorded_at=START, paged_at=START, acknowledged_at=None, acknowledged_by=None, confirmed_at=None,
            confirmed_by=None, dismissed_at=None, dismissed_by=None, shelved_until=None, incident=3, detail={},
        ),
        **change,
    )  # fmt: skip


def subject(*events: str, station: Station | None = STATION, **change) -> cap.Subject:
    told = [(event, START + n * timedelta(minutes=5)) for n, event in enumerate(events)]
    return cap.Subject(
        alert=alert(**change), told=told, level_name={"ja": "氾濫危険水位", "en": "flood danger"}, station=station,
        river_name={"ja": "久慈川", "en": "Kuji"},
    )  # fmt: skip


def written(about: cap.Subject, number: int = 1, sender: cap.Sender = SENDER) -> ET.Element:
    body = cap.message(about, number, sender)
    assert valid(body), body.decode()
    return ET.fromstring(body)


def text(root: ET.Element, path: str) -> str | None:
    return root.findtext("/".join(f"c:{part}" for part in path.split("/")), namespaces=NAMES)


def _schemas() -> list[etree.XMLSchema]:
    """OASIS' schema, and one that says in patterns what the standard says in words; where they are at hand."""
    return [etree.XMLSchema(etree.parse(file)) for file in sorted(VECTORS.glob("*.xsd"))]


SCHEMAS = _schemas()


def valid(body: bytes) -> bool:
    """By the validator of the WMO, and by the schemas that are at hand."""
    return check_schema(body).passed and all(schema.validate(etree.fromstring(body)) for schema in SCHEMAS)


@pytest.mark.skipif(not VECTORS.exists(), reason="the recorded CAP messages (../shared/vectors/cap) are not here")
def test_the_check_itself_tells_good_messages_from_bad():
    expected = {e["file"]: e["wmo_capvalidator_schema"] for e in json.loads((VECTORS / "expected.json").read_text())}
    assert {file: check_schema((VECTORS / file).read_bytes()).passed for file in expected} == expected
    bad = [file for file in expected if file.startswith("invalid/")]
    assert len(bad) >= 10
    assert [file for file in bad if valid((VECTORS / file).read_bytes())] == []


def test_an_alert_becomes_an_update_and_is_over():
    about = subject("raised", "confirmed", "resolved")
    first, second, third = (written(about, n) for n in (1, 2, 3))
    assert [text(m, "msgType") for m in (first, second, third)] == ["Alert", "Update", "Update"]
    assert text(first, "references") is None
    assert text(second, "references") == f"{SENDER.id},kawamori.7.1,2026-09-02T02:04:05+09:00"
    assert (text(third, "references") or "").split() == [
        f"{SENDER.id},kawamori.7.1,2026-09-02T02:04:05+09:00", f"{SENDER.id},kawamori.7.2,2026-09-02T02:09:05+09:00",
    ]  # fmt: skip
    assert [text(m, "info/responseType") for m in (first, third)] == ["Monitor", "AllClear"]
    assert [text(m, "info/urgency") for m in (first, third)] == ["Immediate", "Past"]


def test_what_was_no_water_is_cancelled_and_what_comes_after_is_new():
    about = subject("raised", "withdrawn", "raised", "resolved", verified=False)
    assert [text(written(about, n), "msgType") for n in (1, 2, 3, 4)] == ["Alert", "Cancel", "Alert", "Update"]
    assert text(written(about, 4), "references") == f"{SENDER.id},kawamori.7.3,2026-09-02T02:14:05+09:00"


def test_what_was_unverified_then_stays_so_in_the_message_of_then():
    about = subject("raised", "confirmed", verified=True)
    assert [text(written(about, n), "info/certainty") for n in (1, 2)] == ["Possible", "Observed"]
    assert "未確認" in (text(written(about, 1), "info/headline") or "")
    assert text(written(subject("raised", verified=False)), "info/certainty") == "Possible"
    assert text(written(subject("raised", kind="forecast")), "info/certainty") == "Likely"


@pytest.mark.parametrize(("status", "word"), [("actual", "Actual"), ("exercise", "Exercise"), ("test", "Test")])
def test_a_drill_is_a_drill_in_every_field_that_people_read(status, word):
    root = written(subject("raised", status=status))
    assert text(root, "status") == word
    mark = {"actual": "", "exercise": "【訓練】", "test": "【試験】"}[status]
    info = root.find("c:info", NAMES)
    assert info is not None
    for name in ("event", "headline", "description"):
        assert (info.findtext(f"c:{name}", namespaces=NAMES) or "").startswith(mark or "基準水位超過")


def test_staff_only_unless_the_site_says_otherwise():
    assert text(written(subject("raised")), "scope") == "Restricted"
    assert text(written(subject("raised")), "restriction")
    public = written(subject("raised"), 1, replace(SENDER, scope="Public"))
    assert (text(public, "scope"), text(public, "restriction")) == ("Public", None)


def test_both_languages_and_the_place_closed_round_the_station():
    root = written(subject("raised"))
    assert [i.findtext("c:language", namespaces=NAMES) for i in root.findall("c:info", NAMES)] == ["ja-JP", "en-US"]
    ring = (text(root, "info/area/polygon") or "").split()
    assert ring[0] == ring[-1]
    assert len(ring) == 13
    for corner in ring:
        lat, lon = map(float, corner.split(","))
        assert 0.0001 < abs(complex((lat - 36.5) * 111.32, (lon - 140.5) * 111.32 * 0.804)) < 0.51
    assert text(written(subject("raised", station=None)), "info/area/areaDesc") == "久慈川"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_kind_is_called_by_the_word_that_is_the_meteorological_agencys(kind):
    body = cap.message(subject("raised", kind=kind), 1, SENDER).decode()
    assert "警報" not in body
    assert text(written(subject("raised", kind=kind)), "info/category") == (
        "Infra" if KINDS[kind].topic != "flood" else "Met"
    )  # fmt: skip


words = st.text(max_size=40)
times = st.integers(0, 10**9 * 4).map(lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds / 2))
stations = st.builds(
    lambda ja, en, lat, lon: replace(STATION, name_ja=ja, name_en=en, river_name_ja=en, river_name_en=ja, lat=lat, lon=lon),
    words, words, st.none() | st.floats(-90, 90), st.none() | st.floats(-180, 180),
)  # fmt: skip
alerts = st.builds(
    alert, kind=st.sampled_from(sorted(KINDS)), flood_level=st.integers(0, 5), started_at=times,
    verified=st.booleans(), status=st.sampled_from(["actual", "exercise", "test"]), subject=words, station=st.none() | words,
    value_m=st.none() | st.floats(-20, 50), threshold_m=st.none() | st.floats(-20, 50),
    detail=st.just({}) | st.fixed_dictionaries({"message": st.fixed_dictionaries({"ja": words, "en": words})}),
)  # fmt: skip
stories = st.lists(
    st.tuples(st.sampled_from(["raised", "confirmed", "resolved", "withdrawn"]), times), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(alerts, stories, st.none() | stations, words, st.sampled_from(["Public", "Restricted"]))
def test_whatever_is_said_the_message_is_valid(found, told, station, name, scope):
    about = cap.Subject(
        alert=found, told=told, level_name={"ja": name, "en": name}, river_name=None, station=station
    )  # fmt: skip
    sender = cap.Sender(id="a@b", name={"ja": name, "en": name}, scope=scope)
    for number in range(1, len(told) + 1):
        root = written(about, number, sender)
        assert text(root, "sent") == cap.stamp(told[number - 1][1])
        assert (text(root, "msgType") == "Alert") == (text(root, "references") is None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(alerts, stories), max_size=5), words)
def test_whatever_is_said_the_feed_can_be_read(found, name):
    sender = cap.Sender(id="a@b", name={"ja": name, "en": name})
    entries = [(cap.Subject(alert=a, told=told, level_name={"ja": name, "en": name}), len(told)) for a, told in found]
    root = ET.fromstring(cap.feed(entries, sender, "https://k.example", START, "actual"))
    ns = {"a": cap.ATOM}
    for node in [root, *root.findall("a:entry", ns)]:  # RFC 4287: what each must have
        assert node.findtext("a:id", namespaces=ns)
        assert node.findtext("a:title", namespaces=ns)
        assert datetime.fromisoformat(node.findtext("a:updated", namespaces=ns) or "").tzinfo is not None
    assert root.findtext("a:author/a:name", namespaces=ns) is not None
    assert len(root.findall("a:entry/a:link[@type='application/cap+xml']", ns)) == len(found)


@pytest.fixture
def told(rows):
    sensor = rows.station("weir")
    number = rows.alert("weir", sensor, level=3)
    for event in ("raised", "resolved"):
        rows.sql("INSERT INTO announcement (alert_id, event, told_at) VALUES (%s, %s, now())", number, event)
    rows.sql("INSERT INTO announcement (alert_id, event) VALUES (%s, 'withdrawn')", number)  # not told yet
    return number


@pytest.mark.integration
def test_messages_and_feed_are_served(api, rows, told, serve_again):
    newest = api.get(f"/alerts/{told}.cap")
    assert newest.headers["content-type"] == "application/cap+xml"
    assert valid(newest.content)
    assert newest.content == api.get(f"/alerts/{told}/cap/2").content
    assert text(ET.fromstring(api.get(f"/alerts/{told}/cap/1").content), "msgType") == "Alert"
    for path in (f"/alerts/{told}/cap/3", "/alerts/999999.cap", f"/alerts/{told}/cap/0"):
        assert api.get(path).status_code in (404, 422)
    drill = rows.alert("weir", 0, status="exercise", level=2)
    rows.sql("INSERT INTO announcement (alert_id, event, told_at) VALUES (%s, 'raised', now())", drill)
    response = api.get("/alerts.atom")
    assert response.headers["content-type"] == "application/atom+xml"
    links = [e.get("href") for e in ET.fromstring(response.content).iter(f"{{{cap.ATOM}}}link")][1:]
    assert links == [f"{api.url}/api/v1/alerts/{told}/cap/{n}" for n in (2, 1)]
    assert all(valid(api.http.get(link).content) for link in links)
    drills = ET.fromstring(api.get("/alerts.atom", status="exercise").content)
    assert [e.get("href") for e in drills.iter(f"{{{cap.ATOM}}}link")][1:] == [f"{api.url}/api/v1/alerts/{drill}/cap/1"]
    with serve_again(alerts={"public_url": "https://k.example/"}, site={"cap_scope": "Public"}) as other:
        assert b"https://k.example/api/v1/alerts/" in other.get("/alerts.atom").content
        assert text(ET.fromstring(other.get(f"/alerts/{told}.cap").content), "scope") == "Public"
