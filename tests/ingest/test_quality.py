"""A step that the water confirms is water; one that comes alone stays in doubt; an end of a device's range is none."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.series import QcWindow, append
from kawamori.domain.reading import Flag, Reading, Reason, SensorId
from kawamori.domain.registry import Limits

START = datetime(2020, 9, 19, 12, tzinfo=UTC)
RIVER = Limits(max_step=0.5, max_rate_h=8, spike=0.10, lowest=2.5, highest=5.6, is_level=True)


def rows(values: list[float | None], limits: Limits = RIVER, every: float = 10) -> list[Reading]:
    """What is stored of these readings, one message each; None was refused."""
    tail, stored = QcWindow(), {}
    for i, value in enumerate(values):
        if value is None:
            continue
        at = START + timedelta(minutes=every * i)
        outcome = append(tail, [Reading(SensorId(1), at, value, at)], limits, timedelta(minutes=30))
        tail = outcome.tail
        stored.update({r.observed_at: r for r in outcome.added})
        stored.update({after.observed_at: after for _, after in outcome.changed})
    return [stored[at] for at in sorted(stored)]


def flags(values: list[float | None], limits: Limits = RIVER, every: float = 10) -> list[Flag]:
    return [r.flag for r in rows(values, limits, every)]


GOOD, SUSPECT, FAIL = Flag.GOOD, Flag.SUSPECT, Flag.FAIL


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 0.52, 0.6, 1.6, 2.3, 2.9, 3.3],  # 12 m/h between two readings of five minutes, then slower
        [0.4, 0.7, 1.9, 2.6, 2.7, 2.75],
        [0.4, 0.41, 1.2, 2.5, 3.8, 4.4, 4.5],  # 16 m/h twice
        [4.5, 4.4, 3.7, 3.0, 2.6, 2.4],  # and falling
    ],
)
def test_an_honest_rise_faster_than_usual_is_cleared_by_the_readings_that_follow(values: list[float]) -> None:
    assert SUSPECT in [rows(values[:n], every=5)[-1].flag for n in range(1, len(values))]  # at once in doubt: it alarms
    assert set(flags(values, every=5)) == {GOOD}


def test_a_step_is_in_doubt_until_two_readings_stay_with_it() -> None:
    values = [0.5, 0.52, 0.6, 1.6, 2.3, 2.9]
    assert flags(values[:4], every=5)[3] == SUSPECT
    assert flags(values[:5], every=5)[3] == SUSPECT
    assert flags(values[:6], every=5)[3] == GOOD


def test_a_datum_step_that_nothing_confirms_stays_in_doubt() -> None:
    found = rows([1.0, 1.0, 1.0, 2.9, 2.9, 2.9, 2.91, 2.9, 2.9, 2.9])
    assert [r.flag for r in found] == [GOOD] * 3 + [SUSPECT] * 5 + [GOOD] * 2
    assert found[3].reasons == Reason.RATE | Reason.STEP
    assert all(r.reasons == Reason.STEP for r in found[4:8])


def test_a_sensor_that_goes_to_and_fro_confirms_nothing() -> None:
    found = flags([0.2, 9.6, 3.0, 8.1, 0.0, 7.7, 2.2, 9.0, 1.0, 8.8])
    assert GOOD not in found[1:]


def test_faster_than_any_river_is_never_cleared() -> None:
    assert flags([1.0, 1.0, 4.6, 5.2, 5.8, 6.4], every=5)[2] == SUSPECT


#: A radar 7.25 m above zero: 500 mm is 6.75 m, 9999 mm is -2.749 m.
RADAR = Limits(
    max_step=0.5, max_rate_h=8, spike=0.10, lowest=2.5, highest=5.6, is_level=True, edges=(-2.75, -2.749, 2.25, 6.75)
)


def test_a_radar_that_jumps_to_its_nearest_distance_and_back_saw_no_water() -> None:
    values = [1.94, 1.945, 1.95, 1.95, None, None, 6.75, None, 1.95, 1.952]  # None: 0 and 9999 mm, refused
    assert FAIL in flags(values[:7], RADAR)  # at once: nobody is told of it
    found = flags(values, RADAR)
    assert found == [GOOD] * 4 + [FAIL] + [GOOD] * 2


def test_the_same_wrong_echo_twice_is_one_fault() -> None:
    assert flags([1.95, 1.95, 6.75, 6.75, 1.95, 1.95], RADAR) == [GOOD, GOOD, FAIL, FAIL, GOOD, GOOD]


def test_water_that_comes_gradually_to_the_radar_still_alarms() -> None:
    values = [1.95, 2.6, 3.4, 4.3, 5.2, 6.1, 6.75, 6.75, 6.75]
    assert FAIL not in flags(values, RADAR)


def test_a_value_that_stays_on_the_end_may_be_water_and_alarms_in_doubt() -> None:
    assert flags([1.95, 1.95, 6.75, 6.75, 6.75], RADAR) == [GOOD, GOOD, SUSPECT, SUSPECT, SUSPECT]


def test_a_jump_to_the_farthest_distance_is_no_low_water() -> None:
    assert flags([5.9, 5.9, -2.749, 5.91, 5.92], RADAR) == [GOOD, GOOD, FAIL, GOOD, GOOD]
    assert flags([5.9, 5.9, -2.749], RADAR)[-1] == FAIL


def test_a_distance_that_passes_an_end_of_other_devices_is_good() -> None:
    assert set(flags([2.2, 2.21, 2.25, 2.25, 2.26], RADAR)) == {GOOD}


def test_what_was_never_registered_fails_nothing() -> None:
    free = Limits(max_step=0.5, max_rate_h=8, spike=0.10, is_level=True)
    assert set(flags([235.5, 235.67, 235.84, 236.0], free)) == {GOOD}
    assert flags([235.5], RIVER) == [SUSPECT]  # far above what is known of the station: it alarms in doubt
    assert flags([741878.0], free) == [FAIL]


def test_a_registered_limit_below_the_stations_own_thresholds_fails_no_flood() -> None:
    low = Limits(range_min=-1, range_max=5.0, lowest=2.5, highest=5.6, is_level=True)
    found = rows([4.8, 5.3, 5.7, 8.9], low)
    assert [r.flag for r in found] == [GOOD, SUSPECT, SUSPECT, FAIL]
    assert found[2].reasons & Reason.LIMIT
