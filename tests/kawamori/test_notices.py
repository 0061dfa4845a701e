# ruff: noqa: E501 - a table reads best unbroken
"""What hides a flood is named: silences, thresholds out of reach, services that fail."""

from datetime import UTC, datetime, timedelta

import pytest

from kawamori.domain.notices import (
    Height,
    Starts,
    Undelivered,
    hiding,
    impairs,
    of_services,
    of_set_aside,
    of_silences,
    of_thresholds,
    out_of_reach,
)
from kawamori.domain.silence import Silence

NOW = datetime(2026, 9, 1, tzinfo=UTC)
H = timedelta(hours=1)
STATIONS = [("a", "r"), ("b", "r"), ("c", "q")]


def silence(id_=1, *, begins=0.0, hours=2.0, level=3, **more):
    return Silence(
        id=id_, up_to_level=level, starts_at=NOW + begins * H, ends_at=NOW + (begins + hours) * H,
        reason="浚渫", author="担当", **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("silences", "named"),
    [
        ([silence()], [1]), ([silence(level=2)], []), ([silence(hours=48, level=2)], []),
        ([silence(station="a")], []), ([silence(station="a", hours=25)], [1]), ([silence(river="r")], []),
        ([silence(kinds=("battery",), level=5)], []), ([silence(kinds=("level",), level=5)], [1]),
        ([silence(1, river="r"), silence(2, river="q")], [1, 2]),
        ([silence(1, river="r"), silence(2, river="q", begins=3)], []),
        ([silence(1, station="a", hours=13), silence(2, station="a", begins=13.5, hours=12)], [1, 2]),
        ([silence(1, station="a", hours=13), silence(2, station="b", begins=13, hours=12)], []),
        ([silence(1, station="a", hours=13), silence(2, river="r", begins=13, hours=12)], [1, 2]),
    ],
)  # fmt: skip
def test_a_silence_that_hides_floods_of_the_whole_site_or_for_more_than_a_day_is_named(silences, named):
    assert [s.id for s in hiding(silences, STATIONS)] == named


def test_a_silence_announced_for_tomorrow_stands_but_impairs_nothing_yet():
    (notice,) = of_silences([silence(begins=24)], STATIONS)
    assert impairs(notice, NOW) is None
    assert impairs(notice, NOW + 25 * H) == "silenced"


def test_a_reason_cannot_break_the_banner_or_turn_it_round():
    (notice,) = of_silences([silence().__class__(**{
        **{n: getattr(silence(), n) for n in Silence.__slots__}, "reason": "試験\u2028\u202eですか" + "x" * 500,
    })], STATIONS)  # fmt: skip
    assert len(notice.text_ja.splitlines()) == 1
    assert "\u202e" not in notice.text_ja
    assert len(notice.text_ja) < 250


def height(value, **more):
    return Height(**({
        "station": "a", "name_ja": "橋", "name_en": "Bridge", "level": 4, "value_m": value, "since": NOW, "lowest_m": 4.0,
        "next_lowest_m": 4.6, "crest_m": 5.0,
    } | more))  # fmt: skip


@pytest.mark.parametrize(
    ("found", "is_named"),
    [
        (height(4.0), False), (height(4.3), False), (height(999.0), True), (height(5.6), True), (height(4.6), True),
        (height(5.0, next_lowest_m=None), True), (height(4.9, next_lowest_m=None), False), (height(3.0), False),
        (height(5.4, crest_m=None, next_lowest_m=None, lowest_m=5.4), False),
        (height(5.6, lowest_m=5.6), True), (height(None), True), (height(None, lowest_m=None), False),
        (height(999.0, level=2), False), (height(999.0, level=2, highest=True), True),
        (height(4.0, hold=2 * H), True), (height(4.0, consecutive=50), True), (height(4.0, hold=H / 6), False),
    ],
)  # fmt: skip
def test_a_threshold_out_of_the_waters_reach_is_named(found, is_named):
    assert (out_of_reach(found) is not None) == is_named
    assert len(of_thresholds([found])) == is_named


def starts(count, seconds, *, ago=1.0, alive=0, service="ingest"):
    last = NOW - timedelta(seconds=ago)
    return Starts(service=service, count=count, first=last - timedelta(seconds=seconds), last=last, alive=alive)


@pytest.mark.parametrize(
    ("found", "is_named"),
    [
        (starts(21, 150), True), (starts(5, 20), True), (starts(4, 20), False), (starts(8, 3, alive=8), False),
        (starts(8, 3), False), (starts(8, 100, alive=8), False), (starts(21, 150, ago=90), False),
    ],
)  # fmt: skip
def test_a_service_in_a_crash_loop_is_named_as_what_it_is_and_workers_that_start_together_are_not(found, is_named):
    notices = of_services([found], NOW, NOW)
    assert len(notices) == is_named
    if is_named:
        assert impairs(notices[0], NOW) == "restarting"


def test_the_words_say_how_often_and_that_it_is_not_the_gateway():
    (notice,) = of_services([starts(21, 149)], NOW, NOW)
    assert "has started 21 times in the last 150 s" in notice.text_en
    assert "not the sensors or gateways" in notice.text_en
    assert "21 回" in notice.text_ja


def test_rows_set_aside_keep_nobody_from_being_told_of_the_water():
    (notice,) = of_set_aside([Undelivered(gateway="g-1", rows=2, since=NOW)])
    assert "g-1" in notice.text_ja
    assert impairs(notice, NOW) is None


def test_a_dead_ingest_is_named_and_one_that_was_never_there_or_loops_is_not_called_dead():
    (notice,) = of_services([], NOW - H, NOW)
    assert (notice.key, impairs(notice, NOW)) == ("dead:ingest", "no_ingest")
    assert of_services([], None, NOW) == []
    assert of_services([], NOW - timedelta(seconds=20), NOW) == []
    assert [n.key for n in of_services([starts(21, 150)], NOW - H, NOW)] == ["restarting:ingest"]
