"""Crossings: each once, whatever the order of arrival; hysteresis and hold in the time of measurement."""

import itertools
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, Reason, SensorId, StationId
from kawamori.domain.rules import Episode
from kawamori.domain.rules.level import LevelRule, LevelThreshold, LevelWatch, episodes
from kawamori.domain.rules.stay import ABRUPT_M, ABRUPT_M_PER_H, AGREE_WITHIN, GAP, SAME_FOR, SAME_M

START = datetime(2026, 7, 14, tzinfo=UTC)


def threshold(
    level: int = 1, value: float = 2.0, hold_min: float = 0, hysteresis: float = 0.05, consecutive: int = 1,
    keep_min: float = 0,
) -> Threshold:  # fmt: skip
    return Threshold(
        station=StationId("s"), level=level, value_m=value, hysteresis_m=hysteresis, hold=timedelta(minutes=hold_min),
        consecutive=consecutive, keep_firing=timedelta(minutes=keep_min), valid_from=START - timedelta(days=1),
    )  # fmt: skip


def reading(minute: float, value: float, flag: Flag = Flag.GOOD) -> Reading:
    at = START + timedelta(minutes=minute)
    reasons = int(Reason.RATE) if flag is Flag.SUSPECT else 0
    return Reading(sensor=SensorId(1), observed_at=at, value=value, received_at=at, flag=flag, reasons=reasons)


def series(*values: float) -> list[Reading]:
    return [reading(10 * i, v) for i, v in enumerate(values)]


def minute_of(at: datetime | None) -> float | None:
    return None if at is None else (at - START).total_seconds() / 60


def minutes(found: list[Episode]) -> list[tuple[int, float, float | None]]:
    """Level, beginning and end of what counts; what is pending does not."""
    return [(e.level, minute_of(e.started_at) or 0.0, minute_of(e.ended_at)) for e in found if not e.pending]


def test_a_flood_climbs_and_falls_through_the_levels() -> None:
    found = episodes(series(1, 2, 3, 3.5, 2.97, 2.9, 1.97, 1.9), [threshold(1, 2.0), threshold(2, 3.0)])
    assert minutes(found) == [(1, 10, 70), (2, 20, 50)]
    assert [e.peak_m for e in found] == [3.5, 3.5]


def test_a_jump_over_several_levels_crosses_each() -> None:
    found = episodes(series(1, 9), [threshold(n, float(n)) for n in (2, 3, 4)])
    assert [(e.level, e.started_at) for e in found] == [(n, START + timedelta(minutes=10)) for n in (2, 3, 4)]


def test_a_crossing_counts_only_after_its_hold_and_from_its_beginning() -> None:
    assert episodes(series(1, 2.1, 1.9, 2.1, 1.9), [threshold(hold_min=20)]) == []
    (waiting,) = episodes(series(1, 2.1, 2.1), [threshold(hold_min=20)])
    assert waiting.pending
    found = episodes(series(1, 2.1, 2.2, 2.3, 1.0), [threshold(hold_min=20)])
    assert minutes(found) == [(1, 10, 40)]


def test_a_crossing_counts_only_after_so_many_readings() -> None:
    assert episodes(series(1, 2.1, 2.2, 1.0), [threshold(consecutive=3)]) == []
    assert minutes(episodes(series(1, 2.1, 2.2, 2.3), [threshold(consecutive=3)])) == [(1, 10, None)]


def test_a_fall_counts_only_when_the_water_stays_down_and_from_its_beginning() -> None:
    dip = series(2.1, 1.0, 1.0, 2.1, 1.0, 1.0, 1.0)
    assert minutes(episodes(dip, [threshold(keep_min=20)])) == [(1, 0, 40)]
    assert minutes(episodes(dip[:-1], [threshold(keep_min=20)])) == [(1, 0, None)]


def test_a_failed_reading_neither_raises_nor_ends() -> None:
    wild = [reading(0, 1.0), reading(10, 9.0, Flag.FAIL), reading(20, 2.1)]
    wild += [reading(30, -9.0, Flag.FAIL), reading(40, 2.1)]
    assert minutes(episodes(wild, [threshold()])) == [(1, 20, None)]


def test_a_suspect_crossing_counts_unverified_until_a_second_reading_confirms_it() -> None:
    doubtful = [reading(0, 1.0), reading(10, 2.5, Flag.SUSPECT)]
    (unsure,) = episodes(doubtful, [threshold()])
    assert (unsure.verified, dict(unsure.detail)) == (False, {"reasons": ("rate",)})
    for second in (reading(20, 2.4), reading(20, 2.6, Flag.SUSPECT)):
        assert [e.verified for e in episodes([*doubtful, second], [threshold()])] == [True]
    (withdrawn,) = episodes([*doubtful, reading(20, 1.0)], [threshold()])
    assert (withdrawn.verified, minute_of(withdrawn.ended_at)) == (False, 20)


def test_one_doubtful_low_reading_ends_nothing_and_a_second_that_agrees_does() -> None:
    flood = [reading(0, 1.0), reading(10, 6.12), reading(15, 6.14)]
    for low in (reading(20, 0.0, Flag.SUSPECT), reading(20, 0.0), reading(20, 1.9, Flag.SUSPECT)):
        assert minutes(episodes([*flood, low], [threshold()])) == [(1, 10, None)]
        assert minutes(episodes([*flood, low, reading(24, 6.15)], [threshold()])) == [(1, 10, None)]
        assert minutes(episodes([*flood, low, reading(30, low.value + 0.02)], [threshold()])) == [(1, 10, 20)]
    assert minutes(episodes([*flood, reading(20, 5.8), reading(40, 3.9), reading(60, 1.9)], [threshold()])) == [
        (1, 10, 60)  # no river falls faster: one reading is enough
    ]


def test_the_very_same_number_after_an_abrupt_fall_ends_nothing_for_twenty_minutes() -> None:
    flood = [reading(0, 1.0), reading(10, 6.12), reading(15, 6.14)]
    broken = [reading(m, 0.0) for m in (20, 25, 30, 35)]
    assert minutes(episodes([*flood, *broken, reading(36, 6.2)], [threshold()])) == [(1, 10, None)]
    assert minutes(episodes([*flood, *broken, reading(40, 0.0)], [threshold()])) == [(1, 10, 20)]


def test_two_doubtful_readings_hours_apart_do_not_agree() -> None:
    flood = [reading(0, 1.0), reading(10, 6.12), reading(15, 6.14), reading(20, 1.0, Flag.SUSPECT)]
    assert minutes(episodes([*flood, reading(300, 1.1, Flag.SUSPECT)], [threshold()])) == [(1, 10, None)]
    assert minutes(episodes([*flood, reading(300, 1.1)], [threshold()])) == [(1, 10, 300)]


def test_one_doubtful_low_reading_does_not_reset_what_is_pending() -> None:
    waiting = [reading(0, 1.0), reading(10, 2.1), reading(20, 0.0, Flag.SUSPECT)]
    rule = threshold(hold_min=20, consecutive=2)
    assert minutes(episodes([*waiting, reading(30, 2.2)], [rule])) == [(1, 10, None)]
    assert episodes([*waiting, reading(30, 0.1)], [rule]) == []


@pytest.mark.parametrize("flag", [Flag.GOOD, Flag.SUSPECT])
def test_a_wrong_echo_that_comes_twice_verifies_nothing_and_goes_on_alarming_while_it_lasts(flag: Flag) -> None:
    twice = [reading(0, 1.9), reading(10, 7.25, Flag.SUSPECT), reading(20, 7.25, flag)]
    (pegged,) = episodes(twice, [threshold()])
    assert (pegged.verified, pegged.ended_at) == (False, None)
    (over,) = episodes([*twice, reading(30, 1.9)], [threshold()])
    assert (over.verified, minute_of(over.ended_at)) == (False, 30)
    (believed,) = episodes([*twice, reading(30, 7.1)], [threshold()])
    assert believed.verified


def test_a_jump_up_that_falls_back_half_way_does_not_verify_itself() -> None:
    torn = [reading(0, 0.0), reading(10, 9.6, Flag.SUSPECT), reading(20, 7.2, Flag.SUSPECT)]
    assert [e.verified for e in episodes(torn, [threshold()])] == [False]


def test_a_doubt_about_the_time_alone_leaves_the_value_good_and_is_kept() -> None:
    late = [
        reading(m, v, Flag.SUSPECT)._replace(reasons=int(Reason.CLOCK)) for m, v in ((0, 1.9), (10, 2.1), (20, 2.2))
    ]
    (found,) = episodes(late, [threshold()])
    assert (found.verified, found.time_sure, dict(found.detail)) == (True, False, {"reasons": ("clock",)})
    (found,) = episodes([*late, reading(30, 2.3)], [threshold()])
    assert found.time_sure


def test_an_episode_that_began_years_ago_does_not_last_until_today() -> None:
    years = 6 * 365 * 1440
    foreign = [reading(-years, 6.0), reading(0, 6.1), reading(10, 6.2)]
    always = replace(threshold(), valid_from=START - timedelta(days=9999))
    assert minutes(episodes(foreign, [always])) == [(1, -years, -years), (1, 0, None)]
    silent = [reading(0, 6.0), reading(GAP / timedelta(minutes=1), 6.1)]
    assert minutes(episodes(silent, [threshold()])) == [(1, 0, None)], "silence is no all-clear"


def test_an_abolished_threshold_ends_its_episode_and_a_new_one_begins_its_own() -> None:
    change = START + timedelta(minutes=15)
    old = replace(threshold(2, 2.0), valid_to=change)
    new = replace(threshold(3, 2.0), valid_from=change)
    assert minutes(episodes(series(1, 2.5, 2.5, 1.9), [old, new])) == [(2, 10, 20), (3, 20, 30)]


def test_a_peak_grows_through_gauge_zero() -> None:
    (found,) = episodes(series(-0.5, 0.0, 0.4, 0.2), [threshold(value=0.0)])
    assert (found.value_m, found.peak_m) == (0.0, 0.4)


Found = list[tuple[float, float | None, float, float, bool, bool]]


def oracle(line: list[Reading], rule: Threshold) -> Found:  # noqa: C901 - the whole rule in one place
    """Look ahead from each possible beginning, with no state carried along: (start, end, value, peak, verified,
    pending) of every stay."""
    good = [r for r in line if r.flag not in (Flag.FAIL, Flag.MISSING)]
    at = [(r.observed_at - START).total_seconds() / 60 for r in good]
    value = [r.value for r in good]
    hold, keep = (d.total_seconds() / 60 for d in (rule.hold, rule.keep_firing))
    high = [v >= rule.value_m for v in value]
    low = [v < rule.value_m - rule.hysteresis_m for v in value]
    sure = [r.flag != Flag.SUSPECT for r in good]
    n, i = len(good), 0
    found: Found = []

    def same(a: int, b: int) -> bool:
        return abs(value[a] - value[b]) < SAME_M

    def falls(a: int, b: int) -> bool:
        fall = value[a] - value[b]
        return fall > ABRUPT_M and fall > ABRUPT_M_PER_H * (at[b] - at[a]) / 60

    def verified(first: int, stop: int) -> bool:
        highs = [k for k in range(first, stop) if high[k]]
        return sure[first] or any(
            not same(first, k) and (sure[k] or value[k] > max(value[j] for j in highs if j < k)) for k in highs[1:]
        )

    def believed(beginning: int, first: int, j: int) -> bool:
        """Whether reading j proves that the water has left with reading `first`, in a stay since `beginning`."""
        trusted = [k for k in range(beginning, j) if sure[k]]
        alone = sure[j] and not (trusted and verified(beginning, j) and falls(trusted[-1], j))
        if j == first:
            return alone
        if same(first, j):
            return at[j] - at[first] >= SAME_FOR / timedelta(minutes=1)
        return alone or not falls(j - 1, j)

    def left(beginning: int, since: int, low: list[bool], keep: float) -> tuple[int, int] | None:
        """The first reading of the first stay below that is believed and lasts, and the reading that proves it."""
        for k in range(since, n):
            if not low[k] or (low[k - 1] and k > since):
                continue
            run = next((j for j in range(k, n) if not low[j]), n)
            first, proved = k, False
            for j in range(k, run):
                if not proved and at[j] - at[first] > AGREE_WITHIN / timedelta(minutes=1):
                    first = j
                proved = proved or believed(beginning, first, j)
                if proved and at[j] - at[first] >= keep:
                    return first, j
        return None

    def stay(first: int, stop: int, end: float | None, *, pending: bool) -> None:
        peak = max(value[k] for k in range(first, stop) if high[k])
        found.append((at[first], end, value[first], peak, verified(first, stop), pending))

    while i < n:
        if not high[i]:
            i += 1
            continue
        gives_up = left(i, i + 1, [not h for h in high], 0.0)
        stop = n if gives_up is None else gives_up[1]
        counts = next(
            (
                j
                for j in range(i, stop)
                if high[j] and at[j] - at[i] >= hold and sum(high[i : j + 1]) >= rule.consecutive
            ),
            None,
        )
        if counts is None:
            if gives_up is None:
                stay(i, n, None, pending=True)
            i = stop + (gives_up is not None)
            continue
        over = left(i, counts + 1, low, keep)
        if over is None:
            stay(i, n, None, pending=False)
            break
        begun, told = over
        stay(i, told, at[begun], pending=False)
        i = told + 1
    return found


def as_found(found: list[Episode]) -> Found:
    return [
        (
            minute_of(e.started_at) or 0.0,
            minute_of(e.ended_at),
            e.value_m or 0.0,
            e.peak_m or 0.0,
            e.verified,
            e.pending,
        )
        for e in found
    ]


flags = st.sampled_from([Flag.GOOD] * 6 + [Flag.NOT_EVALUATED, Flag.SUSPECT, Flag.SUSPECT, Flag.FAIL, Flag.MISSING])
steps = st.tuples(st.sampled_from([1, 5, 10, 10, 10, 15, 45]), st.integers(-50, 50), flags)
lines = st.lists(steps, min_size=1, max_size=60)


@st.composite
def rules_(draw: st.DrawFn, level: int = 1) -> Threshold:
    base = draw(st.sampled_from([0.0, 2.0, -1.5]))
    return threshold(
        level, base, draw(st.sampled_from([0, 0, 10, 25])), draw(st.sampled_from([0.0, 0.05, 0.2])),
        draw(st.sampled_from([1, 1, 2, 4])), draw(st.sampled_from([0, 0, 10, 30])),
    )  # fmt: skip


def line_of(points: list[tuple[int, int, Flag]], base: float) -> list[Reading]:
    line, minute = [], 0
    for step, centimetres, flag in points:
        minute += step
        line.append(reading(minute, round(base + centimetres / 100, 2), flag))
    return line


@settings(max_examples=600, deadline=None)
@given(lines, rules_())
def test_crossings_agree_with_a_brute_force_oracle(points: list[tuple[int, int, Flag]], rule: Threshold) -> None:
    line = line_of(points, rule.value_m)
    assert as_found(episodes(line, [rule])) == oracle(line, rule)


class River(RuleBasedStateMachine):
    """A river at which things happen; one watch is fed everything, one only what may matter."""

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0.0
        self.line: list[Reading] = []
        self.told: list[tuple[str, int, datetime]] = []

    @initialize(first=rules_(1), second=rules_(2), third=rules_(3))
    def stand(self, first: Threshold, second: Threshold, third: Threshold) -> None:
        base = first.value_m
        self.rules = [first, replace(second, value_m=base + 0.3), replace(third, value_m=base + 0.31)]
        self.base = base
        self.watch, self.lazy = LevelWatch(self.rules), LevelWatch(self.rules)
        self.ended: list[Episode] = []
        self.lazily: list[Episode] = []

    def measure(self, value: float, flag: Flag = Flag.GOOD, step: float = 10) -> None:
        self.minute += step
        one = reading(self.minute, round(self.base + value, 2), flag)
        before = {(e.level, e.started_at) for e in self.watch.lasting() if not e.pending}
        ended = self.watch.feed(one)
        over = {(e.level, e.started_at) for e in ended}
        after = {(e.level, e.started_at) for e in self.watch.lasting() if not e.pending}
        self.told += [("clear", level, one.observed_at) for level, _ in sorted(over)]
        self.told += [("raise", level, one.observed_at) for level, _ in sorted(after - before)]
        assert over <= before
        assert before - over <= after  # what is not over lasts
        self.ended += ended
        if not self.lazy.is_calm_below(one.value):
            self.lazily += self.lazy.feed(one)
        self.line.append(one)

    @rule(value=st.integers(-40, 60).map(lambda v: v / 100), step=st.sampled_from([1, 10, 30]))
    def flow(self, value: float, step: float) -> None:
        self.measure(value, step=step)

    @rule(values=st.lists(st.sampled_from([-0.06, -0.05, -0.01, 0.0, 0.01]), min_size=1, max_size=8))
    def lap_at_the_threshold(self, values: list[float]) -> None:
        for value in values:
            self.measure(value)

    @rule()
    def flood_and_fall(self) -> None:
        for value in (-0.2, 0.1, 0.3, 0.5, 0.3, 0.1, -0.2, -0.4):
            self.measure(value)

    @rule(value=st.sampled_from([-4.0, 0.02, 5.0]), flag=st.sampled_from([Flag.SUSPECT, Flag.FAIL, Flag.MISSING]))
    def doubt(self, value: float, flag: Flag) -> None:
        self.measure(value, flag)

    @invariant()
    def raise_and_clear_alternate(self) -> None:
        for level in (1, 2, 3):
            mine = [event for event, at_level, _ in self.told if at_level == level]
            assert all(a != b for a, b in itertools.pairwise(mine))
            assert not mine or mine[0] == "raise"

    @invariant()
    def the_record_is_the_oracles(self) -> None:
        if not self.line:
            return
        everything = sorted([*self.ended, *self.watch.lasting()], key=lambda e: (e.started_at, e.level))
        for one in self.rules:
            mine = [e for e in everything if e.level == one.level]
            assert as_found(mine) == oracle(self.line, one)
        lazily = sorted([*self.lazily, *self.lazy.lasting()], key=lambda e: (e.started_at, e.level))
        assert lazily == everything


River.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestRiver = River.TestCase


def test_ten_thousand_crossings_are_found_once_each() -> None:
    """Rivers made of stays above and below of random length, so that their crossings are known by construction; none
    falls so abruptly that it is doubted."""
    chance = random.Random(20260714)
    made, rivers = 0, 0
    while made < 10_000:
        rivers += 1
        rule = threshold(
            value=chance.choice([0.0, 2.0, -1.5]), hysteresis=chance.choice([0.05, 0.2]),
            hold_min=(hold := chance.choice([0, 0, 20])), keep_min=(keep := chance.choice([0, 0, 20])),
            consecutive=(count := chance.choice([1, 1, 3])),
        )  # fmt: skip
        line, expected, minute = [], [], 0.0

        def stay(length: int, low: float, high: float, line: list[Reading] = line, rule: Threshold = rule) -> float:
            nonlocal minute
            first = minute + 1
            for _ in range(length):
                minute += chance.choice([1, 5, 10]) if line else 1
                line.append(reading(minute, rule.value_m + chance.uniform(low, high)))
            return minute_of(line[-length].observed_at) or first

        def long_enough(least_min: float, least: int) -> int:
            return max(least, int(least_min)) + chance.randrange(1, 8)  # a minute a step at least

        stay(3, -0.29, -rule.hysteresis_m - 0.001)
        for _ in range(chance.randrange(1, 60)):
            begun = stay(long_enough(hold, count), 0.0, 0.2)
            if chance.random() < 0.5:  # laps between the edges: no crossing
                stay(chance.randrange(1, 5), -rule.hysteresis_m + 0.001, 0.2)
            over = stay(long_enough(keep, 1), -0.29, -rule.hysteresis_m - 0.001)
            expected.append((1, begun, over))
            if chance.random() < 0.3:  # comes up to just below the threshold: no crossing
                stay(chance.randrange(1, 5), -rule.hysteresis_m, -0.001)
        assert minutes(episodes(line, [rule])) == expected
        made += len(expected)
    print(f"\n{made} crossings in {rivers} rivers, each found once")


@pytest.mark.parametrize("sigma_mm", [0.7, 3.6, 7.0, 15.0])
def test_noise_round_a_threshold_gives_one_raise_a_real_crossing(sigma_mm: float) -> None:
    """Tides (12.42 h, 1 m) every 10 minutes, with hysteresis as it is by default: the larger of 5 cm and 3 sigma."""
    hysteresis = max(0.05, 3 * sigma_mm / 1000)
    crossings, raises = 0, 0
    for seed in range(200):
        chance = random.Random(seed)
        phase = chance.uniform(0.05, 0.2)  # begins below the threshold, and rises to it
        tide = [math.sin(2 * math.pi * (10 * i / 745.2 - phase)) for i in range(708)]  # ends well above
        crossings += sum(a < 0 <= b for a, b in itertools.pairwise(tide))
        level = [reading(10 * i, 2 + h + chance.gauss(0, sigma_mm / 1000)) for i, h in enumerate(tide)]
        raises += len(episodes(level, [threshold(hysteresis=hysteresis)]))
    print(f"\nsigma {sigma_mm} mm: {crossings} crossings, {raises} raises")
    assert raises == crossings


@pytest.mark.parametrize("sigma_mm", [0.7, 3.6, 7.0, 15.0])
def test_a_slow_river_read_every_minute_is_one_raise_where_an_end_must_last(sigma_mm: float) -> None:
    """10 cm/h through the noise of 15 mm laps at the threshold for long; half an hour's keep-firing stills it."""
    hysteresis, seeds = max(0.05, 3 * sigma_mm / 1000), 100
    bare = kept = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        heights = [1.5 + i / 600 for i in range(600)] + [2.5 - i / 600 for i in range(600)]
        level = [reading(i, h + chance.gauss(0, sigma_mm / 1000)) for i, h in enumerate(heights)]
        bare += len(episodes(level, [threshold(hysteresis=hysteresis)]))
        kept += len(episodes(level, [threshold(hysteresis=hysteresis, keep_min=30)]))
    print(f"\nsigma {sigma_mm} mm: {seeds} crossings, {bare} raises, {kept} with keep-firing")
    assert kept == seeds
    if sigma_mm <= 7:
        assert bare == seeds


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hysteresis_m": -0.1}, "hysteresis_m: must not be negative"),
        ({"hold": timedelta(days=2)}, "hold: must be 0 to 24 hours"),
        ({"keep_firing": timedelta(seconds=-1)}, "keep_firing: must be 0 to 24 hours"),
        ({"consecutive": 0}, "consecutive: must be 1 to 100"),
        ({"thresholds": (LevelThreshold(level=2, fire_m=2), LevelThreshold(level=2, fire_m=3))}, "given twice"),
        ({"thresholds": (LevelThreshold(level=3, fire_m=2), LevelThreshold(level=2, fire_m=3))}, "must lie above"),
    ],
)
def test_a_wrong_rule_is_refused_by_the_name_of_its_field(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LevelRule(**wrong)  # type: ignore[arg-type]


def test_a_threshold_that_clears_above_where_it_fires_is_refused() -> None:
    with pytest.raises(ValueError, match="clear_m: must not lie above fire_m"):
        LevelThreshold(level=2, fire_m=2.0, clear_m=2.1)
    with pytest.raises(ValueError, match="level: must be 1 to 5"):
        LevelThreshold(level=6, fire_m=2.0)
