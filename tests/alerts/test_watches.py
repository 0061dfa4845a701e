"""What may be skipped without changing anything: the check that spares most readings their evaluation."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.watches import SensorWatch
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, Reason, SensorId, StationId
from kawamori.domain.rules import Episode
from kawamori.domain.rules.level import LevelWatch

START = datetime(2026, 7, 14, tzinfo=UTC)
DOUBTS = [(Flag.GOOD, 0), (Flag.GOOD, 0), (Flag.SUSPECT, int(Reason.SPIKE)), (Flag.SUSPECT, int(Reason.RATE))]


class Unsparing(LevelWatch):
    """Looks at every level at every reading."""

    def __init__(self, thresholds: tuple[Threshold, ...]) -> None:
        super().__init__(thresholds)
        self._lowest = float("-inf")


@st.composite
def thresholds_of_a_station(draw: st.DrawFn) -> tuple[Threshold, ...]:
    hold = timedelta(minutes=draw(st.sampled_from([0, 0, 10, 25])))
    keep = timedelta(minutes=draw(st.sampled_from([0, 0, 20])))
    consecutive = draw(st.sampled_from([1, 1, 2, 3]))
    found = []
    for level, value in ((1, 1.0), (2, 2.0), (4, 3.0)):
        ends = draw(st.sampled_from([None, None, 40, 90]))
        end = None if ends is None else START + timedelta(minutes=ends)
        found.append(
            Threshold(
                station=StationId("s"), level=level, value_m=value, valid_from=START - timedelta(days=1), valid_to=end,
                hold=hold, keep_firing=keep, consecutive=consecutive,
            )
        )  # fmt: skip
    return tuple(found)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Reading]]:
    """Readings in order of measurement, cut anywhere."""
    at, found = START, []
    values = st.sampled_from([0.5, 0.94, 0.95, 0.97, 0.999999, 1.0, 1.0, 1.02, 1.5, 2.0, 2.2, 3.1])
    for size in draw(st.lists(st.integers(1, 6), min_size=1, max_size=12)):
        batch = []
        for _ in range(size):
            at += timedelta(minutes=draw(st.sampled_from([1, 5, 10, 10, 45, 300])))
            flag, reasons = draw(st.sampled_from(DOUBTS))
            batch.append(Reading(SensorId(1), at, draw(values), at, flag, reasons))
        found.append(batch)
    return found


def in_order(found: list[Episode]) -> list[Episode]:
    return sorted(found, key=lambda e: (e.started_at, e.level, e.ended_at or START + timedelta(days=365)))


@given(thresholds_of_a_station(), batches())
def test_what_is_skipped_as_calm_would_have_changed_nothing(
    thresholds: tuple[Threshold, ...], news: list[list[Reading]]
) -> None:
    full, sparing = SensorWatch([Unsparing(thresholds)]), SensorWatch([LevelWatch(thresholds)])
    expected: list[Episode] = []
    ended: list[Episode] = []
    for batch in news:
        before = full.lasting()
        over = [episode for reading in batch for episode in full.take(reading)]
        if sparing.is_calm_below(max(reading.value for reading in batch)):
            assert (over, before, full.lasting()) == ([], [], [])
        else:
            ended += [episode for reading in batch for episode in sparing.take(reading)]
        expected += over
        assert sparing.lasting() == full.lasting()
    assert in_order(ended) == in_order(expected)


@given(thresholds_of_a_station(), st.floats(min_value=1.0, max_value=5.0))
def test_a_value_that_reaches_a_threshold_is_never_calm(thresholds: tuple[Threshold, ...], value: float) -> None:
    assert not SensorWatch([LevelWatch(thresholds)]).is_calm_below(value)


def test_what_is_under_way_is_never_calm() -> None:
    threshold = Threshold(station=StationId("s"), level=1, value_m=1.0, valid_from=START - timedelta(days=1))
    watch = SensorWatch([LevelWatch((threshold,))])
    watch.take(Reading(SensorId(1), START, 1.2, START, Flag.GOOD, 0))
    assert not watch.is_calm_below(0.1)
