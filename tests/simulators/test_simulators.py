"""The simulated rivers keep the laws of water, and the demo does what it promises."""

import gzip
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kawamori.domain.flood import Threshold, flood_level
from kawamori.domain.reading import StationId
from kawamori.errors import ConfigurationError
from simulators import city, river
from simulators.publish import SILENT, SPIKY, reports_at
from simulators.replay import Options, arrange, read, read_thresholds, shift_of, shifted
from simulators.sensor import Report, duplicate, noise, reorder, silence, stuck, through

NOW = datetime(2026, 7, 14, tzinfo=UTC)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(5, 300))
def test_no_more_water_leaves_a_catchment_than_fell_on_it(seed: int, total: float) -> None:
    storm = river.rain(seed, 2000, total, 200, 60)
    flow = river.catchment(river.effective(storm), 10, 12, 0.0)
    assert storm.sum() == pytest.approx(total)
    assert -1e-6 <= flow.sum() * 60 <= total / 1000 * 10e6
    assert (flow >= -1e-9).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 60), st.floats(0.1, 0.3))
def test_routing_keeps_the_volume_and_flattens_and_delays_the_peak(seed: int, k: float, x: float) -> None:
    inflow = river.catchment(river.effective(river.rain(seed, 3000, 150, 300, 40)), 20, 10, 1.0)
    outflow = river.muskingum(inflow, k, x)
    assert outflow.sum() == pytest.approx(inflow.sum(), rel=0.02)
    assert outflow.max() <= inflow.max() + 1e-9
    assert outflow.argmax() >= inflow.argmax()


def test_the_same_seed_gives_the_same_flood() -> None:
    assert np.array_equal(river.rain(3, 500, 80, 100, 30), river.rain(3, 500, 80, 100, 30))


def level_at(gauge: city.Gauge, elapsed: timedelta) -> int:
    levels, _ = reports_at("typhoon", elapsed)
    rules = [
        Threshold(station=StationId(gauge.id), level=n, value_m=v, valid_from=NOW)
        for n, v in city.thresholds(gauge).items()
    ]
    return flood_level(levels[gauge.id], rules)


def test_the_demo_climbs_through_levels_one_to_four_within_three_minutes() -> None:
    reached = defaultdict(list)
    for second in range(0, 180, 2):
        for stream in city.RIVERS:
            for gauge in stream.gauges:
                level = level_at(gauge, timedelta(seconds=second))
                if level not in reached[gauge.id]:
                    reached[gauge.id].append(level)
    climbed = [gauge for gauge, levels in reached.items() if levels[:5] == [0, 1, 2, 3, 4]]
    assert climbed
    assert not {SPIKY, SILENT} & {climbed[0]}
    assert all(levels[0] == 0 for levels in reached.values())
    assert any(max(levels) == 0 for levels in reached.values())


def test_the_peak_reaches_the_stations_one_after_the_other() -> None:
    levels = city.weather("typhoon", 0).levels
    peaks = [int(levels[gauge.id].argmax()) for gauge in city.SHIGI.gauges[:6]]
    assert peaks == sorted(peaks)


def test_faults_do_what_they_say() -> None:
    reports = [Report(NOW + timedelta(minutes=i), float(i)) for i in range(50)]
    chance = random.Random(1)
    shuffler = [reorder(chance, 3)]
    late = [out for r in reports for out in through(shuffler, r)]
    assert late != sorted(late, key=lambda r: r.at)
    twice = [out for r in reports for out in through([duplicate(chance, 0.5)], r)]
    assert len(twice) > 50
    assert set(twice) == set(reports)
    start, end = NOW + timedelta(minutes=10), NOW + timedelta(minutes=20)
    assert len([out for r in reports for out in through([silence(start, end)], r)]) == 40
    sticking = [stuck(start, end)]
    held = [out.value for r in reports for out in through(sticking, r)]
    assert held[10:20] == [10.0] * 10
    noisy = through([noise(chance)], Report(NOW, 1.0))
    assert noisy[0].value == pytest.approx(1.0, abs=0.02)


def test_replay_finds_the_columns_and_the_zone(tmp_path: Path) -> None:
    file = tmp_path / "naka.csv.gz"
    file.write_bytes(gzip.compress(b"station,time_jst,level_m,flag\na,2026-07-06T23:50,-1.73,\na,2026-07-07T00:00,,\n"))
    recording = read(Options(file=file))
    assert [(r.station, r.at, r.value) for r in recording.rows] == [
        ("a", datetime(2026, 7, 6, 14, 50, tzinfo=UTC), -1.73)
    ]
    assert recording.without_value == [(3, "")]


def test_replay_never_guesses_a_zone_or_a_column(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("station,time,value\na,2026-07-06T23:50,1\n")
    with pytest.raises(ConfigurationError, match="--time-zone"):
        read(Options(file=file))
    with pytest.raises(ConfigurationError, match="--value-column"):
        read(Options(file=file, value_column="height"))


def test_replay_refuses_two_values_in_one_field_by_line(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("station,time,value\na,2026-07-06T23:50Z,1|2\na,2026-07-07T00:00Z,3\n")
    recording = read(Options(file=file))
    assert [r.value for r in recording.rows] == [3.0]
    assert recording.refused == ["line 2: '1|2' is not a number"]


def test_replay_shifted_to_now_ends_now_and_repeats_what_it_is_told_to(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("station,time,value\n" + "".join(f"a,2020-01-01T{h:02}:00Z,{h}\n" for h in range(24)))
    options = Options(file=file, shift_to_now=True, repeat_share=0.5, shuffle=1)
    recorded = read(options).rows
    rows = arrange(shifted(recorded, shift_of(recorded, options, NOW)), options)
    assert max(r.at for r in rows) == NOW
    assert len(rows) == 36


def test_thresholds_of_nobody_out_of_order_or_of_no_height_are_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(
        "station,level,value_m\n1646500,2,1.3\nb ,2,2.3\nb,2,2\nb,3,-9999\nb,4,NaN\nb,6,1\nb,1,2.5\nb,2,3\n"
    )
    with pytest.raises(ConfigurationError) as refused:
        read_thresholds(file, {"01646500", "b"})
    said = str(refused.value)
    assert "line 2: station: '1646500' is not in the recording; is '01646500' meant?" in said
    assert "line 3: station: 'b ' is not in the recording; is 'b' meant?" in said
    for line, field in ((5, "value_m"), (6, "NaN"), (7, "level"), (9, "given twice")):
        assert any(f"line {line}: " in text and field in text for text in said.split("\n")), said
    assert "level 2 (2 m) must lie above level 1 (2.5 m)" in said


@pytest.mark.parametrize("value", ["3,400", "-99", "999", "99999", "3.4e"])
def test_a_recordings_threshold_that_can_never_sound_is_refused_by_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f'station,level,value_m\nb,2,"{value}"\n')
    with pytest.raises(ConfigurationError, match=r"line 2: value_m"):
        read_thresholds(file, {"b"})


def test_spaces_in_the_header_of_thresholds_are_no_part_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("station, level, value_m\nb,2,3.4\n")
    assert read_thresholds(file, {"b"}) == {"b": {2: 3.4}}
