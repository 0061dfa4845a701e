"""Late readings are common; a clock that is behind is told from them."""

from datetime import UTC, datetime, timedelta

import pytest

from kawamori.domain.lag import is_clock_behind, is_whole_half_hours

NOW = datetime(2026, 7, 14, 2, 10, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def behind(
    lag: timedelta, heard: timedelta = MINUTE, usual: timedelta = timedelta(0), since: timedelta | None = None
) -> bool:
    received = NOW - heard
    return is_clock_behind(received - lag, received, NOW, usual, None if since is None else received - since)


@pytest.mark.parametrize("hours", [1, 2, 5.5, 9, 13, 14])
def test_whole_hours_and_some_half_hours_are_zones(hours: float) -> None:
    for on_the_way in (0, 3, 90):
        assert behind(hours * HOUR + on_the_way * SECOND)


@pytest.mark.parametrize("minutes", [5, 20, 40, 75, 520])
def test_other_lags_are_late_data(minutes: float) -> None:
    assert not behind(minutes * MINUTE, since=HOUR)


def test_half_an_hour_must_be_seen_twice() -> None:
    assert not behind(30 * MINUTE)
    assert behind(30 * MINUTE, since=10 * MINUTE)


def test_the_same_lag_of_years_again_and_again_is_a_date_that_was_reset() -> None:
    for lag in (timedelta(days=365), 1024 * timedelta(weeks=1), timedelta(days=3, hours=2)):
        assert not behind(lag)
        assert behind(lag, since=10 * MINUTE)


def test_a_device_that_is_still_sending_what_it_kept_is_waited_for() -> None:
    assert not behind(9 * HOUR, heard=5 * SECOND)


def test_what_arrived_long_ago_says_nothing_of_now() -> None:
    assert not behind(9 * HOUR, heard=3 * HOUR)


def test_a_registered_delay_is_no_fault_and_a_zone_on_top_of_it_is() -> None:
    assert not behind(HOUR, usual=HOUR)
    assert behind(9 * HOUR + 40 * MINUTE, usual=40 * MINUTE)


def test_a_zone_behind_is_told_from_a_little_ahead() -> None:
    assert is_whole_half_hours(9 * HOUR - 20 * SECOND)
    assert not is_whole_half_hours(9 * HOUR - 5 * MINUTE)
