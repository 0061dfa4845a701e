"""Silences: in force when they say, and never in the way of a flood they do not name."""

# ruff: noqa: DTZ001 - what the clock on a wall says has no zone
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kawamori.domain.people import DAYS, Hours
from kawamori.domain.rules import KINDS
from kawamori.domain.silence import Silence, Weekly, silenced

START = datetime(2026, 7, 14, tzinfo=UTC)
ABOUT: dict[str, Any] = {"alert": 7, "kind": "level", "station": "s", "river": "r", "level": 1}


def silence(id_: int = 1, *, hours: float = 2, begins: float = 0, **more: Any) -> Silence:
    plan: dict[str, Any] = {
        "id": id_, "starts_at": START + timedelta(hours=begins), "ends_at": START + timedelta(hours=begins + hours),
        "reason": "点検", "author": "佐藤",
    }  # fmt: skip
    return Silence(**(plan | more))


def test_a_silence_holds_from_its_start_to_just_before_its_end() -> None:
    one = silence()
    held = [one.in_force(START + timedelta(microseconds=us, hours=h)) for us, h in ((-1, 0), (0, 0), (-1, 2), (0, 2))]
    assert held == [False, True, True, False]


@pytest.mark.parametrize(
    ("window", "about", "covered"),
    [
        ({}, {}, False),  # by default no flood is silenced
        ({"up_to_level": 1}, {}, True),
        ({"up_to_level": 1}, {"level": 2}, False),
        ({}, {"kind": "battery", "level": 0}, True),
        ({"station": "s", "up_to_level": 5}, {}, True),
        ({"station": "t", "up_to_level": 5}, {}, False),
        ({"river": "r", "up_to_level": 5}, {}, True),
        ({"river": "q", "up_to_level": 5}, {}, False),
        ({"station": "s", "kinds": ("silent",)}, {"kind": "silent", "level": 0}, True),
        ({"station": "s", "kinds": ("silent",)}, {"kind": "stuck", "level": 0}, False),
        ({"kinds": ("silent",), "up_to_level": 5}, {}, False),
        # what has no level, and is no equipment, must be named
        ({"up_to_level": 5}, {"kind": "rise", "level": 0}, False),
        ({"kinds": ("rise",)}, {"kind": "rise", "level": 0}, True),
        ({"up_to_level": 5}, {"kind": "manual", "level": 0}, False),
        ({"up_to_level": 5}, {"kind": "self_test", "level": 0}, False),
        # one alert that is shelved, whatever its level
        ({"alert": 7}, {"level": 5}, True),
        ({"alert": 8}, {"level": 0}, False),
    ],
)
def test_what_a_silence_is_about(window: dict[str, Any], about: dict[str, Any], covered: bool) -> None:
    assert silence(**window).covers(**(ABOUT | about)) is covered


@given(
    st.sampled_from(sorted(KINDS)), st.integers(0, 5), st.integers(0, 5), st.sampled_from([None, "s", "t"]),
    st.sampled_from([None, "r", "q"]),
)  # fmt: skip
def test_no_window_hides_a_level_above_its_own(
    kind: str, level: int, up_to: int, station: str | None, river: str | None
) -> None:
    window = silence(station=station, river=river, up_to_level=up_to)
    if level > up_to:
        assert silenced([window], START, **(ABOUT | {"kind": kind, "level": level})) is None


def test_of_several_silences_the_one_that_ends_last_is_named() -> None:
    short, long = silence(1, up_to_level=5), silence(2, hours=9, up_to_level=5)
    later, other = silence(3, begins=1, hours=20, up_to_level=5), silence(4, hours=99, station="t", up_to_level=5)
    assert silenced([short, long, later, other], START, **ABOUT) == long
    assert silenced([], START, **ABOUT) is None


@pytest.mark.parametrize(
    ("zone", "sunday", "minutes"),
    [
        ("Asia/Tokyo", datetime(2026, 3, 8), 120),
        ("America/New_York", datetime(2026, 3, 8), 60),
        ("America/New_York", datetime(2026, 11, 1), 180),
        ("Australia/Lord_Howe", datetime(2026, 10, 4), 90),
        ("Australia/Lord_Howe", datetime(2026, 4, 5), 150),
    ],
)
def test_a_weekly_window_by_the_jump_lasts_as_long_as_the_wall_clock_shows(
    zone: str, sunday: datetime, minutes: int
) -> None:
    """Every Sunday 01:00–03:00: one hour where the clock jumps ahead, three where it falls back."""
    midnight = sunday.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    window = replace(
        silence(weekly=Weekly(hours=(Hours(days=("sun",), start=time(1), end=time(3)),), time_zone=zone)),
        starts_at=midnight - timedelta(days=30), ends_at=midnight + timedelta(days=30),
    )  # fmt: skip
    held = [at for n in range(23 * 60) if window.in_force(at := midnight + timedelta(minutes=n))]
    assert len(held) == minutes


@given(
    st.sampled_from(["Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)), st.times(), st.times(),
)  # fmt: skip
def test_a_week_is_silent_and_loud_by_turns_without_a_gap(zone: str, at: datetime, start: time, end: time) -> None:
    def window(*hours: Hours) -> Silence:
        whole = silence(up_to_level=5, weekly=Weekly(hours=hours, time_zone=zone))
        return replace(whole, starts_at=at - timedelta(days=1), ends_at=at + timedelta(days=1))

    start, end = start.replace(fold=0), end.replace(fold=0)
    quiet, loud = window(Hours(start=start, end=end)), window(Hours(start=end, end=start))
    assert start == end or quiet.in_force(at) is not loud.in_force(at)
    assert window(*(Hours(days=(d,), start=time(0), end=time(0)) for d in DAYS)).in_force(at)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hours": 0}, "ends_at: must be later"),
        ({"up_to_level": 6}, "up_to_level: must be 0 to 5"),
        ({"reason": "  "}, "reason: must not be empty"),
    ],
)
def test_a_wrong_silence_is_refused_by_the_name_of_its_field(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        silence(**wrong)


def test_a_weekly_window_needs_hours_and_a_known_time_zone() -> None:
    with pytest.raises(ValueError, match="hours: must not be empty"):
        Weekly(hours=())
    with pytest.raises(ValueError, match="time_zone:"):
        Weekly(hours=(Hours(start=time(1), end=time(2)),), time_zone="Asia/Edo")
