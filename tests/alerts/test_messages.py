"""The words people receive, and when they are due. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.messages import FIRST_LINE, AlertEvent, Links, compose, first_line, paragraph
from alerts.paging import GATHER, MOST, WINDOW, Audience, Before, Event, Lately, bundles, due, state_of
from kawamori.domain.reading import RiverId, SensorId, StationId
from kawamori.domain.registry import Station
from kawamori.domain.rules import KINDS, Episode
from kawamori.storage.alerts import Alert
from kawamori.storage.announcements import Announcement

AT = datetime(2026, 7, 13, 17, 14, tzinfo=UTC)  # 02:14 JST
NAMES = {
    1: ("水防団待機水位", "standby"),
    3: ("避難判断水位", "evacuation decision"),
    4: ("氾濫危険水位", "flood danger"),
}
HALF_HOUR = timedelta(minutes=30)


def alert(**more: Any) -> Alert:
    values = {
        "id": 1, "kind": "level", "station": StationId("s"), "river": RiverId("r"), "sensor": SensorId(1),
        "subject": "", "level": 4, "threshold_m": 4.45, "state": "firing", "started_at": AT, "ended_at": None,
        "value_m": 4.52, "peak_m": 4.52, "verified": True, "status": "actual", "paged_at": AT, "detail": {},
        "incident": None, "acknowledged_at": None, "confirmed_at": None, "dismissed_at": None,
    } | more  # fmt: skip
    return Alert(**values)


def station(name: str = "汐見橋", river: str = "鴫川", english: str = "Shiomi Bridge") -> Station:
    return Station(
        id=StationId("s"), name_ja=name, name_en=english, river=RiverId("r"), river_name_ja=river,
        river_name_en="Shigi River", crest_left_m=5.02,
    )  # fmt: skip


def episode(**more: Any) -> Episode:
    return Episode(**({"kind": "level", "level": 1, "started_at": AT, "value_m": 2.0, "peak_m": 2.0} | more))


def test_the_first_line_says_it_all() -> None:
    told = AlertEvent(event="raised", alert=alert(), station=station(), trend_h=0.72)
    assert first_line(told, NAMES) == "【L4 氾濫危険】鴫川汐見橋 4.52m（基準4.45）↑12cm/10分 02:14 自動判定"
    assert "堤防天端まで 0.50 m" in paragraph(told, NAMES, "ja")
    assert "0.50 m below the levee crest" in paragraph(told, NAMES, "en")


@pytest.mark.parametrize(("status", "mark"), [("exercise", "【訓練】"), ("test", "【試験】")])
@pytest.mark.parametrize("event", ["raised", "resolved", "withdrawn", "confirmed", "escalated"])
def test_a_drill_is_marked_on_every_line_and_paragraph(status: str, mark: str, event: str) -> None:
    told = AlertEvent(event=event, alert=alert(status=status, ended_at=AT), station=station())
    assert first_line(told, NAMES).startswith(mark)
    assert paragraph(told, NAMES, "ja").startswith(mark)
    assert first_line(told, NAMES, "en").startswith("[")


def test_a_doubtful_value_says_why_and_what_the_neighbours_show() -> None:
    detail = {
        "reasons": ["rate"],
        "neighbours": [{"station_id": "up", "value_m": 1.2, "observed_at": AT.isoformat()}],
    }
    told = AlertEvent(event="raised", alert=alert(verified=False, detail=detail), station=station())
    assert "未確認" in first_line(told, NAMES)
    text = paragraph(told, NAMES, "ja")
    assert "変化が急" in text
    assert "隣 up 1.20 m（02:14）" in text


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from(["raised", "resolved", "withdrawn", "confirmed", "escalated"]),
    st.sampled_from(["ja", "en"]), st.sampled_from(["actual", "exercise", "test"]), st.booleans(),
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=100), st.sampled_from([0, 1, 3, 4]),
    st.one_of(st.none(), st.floats(-9, 9)), st.floats(-15, 40),
)  # fmt: skip
def test_no_first_line_is_longer_than_a_lock_screen_and_none_issues_a_warning_of_the_agency(
    kind: str, event: str, language: str, status: str, verified: bool, name: str, level: int, trend: float | None,
    value: float,
) -> None:  # fmt: skip
    is_level = kind == "level"
    told = AlertEvent(
        event=event,
        alert=alert(
            kind=kind, level=level or (1 if is_level else 0), threshold_m=value if is_level else None, value_m=value,
            status=status, verified=verified, ended_at=AT if event == "resolved" else None,
        ),
        station=station(name, name, name), trend_h=trend,
    )  # fmt: skip
    line = first_line(told, NAMES, language)
    assert len(line) <= FIRST_LINE
    message = compose([told, told], NAMES, language, Links(page="https://k", acknowledge="https://k/a"), 1)
    assert message.subject == line
    assert "警報" not in (line + message.body).replace(name, "")
    assert "https://k/a" in message.body


def test_old_evidence_is_never_paged_and_fresh_evidence_always() -> None:
    later = AT + timedelta(hours=3)
    one = episode()
    new = Before()
    assert due(one, "firing", new, verified=True, newest=AT, now=later, within=HALF_HOUR) == []
    # the crossing is old, but the water is still up there now
    assert due(one, "firing", new, verified=True, newest=later, now=later, within=HALF_HOUR) == [Event.RAISED]
    told = Before(state="firing", paged=True, verified=True)
    assert due(one, "firing", told, verified=True, newest=later, now=later, within=HALF_HOUR) == []
    over = episode(ended_at=AT)
    assert due(over, "resolved", told, verified=True, newest=later, now=later, within=HALF_HOUR) == [Event.RESOLVED]
    assert due(over, "resolved", new, verified=True, newest=later, now=later, within=HALF_HOUR) == []


def test_a_persons_dismissal_does_not_outlive_the_readings_that_prove_it_wrong() -> None:
    assert state_of(episode(verified=False), verified=False, dismissed=True) == "withdrawn"
    assert state_of(episode(), verified=True, dismissed=True) == "firing"
    dismissed = Before(state="withdrawn", paged=True, verified=False)
    found = due(episode(), "firing", dismissed, verified=True, newest=AT, now=AT, within=HALF_HOUR)
    assert found == [Event.RAISED]


def test_who_was_told_that_it_was_no_water_is_told_when_late_data_prove_it_was() -> None:
    withdrawn = Before(state="withdrawn", paged=True, verified=False)
    over, later = episode(ended_at=AT), AT + timedelta(hours=3)
    found = due(over, "resolved", withdrawn, verified=True, newest=later, now=later, within=HALF_HOUR)
    assert found == [Event.RAISED, Event.RESOLVED]


waits = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 5), st.integers(0, 900), st.sampled_from(["raised", "resolved"])),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(waits, st.integers(0, 15), st.booleans())
def test_urgent_news_always_goes_out_and_nothing_goes_out_twice(
    found: list[tuple[int, int, int, str]], busiest: int, gathering: bool
) -> None:
    waiting = [
        (incident, Announcement(id=n, event=event, at=AT - timedelta(seconds=age), alert=alert(id=n, level=level)))
        for n, (incident, level, age, event) in enumerate(found)
    ]
    lately = Lately(incidents={}, sent={("p", "flood"): busiest})
    audiences = {incident: Audience(persons=frozenset("p")) for incident, _ in waiting}
    out = bundles(waiting, lately, [i for i, _ in waiting] if gathering else [], AT, audiences)
    ids = [w.id for bundle in out for _, w in bundle]
    assert len(ids) == len(set(ids))
    assert {w.id for _, w in waiting if w.event == "raised" and w.alert.level >= 3} <= set(ids)
    calm = [b for b in out if not any(w.event == "raised" and w.alert.level >= 3 for _, w in b)]
    assert len(calm) <= max(0, MOST - busiest)
    if gathering:
        assert all(AT - min(w.at for _, w in b) >= GATHER for b in calm if len({i for i, _ in b}) == 1)
    if found and busiest == 0 and not gathering:
        assert len(ids) == len(waiting), "where nothing was sent lately, everything goes out"
    assert timedelta(minutes=10) == WINDOW


def one(id_: int, level: int = 1, age: float = 0) -> Announcement:
    return Announcement(id=id_, event="raised", at=AT - timedelta(seconds=age), alert=alert(id=id_, level=level))


def test_nobody_waits_for_somebody_elses_mail_and_equipment_counts_apart() -> None:
    """The duty desk has had its ten; another river's people, and its own equipment's, are told at once."""
    lately = Lately(incidents={}, sent={("desk", "flood"): 10})
    audiences = {
        1: Audience(persons=frozenset({"desk"})), 2: Audience(persons=frozenset({"other"})),
        3: Audience(persons=frozenset({"desk"}), topic="equipment"), 4: Audience(persons=frozenset({"desk"})),
    }  # fmt: skip
    waiting = [(1, one(1)), (2, one(2)), (3, one(3)), (4, one(4, level=3))]
    assert [[w.id for _, w in b] for b in bundles(waiting, lately, [], AT, audiences)] == [[4], [2], [3]]


def test_a_return_after_an_end_was_told_says_that_it_is_back() -> None:
    told = AlertEvent(event="returned", alert=alert(), station=None)
    ja, en = first_line(told, NAMES), first_line(told, NAMES, "en")
    assert "再び" in ja
    assert "AGAIN" in en
    assert "再び超えています" in compose([told], NAMES, "ja", Links(), 1).body
    assert "is back" in compose([told], NAMES, "en", Links(), 1).body
