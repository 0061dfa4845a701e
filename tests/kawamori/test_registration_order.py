"""Sheets come in any order: what held when is the same whichever was imported first. Pure."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kawamori.domain.registration.plans import SensorPlan, Sheet, StationPlan
from kawamori.domain.registration.register import registered
from kawamori.domain.registration.standing import changes, covers, nothing_registered

#: Drawing histories is slow on a machine that does much else.
BUSY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 7, 1, tzinfo=UTC)
START = NOW - timedelta(days=10)
DAYS = st.integers(0, 9)
LEVELS = st.dictionaries(st.integers(1, 3), st.sampled_from([1.0, 2.0, 3.0]), min_size=1)


def sheet(day: int, thresholds: dict[int, float], device: str, station: str = "s") -> Sheet:
    since = START + timedelta(days=day)
    return Sheet(
        stations=(
            StationPlan(
                station_id=station, name_ja="橋", name_en="Bridge", river_id="r", river_name_ja="川",
                river_name_en="River",
                valid_from=since, thresholds=thresholds, gauge_zero_tp_m=float(day),
                sensors=(SensorPlan(quantity="water_level", device_id=device, valid_from=since),),
            ),
        )
    )  # fmt: skip


def after(sheets):
    rows = nothing_registered()
    for one in sheets:
        rows = registered(rows, one, NOW).rows
    return rows


def seen(rows):
    """What held on each half day: thresholds, the device at each station, the zero."""
    found = []
    for half in range(22):
        at = START + timedelta(days=half / 2)
        thresholds = {k[:2]: r["value_m"] for k, r in rows["threshold"].items() if covers(k[-1], r, at)}
        devices = {(r["station_id"], k[0]) for k, r in rows["deployment"].items() if covers(k[-1], r, at)}
        found.append((thresholds, devices))
    return found, rows["datum"]


@st.composite
def histories(draw):
    days = draw(st.lists(DAYS, min_size=1, max_size=5, unique=True))
    return [sheet(day, draw(LEVELS), f"box-{day}") for day in days]


@BUSY
@given(histories(), st.randoms(use_true_random=False))
def test_what_held_when_does_not_hang_on_the_order_of_the_sheets(history, chance):
    in_order = sorted(history, key=lambda one: one.stations[0].valid_from)
    shuffled = list(history)
    chance.shuffle(shuffled)
    assert seen(after(shuffled)) == seen(after(in_order))


@BUSY
@given(histories())
def test_any_sheet_once_more_changes_nothing(history):
    rows = after(history)
    for one in history:
        assert list(changes(rows, registered(rows, one, NOW).rows)) == []


@BUSY
@given(st.lists(st.tuples(DAYS, LEVELS, st.sampled_from("abc"), st.sampled_from("st")), max_size=8))
def test_a_device_is_at_one_place_and_a_level_has_one_threshold_at_a_time(history):
    rows = after([sheet(*one) for one in history])
    for subject, size in (("deployment", 2), ("threshold", 2)):
        for (key, row), (later, _) in pairwise(sorted(rows[subject].items(), key=lambda found: found[0])):
            assert row["valid_to"] is None or row["valid_to"] > key[-1]
            if key[:size] == later[:size]:
                assert row["valid_to"] is not None
                assert row["valid_to"] <= later[-1]
