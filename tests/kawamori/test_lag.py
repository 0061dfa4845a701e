"""How far behind readings come in, and what that looks like."""

from datetime import UTC, datetime, timedelta

import pytest

from kawamori.domain.lag import Lag, lag_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def live(behind: timedelta, n: int = 6) -> list[tuple[datetime, datetime]]:
    """Readings every ten minutes, each on its way for two seconds."""
    times = [NOW - 10 * MINUTE * i for i in reversed(range(n))]
    return [(at - behind, at + timedelta(seconds=2)) for at in times]


def at_once(behind: timedelta, n: int = 6) -> list[tuple[datetime, datetime]]:
    """The same, sent in one go."""
    return [(at, NOW + timedelta(seconds=i)) for i, (at, _) in enumerate(live(behind, n))]


def test_what_messages_take_and_what_is_registered_is_no_lag() -> None:
    assert lag_of([]) is None
    assert lag_of(live(4 * MINUTE)) is None
    assert lag_of(live(40 * MINUTE), usual=40 * MINUTE) is None


@pytest.mark.parametrize("send", [live, at_once])
def test_whole_and_half_hours_are_a_time_zone(send: object) -> None:
    for hours in (1, 5.5, 9):
        lag = send(timedelta(hours=hours)) if callable(send) else []
        found = lag_of(lag)
        assert found is not None
        assert (found.kind, found.is_clock) == ("zone", True)
    nine = lag_of(live(timedelta(hours=9)))
    assert nine is not None
    assert nine.words("en") == "its times are 9 h 00 min behind: time zone?"
    assert nine.words("ja") == "観測時刻が9時間00分遅れています：時差の設定？"


def test_years_are_a_reset_or_a_week_of_gps_where_readings_come_at_their_own_pace() -> None:
    for behind, kind in ((NOW - datetime(2000, 1, 1, 5, tzinfo=UTC), "reset"), (timedelta(weeks=1024), "gps")):
        found, replayed = lag_of(live(behind)), lag_of(at_once(behind))
        assert found is not None
        assert replayed is not None
        assert (found.kind, found.is_clock) == (kind, True)
        assert not replayed.is_clock


def test_a_lag_that_is_always_the_same_is_a_clock_beyond_what_feeds_take() -> None:
    forty, five = lag_of(live(40 * MINUTE)), lag_of(live(timedelta(hours=5, minutes=17)))
    assert forty == Lag(40 * MINUTE + timedelta(seconds=2), "constant", live=True)
    assert not forty.is_clock
    assert five is not None
    assert (five.kind, five.is_clock) == ("constant", True)


def test_a_backlog_and_a_replay_are_late_and_not_live() -> None:
    for behind in (timedelta(minutes=37), timedelta(hours=5, minutes=17), timedelta(days=447)):
        found = lag_of(at_once(behind))
        assert found is not None
        assert (found.kind, found.live, found.is_clock) == ("late", False, False)
