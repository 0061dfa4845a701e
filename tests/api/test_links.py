"""The link in a message: looking changes nothing, the button acknowledges what the message told, and nothing else."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.console import SECURITY_HEADERS
from kawamori.domain.links import sign, verify

NOW = datetime(2026, 9, 1, tzinfo=UTC)
SECRET = b"secret"


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.text(max_size=50), st.integers(1, 48 * 3600), st.data())
def test_a_link_lets_do_what_was_signed_and_nothing_when_a_character_is_changed(
    incident, alert, contact, seconds, data
):
    contact = contact.encode("utf-8", "ignore").decode()
    token = sign(SECRET, incident, alert, contact, NOW + timedelta(seconds=seconds))
    link = verify(SECRET, token, NOW)
    assert (link.incident, link.up_to_alert, link.contact) == (incident, alert, contact)
    assert re.fullmatch(r"[A-Za-z0-9._=-]+", token)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("0123456789abcXYZ_-.").filter(lambda c: c != token[place]))
    with pytest.raises(ValueError, match="changed"):
        verify(SECRET, token[:place] + other + token[place + 1 :], NOW)
    with pytest.raises(ValueError, match="changed"):
        verify(b"other", token, NOW)
    with pytest.raises(ValueError, match="expired"):
        verify(SECRET, token, NOW + timedelta(seconds=seconds))


@pytest.fixture(scope="module")
def sensor(rows):
    rows.sql(
        "INSERT INTO contact VALUES ('duty', 'person', '当直 <b>', '{\"language\": \"ja\"}'),"
        " ('en', 'person', 'Duty', '{\"language\": \"en\"}'), ('crew', 'group', '班', '{}')"
    )
    return rows.station("weir")


@pytest.fixture
def told(rows, sensor):
    """An incident of three alerts, the message told of the first two."""
    incident = rows.incident()
    return incident, [rows.alert("weir", sensor, incident=incident, level=n) for n in (3, 4, 5)]


@pytest.fixture
def token(rows, told):
    ((secret,),) = rows.sql("SELECT value FROM secret WHERE name = 'links'")

    def make(contact="duty", lasts=timedelta(hours=48)):
        return sign(bytes(secret), told[0], told[1][1], contact, datetime.now(UTC) + lasts)

    return make


def states(rows, told):
    return [
        row[0]
        for row in rows.sql("SELECT acknowledged_by FROM alert WHERE alert_id = ANY(%s) ORDER BY 1, alert_id", told[1])
    ]


@pytest.mark.integration
def test_looking_changes_nothing_however_often(api, rows, told, token):
    for method in ("GET", "HEAD", "GET"):
        response = api.http.request(method, f"/acknowledge/{token()}")
        assert response.status_code == 200
    assert states(rows, told) == [None] * 3
    assert "当直 &lt;b&gt;" in response.text
    assert "L3" in response.text
    assert "L5" not in response.text
    assert "<script" not in response.text
    assert {name: response.headers[name] for name in ("content-security-policy", "x-content-type-options")} == {
        name.lower(): value for name, value in SECURITY_HEADERS.items() if name != "Referrer-Policy"
    }
    assert (response.headers["cache-control"], response.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.integration
def test_the_button_acknowledges_what_the_message_told_of_under_the_contacts_name(api, rows, told, token):
    response = api.http.post(f"/acknowledge/{token()}")
    assert response.status_code == 303
    page = api.http.get(response.headers["location"])
    assert "すべて確認済み" in page.text
    assert "新しいアラート" in page.text
    assert "<form" not in page.text
    assert states(rows, told) == ["当直 <b>"] * 2 + [None]
    assert api.http.post(f"/acknowledge/{token('en')}").status_code == 303
    assert [rows.audit(a) for a in told[1]] == [[("当直 <b>", "acknowledged", None)]] * 2 + [[]]


@pytest.mark.integration
def test_each_reads_it_in_their_language(api, token):
    assert "I have seen this" in api.http.get(f"/acknowledge/{token('en')}").text
    assert "確認した" in api.http.get(f"/acknowledge/{token('crew')}").text


@pytest.mark.integration
def test_whoever_is_named_in_the_settings_does_not_give_their_address_away(api, rows, told, token):
    assert api.http.post(f"/acknowledge/{token('mail:night@city.example')}").status_code == 303
    assert "city.example" not in api.get(f"/alerts/{told[1][0]}").text
    assert states(rows, told)[0] == "night（メール）"


@pytest.mark.integration
def test_a_link_that_was_changed_has_expired_or_is_nobodys_any_more_does_nothing(api, rows, told, token):
    for bad in (
        token()[:-1] + "!",
        token(lasts=timedelta(seconds=-1)),
        token("removed"),
        "x",
        "1.2.3.4.5",
        "%00",
        "あ",
    ):
        for method in ("GET", "POST"):
            response = api.http.request(method, f"/acknowledge/{bad}")
            assert response.status_code == 403
            assert "使えません" in response.text
    assert states(rows, told) == [None] * 3


@pytest.mark.integration
def test_a_drill_says_so(api, rows, told, token):
    rows.sql("UPDATE alert SET status = 'exercise' WHERE alert_id = %s", told[1][0])
    assert "【訓練】" in api.http.get(f"/acknowledge/{token()}").text


@pytest.mark.integration
def test_the_button_is_large_enough_for_a_wet_thumb(api):
    style = api.http.get("/api/acknowledge.css")
    assert style.headers["content-type"].startswith("text/css")
    (height,) = re.findall(r"button\{[^}]*min-height:(\d+)px", style.text)
    assert int(height) >= 44
