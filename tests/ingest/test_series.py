"""Any order of the same readings ends in the same rows."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.series import Tail, append, follows, insert_among, spans_of
from kawamori.domain.reading import Flag, Reading, Reason, SensorId
from kawamori.domain.registry import Limits

START = datetime(2026, 7, 14, tzinfo=UTC)
LIMITS = Limits(
    range_min=-5,
    range_max=20,
    max_step=0.5,
    max_rate_h=8,
    spike=0.1,
    flat_after=timedelta(hours=2),
    flat_above=1.0,
    lowest=2.0,
    highest=18.0,
    edges=(-2.75, 6.75),
)
LATE = timedelta(minutes=30)


def reading(minute: float, value: float, delay_s: float = 1) -> Reading:
    at = START + timedelta(minutes=minute)
    return Reading(sensor=SensorId(1), observed_at=at, value=value, received_at=at + timedelta(seconds=delay_s))


class Series:
    """A sensor's rows in memory, written through the same functions as the database's."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.rows: dict[datetime, Reading] = {}
        self.tail = Tail()
        self.limits = limits
        self.outvoted: set[tuple[datetime, float]] = set()

    def take(self, incoming: list[Reading]) -> None:
        if follows(self.tail, incoming):
            outcome = append(self.tail, incoming, self.limits, LATE)
        else:
            margin = self.limits.flat_after or timedelta(0)
            around = [self._around(start, stop) for start, stop in spans_of(incoming, margin)]
            outcome = insert_among(self.tail, around, incoming, self.limits, LATE)
        for row in outcome.added:
            assert row.observed_at not in self.rows
            self.rows[row.observed_at] = row
        for before, after in outcome.changed:
            stored = self.rows[after.observed_at]
            assert (stored.value, stored.flag, stored.reasons) == (before.value, before.flag, before.reasons)
            received = stored.received_at if before.received_at == after.received_at else after.received_at
            self.rows[after.observed_at] = Reading(
                sensor=after.sensor, observed_at=after.observed_at, value=after.value, received_at=received,
                flag=after.flag, reasons=after.reasons,
            )  # fmt: skip
        self.outvoted |= {(r.observed_at, r.value) for r in outcome.outvoted}
        tail = outcome.tail
        self.tail = Tail(
            self.rows[tail.latest.observed_at] if tail.latest else None,
            # what the database keeps of a tail has no time of arrival
            tuple(
                Reading(
                    sensor=r.sensor, observed_at=r.observed_at, value=r.value, received_at=r.observed_at,
                    flag=r.flag, reasons=r.reasons,
                )
                for r in tail.recent
            ),
            tail.flat_since,
        )  # fmt: skip

    def _around(self, start: datetime, stop: datetime) -> list[Reading]:
        line = sorted(self.rows.values(), key=lambda r: r.observed_at)
        before = [r for r in line if start - timedelta(days=30) <= r.observed_at < start][-32:]
        within = [r for r in line if start <= r.observed_at <= stop]
        after = [r for r in line if stop < r.observed_at <= stop + timedelta(days=30)][:28]
        return before + within + after

    def facts(self) -> list[tuple[datetime, float, Flag, Reason]]:
        return [(r.observed_at, r.value, r.flag, r.reasons) for _, r in sorted(self.rows.items())]


levels = st.lists(
    st.one_of(
        st.sampled_from([1.0, 1.0, 1.01, 1.02, 1.3, 0.7, 2.4, -9.0, 6.75, -2.75, 1.9, 2.7, 3.4, 30.0]),
        st.floats(0.9, 1.2).map(lambda v: round(v, 2)),
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=400, deadline=None)
@given(levels, st.randoms(use_true_random=False), st.integers(1, 12))
def test_any_order_repetition_and_grouping_gives_the_same_rows(
    values: list[float], chance: random.Random, group: int
) -> None:
    step = chance.choice([10, 10, 60, 240])
    readings = [reading(step * i, v) for i, v in enumerate(values)]
    straight = Series()
    for r in readings:
        straight.take([r])
    mixed = Series()
    shuffled = readings + chance.sample(readings, len(readings) // 3)
    if chance.random() < 0.8:
        chance.shuffle(shuffled)
    for i in range(0, len(shuffled), group):
        mixed.take(shuffled[i : i + group])
    assert mixed.facts() == straight.facts()
    assert mixed.tail.latest == straight.tail.latest
    assert [(r.observed_at, r.value, r.reasons) for r in mixed.tail.recent] == [
        (r.observed_at, r.value, r.reasons) for r in straight.tail.recent
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=12), st.randoms())
def test_of_two_values_for_one_moment_the_higher_stands_whatever_the_order(
    pairs: list[tuple[int, float]], chance: random.Random
) -> None:
    def store(order: list[tuple[int, float]]) -> Series:
        series = Series()
        for minute, value in order:
            series.take([reading(minute * 10, value)])
        return series

    one = store(pairs)
    two = store(chance.sample(pairs, len(pairs)))
    assert [(t, v) for t, v, _, _ in one.facts()] == [(t, v) for t, v, _, _ in two.facts()]
    assert one.outvoted == two.outvoted


def test_an_older_reading_never_replaces_the_latest() -> None:
    series = Series()
    series.take([reading(20, 1.2)])
    series.take([reading(10, 1.9)])
    assert series.tail.latest is not None
    assert series.tail.latest.value == 1.2


def test_late_data_is_stored_and_marked_late() -> None:
    series = Series()
    series.take([reading(0, 1.0, delay_s=3 * 3600)])
    assert series.facts()[0][2:] == (Flag.GOOD, Reason.LATE)


def test_a_drop_that_comes_back_fails_once_it_has_returned() -> None:
    series = Series()
    for i, value in enumerate([1.0, 1.0, 0.7, 0.72]):
        series.take([reading(10 * i, value)])
    assert [f for _, _, f, _ in series.facts()] == [Flag.GOOD] * 4
    series.take([reading(40, 1.02)])
    assert [f for _, _, f, _ in series.facts()] == [Flag.GOOD, Flag.GOOD, Flag.FAIL, Flag.FAIL, Flag.GOOD]


def test_a_jump_no_river_makes_is_suspect_and_never_failed_while_it_lasts() -> None:
    series = Series()
    for i, value in enumerate([1.0, 1.0, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5]):
        series.take([reading(10 * i, value)])
    flags = [f for _, _, f, _ in series.facts()]
    assert flags[2] == Flag.SUSPECT
    assert Flag.FAIL not in flags


def test_the_fastest_recorded_rises_are_good() -> None:
    series = Series()
    for i in range(36):
        series.take([reading(5 * i, 0.5 + 4.98 * i / 12)])
    assert {f for _, _, f, _ in series.facts()} == {Flag.GOOD}


def test_an_impossible_value_fails_and_its_neighbours_do_not_notice() -> None:
    series = Series()
    for i, value in enumerate([1.0, 1.01, -9.0, 1.02, 1.03]):
        series.take([reading(10 * i, value)])
    assert [f for _, _, f, _ in series.facts()] == [Flag.GOOD, Flag.GOOD, Flag.FAIL, Flag.GOOD, Flag.GOOD]


def test_a_stuck_sensor_is_suspect_in_high_water_and_not_at_low_flow() -> None:
    high, low = Series(), Series()
    for i in range(20):
        high.take([reading(10 * i, 3.0)])
        low.take([reading(10 * i, 0.3)])
    assert [f for _, _, f, _ in high.facts()].count(Flag.SUSPECT) == 8
    assert {f for _, _, f, _ in low.facts()} == {Flag.GOOD}
