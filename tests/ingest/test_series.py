"""Any order of the same readings ends in the same rows."""

import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.series import (
    Outcome,
    QcWindow,
    amend,
    append,
    follows,
    insert_among,
    restated,
    spans_of,
    stated_at,
    without_known,
)
from kawamori.domain.correction import Correction, CorrectionKind
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
        self.tail = QcWindow()
        self.limits = limits
        self.outvoted: set[tuple[datetime, float]] = set()
        self.corrections: list[Correction] = []

    def take(self, incoming: list[Reading]) -> None:
        incoming = without_known(self.tail, incoming)
        if not incoming:
            return
        if follows(self.tail, incoming) and not self.corrections:
            outcome = append(self.tail, incoming, self.limits, LATE)
        elif (again := restated(self.tail, self.rows, incoming)) is not None:
            outcome = again
        else:
            margin = self.limits.flat_after or timedelta(0)
            around = [self._around(start, stop) for start, stop in spans_of(incoming, margin)]
            outcome = insert_among(self.tail, around, incoming, self.limits, LATE, corrections=self.corrections)
        self._write(outcome)

    def correct(self, *corrections: Correction) -> None:
        """From now on these hold, and no others."""
        spans = [*self.corrections, *corrections]
        self.corrections = list(corrections)
        for one in spans:
            margin = self.limits.flat_after or timedelta(0)
            context = self._around(one.starts_at - margin, one.ends_at + margin)
            self._write(amend(self.tail, context, one.starts_at, one.ends_at, self.limits, LATE, self.corrections))

    def _write(self, outcome: Outcome) -> None:
        for row in outcome.added:
            assert row.observed_at not in self.rows
            self.rows[row.observed_at] = row
        for row in outcome.repeated:
            self.rows[row.observed_at] = self.rows[row.observed_at]._replace(stated_at=row.stated_at)
        for before, after in outcome.changed:
            assert self.rows[after.observed_at] == before
            self.rows[after.observed_at] = after
        self.outvoted |= {(r.observed_at, r.value) for r, _ in outcome.outvoted}
        latest = self.rows[max(self.rows)] if self.rows else None
        assert outcome.tail.latest == latest
        recent = outcome.tail.recent
        if not outcome.tail_is_whole:
            line = sorted(self.rows.values(), key=lambda r: r.observed_at)
            recent = tuple(r for r in line if not r.reasons & (Reason.RANGE | Reason.CONDEMNED))[-20:]
        self.tail = QcWindow(latest, tuple(self.rows[r.observed_at] for r in recent), outcome.tail.flat_since)

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


def said(minute: float, value: float, heard_s: float) -> Reading:
    """A statement about that minute which a gateway heard so many seconds after the beginning."""
    at = START + timedelta(minutes=minute)
    return Reading(SensorId(1), at, value, START + timedelta(seconds=heard_s))


statements = st.tuples(st.integers(0, 5), st.sampled_from([1.0, 1.0, 2.0, 3.0, -9.0]), st.integers(0, 6))


@settings(max_examples=300, deadline=None)
@given(st.lists(statements, min_size=1, max_size=14), st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_newest_statement_of_a_moment_stands_in_whatever_order_they_come(
    words: list[tuple[int, float, int]], chance: random.Random, group: int
) -> None:
    def store(order: list[tuple[int, float, int]], size: int) -> Series:
        series = Series()
        for i in range(0, len(order), size):
            series.take([said(minute * 10, value, 3600 + heard) for minute, value, heard in order[i : i + size]])
        return series

    one = store(words, 1)
    shuffled = words + chance.sample(words, len(words) // 2)
    chance.shuffle(shuffled)
    two = store(shuffled, group)
    assert one.rows == two.rows
    assert one.tail.recent == two.tail.recent
    for at, row in one.rows.items():
        mine = [(heard, value) for minute, value, heard in words if START + timedelta(minutes=minute * 10) == at]
        newest = [value for heard, value in mine if heard == max(mine)[0]]
        assert row.value == max(newest)
        assert bool(row.reasons & Reason.CONFLICT) == (len(set(newest)) > 1)
        stated = {value for _, value in mine}
        gone = {value for moment, value in one.outvoted | two.outvoted if moment == at}
        assert stated - {row.value} <= gone <= stated


def test_a_lower_restatement_stands_and_the_higher_value_is_kept_as_a_revision() -> None:
    series = Series()
    series.take([said(0, 3.1, 60)])
    series.take([said(0, 2.7, 120)])
    assert [v for _, v, _, _ in series.facts()] == [2.7]
    assert series.outvoted == {(START, 3.1)}
    series.take([said(0, 3.1, 60)])  # the first statement, sent again by its gateway
    assert [v for _, v, _, _ in series.facts()] == [2.7]


def test_the_same_uplink_through_three_gateways_is_one_reading_without_a_revision() -> None:
    series = Series()
    for heard in (60, 60.4, 61):
        series.take([said(0, 3.1, heard)])
    assert len(series.rows) == 1
    assert series.outvoted == set()
    assert series.rows[START].received_at == START + timedelta(seconds=60)


def test_what_only_repeats_stored_rows_is_told_from_what_says_anything_else() -> None:
    series = Series()
    series.take([said(0, 1.0, 1), said(1, 1.1, 61)])

    def again(*incoming: Reading, final: Collection[datetime] = ()) -> tuple[Reading, ...] | None:
        outcome = restated(series.tail, series.rows, incoming, final)
        return None if outcome is None else outcome.repeated

    assert again(said(0, 1.0, 1)) == ()
    heard = START + timedelta(seconds=90)
    assert again(said(0, 1.0, 90)) == (series.rows[START]._replace(stated_at=heard),)
    for more in (said(0, 1.2, 90), said(2, 1.0, 121), said(0, 1.0, 0.5)):
        assert again(said(0, 1.0, 90), more) is None
    assert again(said(0, 1.0, 90), final={START}) is None
    series.correct(Correction(1, SensorId(1), START, START, CorrectionKind.CONDEMN, None, "a person", "seen"))
    assert again(said(0, 1.0, 90)) is None


def test_one_message_that_contradicts_itself_is_a_conflict_and_the_higher_value_stands_in_doubt() -> None:
    series = Series()
    series.take([said(0, 2.7, 60), said(0, 3.1, 60)])
    assert series.facts() == [(START, 3.1, Flag.SUSPECT, Reason.CONFLICT)]
    series.take([said(0, 2.8, 90)])
    assert series.facts() == [(START, 2.8, Flag.GOOD, Reason(0))]


def test_in_one_message_the_higher_number_is_the_newer_statement() -> None:
    heard = START + timedelta(seconds=60)
    first, second = (said(0, v, 60)._replace(stated_at=stated_at(heard, seq)) for v, seq in ((3.1, 7), (2.7, 8)))
    series = Series()
    series.take([second, first])
    assert series.facts() == [(START, 2.7, Flag.GOOD, Reason(0))]


@settings(max_examples=150, deadline=None)
@given(levels, st.randoms(use_true_random=False), st.sampled_from(list(CorrectionKind)))
def test_a_correction_is_the_same_before_and_after_its_readings_and_undoing_it_leaves_no_trace(
    values: list[float], chance: random.Random, kind: CorrectionKind
) -> None:
    readings = [reading(10 * i, v) for i, v in enumerate(values)]
    start, end = sorted(chance.choices(range(len(values)), k=2))
    amount = {"value": 2.0, "offset": 0.4}.get(kind)
    one = Correction(
        1, SensorId(1), readings[start].observed_at, readings[end].observed_at, kind, amount, "a person", "seen"
    )
    plain, after, before = Series(), Series(), Series()
    before.correct(one)
    for r in readings:
        plain.take([r])
        after.take([r])
        before.take([r])
    after.correct(one)
    assert after.rows == before.rows
    for i, r in enumerate(readings):
        row = after.rows[r.observed_at]
        assert (row.value if row.stated is None else row.stated) == r.value
        if start <= i <= end:
            assert row.value == {"value": 2.0, "offset": round(r.value + 0.4, 9), "condemn": r.value}[kind]
            assert kind != "condemn" or row.flag is Flag.FAIL
            assert kind != "value" or row.flag is Flag.GOOD
    after.take(chance.sample(readings, (len(readings) + 1) // 2))  # sent again: a person's word holds
    assert after.rows == before.rows
    after.correct()
    assert after.rows == plain.rows


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
