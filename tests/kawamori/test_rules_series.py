"""Rules that look at a stretch of readings: rise and forecast, and what their straight lines are worth."""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, SensorId, StationId
from kawamori.domain.rules import KINDS, Episode, SeriesRule
from kawamori.domain.rules.forecast import ForecastRule
from kawamori.domain.rules.level import LevelRule
from kawamori.domain.rules.rise import RiseRule, risen
from kawamori.domain.rules.self_test import SelfTestRule
from kawamori.domain.trend import recent_trend, rise, time_to_threshold, trend_per_hour

START = datetime(2026, 7, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def reading(minute: float, value: float, flag: Flag = Flag.GOOD) -> Reading:
    at = START + minute * MINUTE
    return Reading(sensor=SensorId(1), observed_at=at, value=value, received_at=at, flag=flag)


def series(*values: float, step: float = 10) -> list[Reading]:
    return [reading(step * i, v) for i, v in enumerate(values)]


def threshold(level: int, value: float, keep_min: float = 0) -> Threshold:
    return Threshold(
        station=StationId("s"), level=level, value_m=value, keep_firing=keep_min * MINUTE,
        valid_from=START - timedelta(days=365),
    )  # fmt: skip


def episodes(rule: SeriesRule, line: list[Reading], *thresholds: Threshold) -> list[Episode]:
    """All that the rule finds in a line of readings, in order of beginning."""
    watch = rule.watch(tuple(thresholds))
    ended = [episode for r in line for episode in watch.feed(r)]
    return sorted([*ended, *watch.lasting()], key=lambda e: (e.started_at, e.level))


def minutes(found: list[Episode]) -> list[tuple[float, float | None]]:
    return [((e.started_at - START) / MINUTE, e.ended_at and (e.ended_at - START) / MINUTE) for e in found]


# Rise.


def test_half_a_metre_in_half_an_hour_is_a_rise_at_the_reading_that_makes_it_so() -> None:
    (found,) = episodes(RiseRule(), series(1.0, 1.0, 1.2, 1.4, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6))
    assert minutes([found]) == [(40, 60)]  # 60: since then less than half of it in the last half hour
    assert (found.level, found.value_m, found.peak_m, found.verified) == (0, 1.6, 1.6, True)
    assert dict(found.detail) == {"rise_m": 0.6, "minutes": 30.0, "rate_m_per_h": 1.2}
    assert RiseRule.says(found.value_m, found.detail, "ja") == "↑60cm/30分"


def test_a_jump_is_a_rise_once_a_second_reading_shows_it() -> None:
    for step in (1, 5, 10, 15):
        line = series(1.0, 1.0, 1.0, 1.8, 1.8, step=step)
        assert episodes(RiseRule(), line[:-1]) == []
        assert [e.started_at for e in episodes(RiseRule(), line)] == [line[-1].observed_at]


def test_half_a_metre_in_a_day_is_no_rise() -> None:
    assert episodes(RiseRule(), series(*(1 + 0.004 * i for i in range(300)))) == []


def test_suspect_readings_raise_together_and_failed_ones_never() -> None:
    line = series(1.0, 1.0, 1.0, 1.8, 1.8, 1.8)
    suspect = [r._replace(flag=Flag.SUSPECT) if r.value > 1.5 else r for r in line]
    failed = [r._replace(flag=Flag.FAIL) if r.value > 1.5 else r for r in line]
    assert len(episodes(RiseRule(), suspect)) == 1
    assert episodes(RiseRule(), failed) == []


def calm(chance: random.Random, fastest_h: float, n: int = 60) -> list[Reading]:
    """Water that nowhere moves faster than this, and is read irregularly."""
    minute, value, line = 0.0, 2.0, []
    rate = 0.0
    for _ in range(n):
        step = chance.choice([1, 2, 5, 10, 10, 15, 40])
        minute += step
        rate = min(fastest_h, max(-fastest_h, rate + chance.uniform(-0.5, 0.5) * fastest_h))
        value += rate * step / 60
        line.append(reading(minute, value))
    return line


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.floats(-10, 10))
def test_one_bad_reading_anywhere_in_slow_water_raises_nothing(seed: int, wrong: float) -> None:
    chance = random.Random(seed)
    line = calm(chance, 0.49)  # the rule asks for 1 m/h
    place = chance.randrange(len(line))
    line[place] = line[place]._replace(value=wrong)
    assert episodes(RiseRule(), line) == []


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.floats(-10, 10), st.sampled_from([1, 5, 10]))
def test_one_bad_reading_delays_a_true_rise_by_two_readings_at_most(seed: int, wrong: float, step: int) -> None:
    chance = random.Random(seed)
    rate, quiet = chance.uniform(1.05, 5.0), 60 // step
    line = series(*([1.0] * quiet + [1.0 + rate * step * i / 60 for i in range(120 // step)]), step=step)
    (right,) = episodes(RiseRule(), line)
    place = chance.randrange(len(line))
    line[place] = line[place]._replace(value=wrong)
    found = episodes(RiseRule(), line)
    assert found
    assert found[0].started_at <= right.started_at + 2 * step * MINUTE
    assert found[0].started_at >= START + (quiet - 1) * step * MINUTE  # and never before the water moves


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=2, max_size=15), st.randoms())
def test_fewer_readings_never_show_more_of_a_rise(points: list[tuple[int, int]], chance: random.Random) -> None:
    line, minute = [], 0
    for step, decimetres in points:
        minute += step
        line.append(reading(minute, decimetres / 10))
    window = timedelta(minutes=60)
    recent = [r for r in line if line[-1].observed_at - r.observed_at <= 2 * window]
    some = [r for r in recent[:-1] if chance.random() < 0.7] + [recent[-1]]
    if risen(window, 0.8, some) is not None:
        assert risen(window, 0.8, recent) is not None


# The straight line.


def test_a_steady_rise_reaches_the_threshold_when_it_should() -> None:
    times, values = [START + 10 * i * MINUTE for i in range(7)], [1.0 + 0.1 * i for i in range(7)]
    found = time_to_threshold(times, values, 2.2)
    assert found is not None
    assert found.earliest == found.likely == found.latest == START + timedelta(hours=2)


@pytest.mark.parametrize(
    ("why", "values"),
    [
        ("too few", [1.0, 1.2, 1.4]),
        ("it stands", [1.0] * 7),
        ("it falls", [1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0]),
        ("it may as well not rise", [1.0, 1.05, 0.98, 1.03, 0.99, 1.04, 1.01]),
        ("it takes four hours", [1.0 + 0.03 * i for i in range(7)]),
        ("it is there", [2.0 + 0.1 * i for i in range(7)]),
    ],
)
def test_a_time_to_threshold_that_means_nothing_is_hidden(why: str, values: list[float]) -> None:
    times = [START + 10 * i * MINUTE for i in range(len(values))]
    assert time_to_threshold(times, values, 2.0) is None, why


def test_ten_readings_of_five_minutes_are_no_trend_while_they_span_too_little() -> None:
    times, values = [START + 2 * i * MINUTE for i in range(10)], [1.0 + 0.05 * i for i in range(10)]
    assert time_to_threshold(times, values, 2.0) is None


def test_one_bad_reading_does_not_turn_the_line() -> None:
    times, values = [START + 10 * i * MINUTE for i in range(7)], [1.0 + 0.1 * i for i in range(7)]
    for place in range(7):
        bent = [v if i != place else -4.147 for i, v in enumerate(values)]
        found = time_to_threshold(times, bent, 2.2)
        assert found is None or abs(found.likely - (START + timedelta(hours=2))) <= 20 * MINUTE


@pytest.mark.parametrize("n", [4, 5, 6, 7, 12, 30, 60])
@pytest.mark.parametrize("sigma_mm", [0.7, 15.0])
def test_the_interval_covers_the_true_slope_nine_times_of_ten(n: int, sigma_mm: float) -> None:
    trials, covered, asked = 1500 if n <= 12 else 250, 0, 0
    chance = random.Random(n)
    for _ in range(trials):
        slope_h = chance.uniform(1.0, 5.0)
        times = [START + timedelta(hours=i / (n - 1)) for i in range(n)]
        values = [slope_h * i / (n - 1) + chance.gauss(0, sigma_mm / 1000) for i in range(n)]
        line = rise(times, values)
        assert line is not None
        asked += 1
        covered += line.lower * 3600 <= slope_h <= line.upper * 3600
        trend = trend_per_hour(times, values)
        assert trend is not None
        assert math.isclose(trend, line.slope * 3600, abs_tol=1e-9)
    print(f"\n{n} readings, sigma {sigma_mm} mm: {covered / asked:.1%} of {asked}")
    assert covered >= 0.90 * asked - 2 * math.sqrt(asked * 0.09)  # two standard errors of the count itself


def trend_of(minutes: list[float], values: list[float], every: float = 10, now: float | None = None) -> float | None:
    times = [START + m * MINUTE for m in minutes]
    at = times[-1] if now is None else START + now * MINUTE
    readings = [
        Reading(SensorId(1), t, abs(v), t, Flag.FAIL if v < 0 else Flag.GOOD)
        for t, v in zip(times, values, strict=True)
    ]
    found = recent_trend(at, readings, every * MINUTE)
    return None if found is None else round(found, 6)


def test_the_trend_is_that_of_the_last_hour_whatever_was_before() -> None:
    rising = [100.0 + 10 * n for n in range(7)]
    assert trend_of([0, 10, 20, 30, *rising], [9, 9, 9, 9, *(1 + 0.1 * n for n in range(7))]) == 0.6


def test_an_outage_or_a_reading_of_years_ago_makes_no_rising_river_steady() -> None:
    years = [-3_000_000.0 - n for n in range(5)]
    assert trend_of([*years, 0, 10, 20], [1.0] * 5 + [1.0, 1.5, 2.0]) == 3.0
    assert trend_of([-120, -110, -100, -90, 0, 10, 20], [2.0] * 4 + [1.0, 1.5, 2.0]) == 3.0
    assert trend_of([-40, -10, 0], [1.0, 1.5, 2.0]) is not None, "a gap of three intervals is none yet"
    assert trend_of([0, 1, 2, 2.2], [1.0, 1.1, 1.2, 1.22], every=1 / 6) == 6.0, "a minute is no outage of any sensor"
    assert trend_of([-7, -6, 0, 0.1], [1.0, 1.1, 1.2, 1.22], every=1 / 6) is None


def test_there_is_no_trend_before_three_readings_belong_together_or_long_after_the_last_good_one() -> None:
    assert trend_of([-120, -110, 0, 10], [1.0, 1.0, 1.0, 1.5]) is None
    assert trend_of([0, 10, 20], [1.0, 1.5, 2.0], now=60) is None
    assert trend_of([], [], now=0) is None


def test_failed_readings_are_no_part_of_the_trend() -> None:
    """Below, a number under zero stands for a failed reading."""
    assert trend_of([0, 10, 20, 30, 40], [1.0, 1.1, -9.0, 1.3, 1.4]) == 0.6
    assert trend_of([0, 10, 20, 30], [1.0, 1.1, -9.0, -9.0]) is None
    hours = [10.0 * n for n in range(12)]
    failing = [1.0, 1.1, 1.2, *[-9.0] * 6, 1.9, 2.0, 2.1]
    assert trend_of(hours, failing) == 0.6, "what was before an hour of failed readings says nothing of now"


def test_a_slow_gauge_has_a_trend_over_four_of_its_intervals_and_a_fast_one_over_its_last_minutes() -> None:
    assert trend_of([0, 60, 120, 180, 240, 300], [9.0, 1.0, 1.5, 2.0, 2.5, 3.0], every=60) == 0.5
    assert trend_of([float(n) for n in range(20)], [1 + n / 60 for n in range(20)], every=1) == 1.0


def test_quiet_noise_is_hardly_ever_taken_for_a_rise() -> None:
    chance, seen, trials = random.Random(7), 0, 2000
    times = [START + 10 * i * MINUTE for i in range(7)]
    for _ in range(trials):
        values = [1.0 + chance.gauss(0, 0.0036) for _ in range(7)]
        seen += time_to_threshold(times, values, 1.5) is not None
    print(f"\n{seen} of {trials} quiet hours show a time to a threshold 50 cm above")
    assert seen == 0


# Forecast.


def climb(rate_h: float, hours: float, start: float = 1.0, step: float = 10) -> list[Reading]:
    return series(*(start + rate_h * step * i / 60 for i in range(int(hours * 60 / step) + 1)), step=step)


def test_a_threshold_that_will_be_reached_within_the_hour_is_foreseen_until_it_is_reached() -> None:
    line = climb(0.6, 4)
    (found,) = episodes(ForecastRule(), line, threshold(2, 1.5), threshold(3, 2.5), threshold(4, 9.0))
    assert found.level == 3
    assert minutes([found]) == [(90, 150)]
    assert found.detail["reference"] is True
    assert datetime.fromisoformat(found.detail["likely"]) == START + 150 * MINUTE
    assert ForecastRule.says(found.value_m, found.detail, "ja") == "見込み11:30（11:30–11:30）"


def test_what_does_not_come_is_no_longer_foreseen() -> None:
    line = [*climb(0.6, 1.7)]
    top = line[-1].value
    line += [reading(110 + 10 * i, top) for i in range(12)]
    (found,) = episodes(ForecastRule(), line, threshold(3, 2.5))
    assert found.ended_at is not None
    assert START + 110 * MINUTE < found.ended_at < START + 200 * MINUTE


def test_nothing_is_foreseen_without_an_hour_of_readings() -> None:
    line = climb(0.6, 4)
    assert episodes(ForecastRule(), line[-6:-3], threshold(3, 4.0)) == []
    gap = [r for r in line if not 20 < (r.observed_at - START) / MINUTE < 100]
    found = episodes(ForecastRule(), gap, threshold(3, 2.5))
    assert found == []  # after the gap, an hour's readings first: and then it is there


def test_forecasts_are_foreseen_for_evacuation_levels_only() -> None:
    assert episodes(ForecastRule(), climb(0.6, 4), threshold(1, 1.5), threshold(2, 2.5)) == []
    assert episodes(ForecastRule(min_level=2), climb(0.6, 4), threshold(2, 2.5)) != []


# All series rules.


def flood(seed: int) -> list[Reading]:
    """Anything a river and its sensor do: rises, falls, standing water, gaps, bad and doubtful readings."""
    chance = random.Random(seed)
    minute, value, line = 0.0, chance.uniform(0, 2), []
    usual = chance.choice([1, 5, 10, 10, 15])
    for _ in range(chance.randrange(1, 12)):
        rate = chance.choice([0.0, 0.0, 0.3, 0.8, 1.2, 2.5, 5.0, -0.3, -1.0, -3.0])
        for _ in range(chance.randrange(1, 90 // usual + 2)):
            step = usual * chance.choice([1, 1, 1, 1, 1, 2]) + chance.uniform(-0.2, 0.2)
            minute += step
            value = max(-1.0, value + rate * step / 60)
            shown = value + chance.gauss(0, 0.0036) if chance.random() > 0.03 else chance.uniform(-4, 8)
            flag = chance.choices([Flag.GOOD, Flag.SUSPECT, Flag.FAIL], [20, 1, 1])[0]
            line.append(reading(minute, round(shown, 3), flag))
        if chance.random() < 0.2:
            minute += chance.choice([40, 100, 400, 2000])
    return line


THRESHOLDS = (threshold(1, 1.0, keep_min=20), threshold(3, 1.5), threshold(4, 2.5), threshold(5, 3.5))
SERIES: list[Callable[[], SeriesRule]] = [
    RiseRule, lambda: RiseRule(rise_m=0.2, window=timedelta(hours=1), keep_firing=timedelta(0)),
    lambda: RiseRule(rise_m=1.0, window=timedelta(hours=3), clear_m=1.0), ForecastRule,
    lambda: ForecastRule(min_level=1, within=timedelta(hours=2), keep_firing=timedelta(0)), LevelRule, SelfTestRule,
]  # fmt: skip


def test_every_series_kind_is_tried() -> None:
    assert {make().kind for make in SERIES} == {k for k, r in KINDS.items() if issubclass(r, SeriesRule)}


@pytest.mark.parametrize("make", SERIES)
@settings(max_examples=150, deadline=None)
@given(st.integers(), st.randoms(use_true_random=False))
def test_a_watch_made_anew_anywhere_finds_what_the_old_one_would(
    make: Callable[[], SeriesRule], seed: int, chance: random.Random
) -> None:
    """As an engine does after a restart, or when late readings arrive: from a moment on at which nothing lasts, and
    nothing began within the rule's reach after it."""
    rule, line = make(), flood(seed)
    whole = episodes(rule, line, *THRESHOLDS)
    changed = chance.choice(line).observed_at
    padding = max(t.keep_firing for t in THRESHOLDS)
    since = changed - rule.reach
    while True:
        within = [e for e in whole if e.started_at <= changed and (e.ended_at is None or e.ended_at >= since - padding)]
        earlier = min([since, *(e.started_at - rule.reach for e in within)])
        if earlier == since:
            break
        since = earlier
    before = [e for e in whole if e.ended_at is not None and e.ended_at < since]
    assert before + episodes(rule, [r for r in line if r.observed_at >= since], *THRESHOLDS) == whole


@pytest.mark.parametrize("make", SERIES)
@settings(max_examples=150, deadline=None)
@given(st.integers())
def test_raise_and_clear_alternate_for_every_series_rule(make: Callable[[], SeriesRule], seed: int) -> None:
    found = episodes(make(), flood(seed), *THRESHOLDS)
    for level in {e.level for e in found}:
        mine = [e for e in found if e.level == level]
        assert all(a.ended_at is not None and a.ended_at < b.started_at for a, b in pairwise(mine))
        assert all(e.ended_at is None or e.started_at <= e.ended_at for e in mine)
        assert all(e.peak_m is not None and e.value_m is not None and e.peak_m >= e.value_m for e in mine)


def test_the_self_test_is_a_level_of_its_own_kind_with_its_own_threshold() -> None:
    (found,) = episodes(SelfTestRule(), series(0.0, 2.0, 0.0))
    assert (found.kind, found.level, minutes([found])) == ("self_test", 0, [(10, 20)])


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        ("rise", {"rise_m": 0}, "rise_m"),
        ("rise", {"window": "PT0S"}, "window"),
        ("rise", {"clear_m": 0.6}, "clear_m"),
        ("rise", {"keep_firing": "P2D"}, "keep_firing"),
        ("forecast", {"min_level": 6}, "min_level"),
        ("forecast", {"within": "PT4H"}, "within"),
        ("silent", {"factor": 0.5}, "factor"),
        ("silent", {"grace": "-PT1S"}, "grace"),
        ("stuck", {"after": "PT0S"}, "after"),
        ("stuck", {"neighbours_rise_h": 0}, "neighbours_rise_h"),
        ("spike", {"at_least": 0}, "at_least"),
        ("battery", {"below_v": 0}, "below_v"),
        ("battery", {"margin_v": -1}, "margin_v"),
        ("clock", {"ahead": "PT0S"}, "ahead"),
        ("gateway", {"silent_after": "PT1S"}, "silent_after"),
        ("self_test", {"threshold_m": 0}, "threshold_m"),
        ("rise", {"window": "soon"}, "window"),
        ("battery", {"below_v": "low"}, "below_v"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(kind: str, wrong: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError), match=message):
        msgspec.convert(wrong, KINDS[kind], strict=False)
    assert msgspec.convert({}, KINDS[kind], strict=False) == KINDS[kind]()
