"""Crossings: each once, whatever the order of arrival; hysteresis and hold in the time of measurement."""

import math
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.level import Episode, Event, Watch, episodes
from alerts.messages import Names, body, subject
from alerts.paging import due
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, RiverId, SensorId, StationId
from kawamori.domain.registry import Station

START = datetime(2026, 7, 14, tzinfo=UTC)


def threshold(level: int = 1, value: float = 2.0, hold_min: float = 0, hysteresis: float = 0.05) -> Threshold:
    return Threshold(
        station=StationId("s"), level=level, value_m=value, hysteresis_m=hysteresis, hold=timedelta(minutes=hold_min),
        valid_from=START - timedelta(days=1),
    )  # fmt: skip


def reading(minute: float, value: float, flag: Flag = Flag.GOOD) -> Reading:
    at = START + timedelta(minutes=minute)
    return Reading(sensor=SensorId(1), observed_at=at, value=value, received_at=at, flag=flag)


def series(*values: float) -> list[Reading]:
    return [reading(10 * i, v) for i, v in enumerate(values)]


def minutes(found: list[Episode]) -> list[tuple[int, float, float | None]]:
    def minute(at: datetime | None) -> float | None:
        return None if at is None else (at - START).total_seconds() / 60

    return [(e.level, minute(e.started_at) or 0.0, minute(e.ended_at)) for e in found]


def test_a_flood_climbs_and_falls_through_the_levels() -> None:
    found = episodes(series(1, 2, 3, 3.5, 2.97, 2.9, 1.97, 1.9), [threshold(1, 2.0), threshold(2, 3.0)])
    assert minutes(found) == [(1, 10, 70), (2, 20, 50)]


def test_a_jump_over_several_levels_crosses_each() -> None:
    found = episodes(series(1, 9), [threshold(n, float(n)) for n in (2, 3, 4)])
    assert [(e.level, e.started_at) for e in found] == [(n, START + timedelta(minutes=10)) for n in (2, 3, 4)]


def test_a_crossing_counts_only_after_its_hold_and_from_its_beginning() -> None:
    assert episodes(series(1, 2.1, 1.9, 2.1, 2.1), [threshold(hold_min=20)]) == []
    found = episodes(series(1, 2.1, 2.2, 2.3, 1.0), [threshold(hold_min=20)])
    assert minutes(found) == [(1, 10, 40)]


def test_a_failed_reading_neither_raises_nor_ends() -> None:
    wild = [reading(0, 1.0), reading(10, 9.0, Flag.FAIL), reading(20, 2.1)]
    wild += [reading(30, -9.0, Flag.FAIL), reading(40, 2.1)]
    assert minutes(episodes(wild, [threshold()])) == [(1, 20, None)]


def test_a_suspect_crossing_counts_unverified_until_a_good_reading_confirms_it() -> None:
    doubtful = [reading(0, 1.0), reading(10, 2.5, Flag.SUSPECT)]
    assert [e.verified for e in episodes(doubtful, [threshold()])] == [False]
    assert [e.verified for e in episodes([*doubtful, reading(20, 2.5)], [threshold()])] == [True]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(150, 250).map(lambda v: v / 100), min_size=1, max_size=80), st.sampled_from([0, 10, 25]))
def test_raise_and_clear_alternate_and_agree_with_a_brute_force_oracle(values: list[float], hold: int) -> None:
    rule = threshold(hold_min=hold)
    found = episodes(series(*values), [rule])
    expected = []
    i = 0
    while i < len(values):  # look ahead from each possible beginning, with no state carried along
        if values[i] < 2.0:
            i += 1
            continue
        stays = next((j for j in range(i, len(values)) if values[j] < 2.0), len(values))
        fires = next((j for j in range(i, stays) if 10 * (j - i) >= hold), None)
        if fires is None:
            i = stays
            continue
        end = next((j for j in range(fires, len(values)) if values[j] < 2.0 - 0.05), None)
        expected.append((1, 10.0 * i, None if end is None else 10.0 * end))
        i = len(values) if end is None else end
    assert minutes(found) == expected


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_noise_round_a_threshold_gives_one_raise_a_real_crossing(seed: int) -> None:
    chance = random.Random(seed)
    level = [reading(i, 2 + math.sin(i / 60 * math.pi) * 0.5 + chance.gauss(0, 0.004)) for i in range(90, 1290)]
    assert len(episodes(level, [threshold(hysteresis=0.05)])) == 10


@given(st.lists(st.floats(1, 3), min_size=2, max_size=40), st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_feeding_in_pieces_is_feeding_at_once(values: list[float], piece: int) -> None:
    readings, rules = series(*values), [threshold(1, 1.5), threshold(2, 2.0, hold_min=15)]
    watch, seen = Watch(rules), {}
    for i in range(0, len(readings), piece):
        for episode in watch.feed(readings[i : i + piece]):
            seen[episode.level, episode.started_at] = episode
    assert sorted(seen.values(), key=lambda e: (e.started_at, e.level)) == episodes(readings, rules)


def test_old_evidence_is_never_paged_and_fresh_evidence_always() -> None:
    (episode,) = episodes(series(1, 2.5), [threshold()])
    half_hour = timedelta(minutes=30)
    later = START + timedelta(hours=3)
    assert due(episode, paged=False, newest=episode.started_at, now=later, within=half_hour) == []
    # the crossing is old, but the water is still up there now
    assert due(episode, paged=False, newest=later, now=later, within=half_hour) == [Event.RAISED]
    assert due(episode, paged=True, newest=later, now=later, within=half_hour) == []


def station() -> Station:
    return Station(
        id=StationId("s"), name_ja="汐見橋", name_en="Shiomi Bridge", river=RiverId("r"), river_name_ja="鴫川",
        river_name_en="Shigi River", crest_m=5.02,
    )  # fmt: skip


def test_the_first_line_says_it_all_in_seventy_characters() -> None:
    (episode,) = episodes([reading(0, 1), reading(14, 4.52)], [threshold(4, 4.45)])
    names = Names({4: ("氾濫危険水位", "flood danger")})
    line = subject(Event.RAISED, episode, station(), names, "actual", 0.72)
    assert line == "【L4 氾濫危険】鴫川汐見橋 4.52m（基準4.45）↑12cm/10分 09:14 自動判定"
    assert len(line) <= 70
    text = body(Event.RAISED, episode, station(), names, "actual")
    assert "堤防天端まで 0.50 m" in text
    assert "基準水位超過（自動判定）" in text
    assert "警報" not in line + text


def test_a_drill_and_a_doubtful_value_say_so() -> None:
    (episode,) = episodes([reading(0, 1), reading(14, 4.52, Flag.SUSPECT)], [threshold(4, 4.45)])
    names = Names({4: ("氾濫危険水位", "flood danger")})
    line = subject(Event.RAISED, episode, station(), names, "exercise", None)
    assert line.startswith("【訓練】")
    assert "未確認" in line
