"""The demo opens on a plausible typhoon night, and goes on at the pace of real rivers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kawamori.domain.flood import Threshold, flood_level
from kawamori.domain.reading import StationId
from simulators import opening
from simulators.city import RIVERS
from simulators.publish import show_of

NOW = datetime(2026, 7, 14, tzinfo=UTC)
GAUGES = [gauge for stream in RIVERS for gauge in stream.gauges]


def level(gauge, seconds: float, scenario: str = "typhoon") -> int:
    value = opening.level_at(scenario, gauge.id, seconds / 60)
    rules = [
        Threshold(station=StationId(gauge.id), level=n, value_m=v, valid_from=NOW)
        for n, v in opening.thresholds(gauge).items()
    ]
    return flood_level(value, rules)


def test_in_the_first_three_minutes_stations_reach_each_of_the_levels_one_to_four():
    reached = {gauge.id: (level(gauge, 0), level(gauge, 180)) for gauge in GAUGES}
    crossed = {after for before, after in reached.values() if after > before}
    assert crossed == {1, 2, 3, 4}
    assert all(after - before <= 1 for before, after in reached.values())
    soon = {id_: n for id_, (n, seconds) in opening.REACHES.items() if seconds <= 150}
    assert len(soon) >= 8
    assert {id_: reached[id_][1] for id_ in soon} == soon
    assert any(after == 0 for _, after in reached.values())


def test_no_river_moves_faster_than_a_river_does():
    for gauge in GAUGES:
        for minute in range(-opening.TOLD, 180, 10):
            step = opening.level_at("typhoon", gauge.id, minute + 10) - opening.level_at("typhoon", gauge.id, minute)
            assert abs(step) < 0.5, f"{gauge.id} at {minute}"
        assert opening.level_at("typhoon", gauge.id, 20) > opening.level_at("typhoon", gauge.id, 0)


def test_before_it_lies_a_day_of_readings_each_heard_of_when_it_was_measured():
    heard = opening.history("typhoon", NOW)
    assert min(h.reading.time for h in heard) == NOW - timedelta(days=1)
    assert max(h.reading.time for h in heard) == NOW - opening.MINUTE
    assert all(h.received_at - h.reading.time == opening.ON_THE_WAY for h in heard)
    assert len({(h.device_id, h.reading.time) for h in heard}) == len(heard)
    assert len(heard) < 30_000, "it is stored in a few seconds"
    devices = {sensor.device_id for plan in opening.plans(NOW) for sensor in plan.sensors}
    assert {h.device_id for h in heard} == devices


def test_what_comes_live_goes_on_where_the_history_ends():
    last = {
        h.device_id: h.reading.value for h in opening.history("typhoon", NOW) if h.reading.time >= NOW - opening.MINUTE
    }
    for station, value in opening.levels_at("typhoon", timedelta(0)).items():
        assert value == pytest.approx(last[f"{station}-level"], abs=0.05)
    assert 0 < opening.rain_at("typhoon", 0)["shigi-takinoue"] < 2.5


def test_on_a_calm_day_nothing_is_reached():
    assert {level(gauge, seconds, "calm") for gauge in GAUGES for seconds in (0, 180, 3600)} == {0}


def test_after_the_last_hour_of_the_night_the_water_stays_where_it_was():
    end = opening.level_at("typhoon", "shigi-ohashi", opening.AHEAD)
    assert opening.level_at("typhoon", "shigi-ohashi", 10 * opening.AHEAD) == end


def test_fast_begins_without_a_past_and_reports_as_before():
    show = show_of("typhoon", fast=True)
    assert show.history(NOW) == []
    assert show.levels(timedelta(seconds=60)).keys() == {gauge.id for gauge in GAUGES}
    assert show_of("calm", fast=False).every == opening.REPORT_EVERY
    with pytest.raises(KeyError):
        asyncio.run(asyncio.to_thread(show_of("storm", fast=False).history, NOW))
