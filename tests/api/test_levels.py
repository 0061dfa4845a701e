"""What the wall screen shows: every station now."""

from datetime import timedelta

import pytest

from api import schemas

pytestmark = pytest.mark.integration
THRESHOLDS = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0}


def level_of(api, station_id):
    latest = schemas.LevelsLatest.model_validate_json(api.get("/levels/latest").content)
    return next(s for s in latest.stations if s.station_id == station_id)


def test_a_rising_river_shows_its_level_and_the_way_to_the_next(api, rows):
    rows.newest(rows.station("rising", thresholds=THRESHOLDS, crest=6.0), 2.5, trend=0.4)
    level = level_of(api, "rising")
    assert (level.level_m, level.flood_level, level.flood_level_name.en) == (2.5, 2, "caution")
    assert level.next_threshold == schemas.NextThreshold(level=3, value_m=3.0, metres_to_go=0.5)
    assert (level.freeboard_m, level.trend_m_per_h, level.freshness) == (3.5, 0.4, "fresh")
    assert (level.report_every_s, level.lon, level.river_name.ja) == (600, 140.5, "久慈川")


def test_a_station_that_never_reported_is_dead_at_level_zero(api, rows):
    rows.station("silent", thresholds=THRESHOLDS)
    level = level_of(api, "silent")
    assert (level.level_m, level.observed_at, level.flag, level.flood_level, level.freshness) == (
        None,
        None,
        None,
        0,
        "dead",
    )
    assert (level.freeboard_m, level.next_threshold) == (None, None)


def test_a_failed_reading_neither_raises_nor_hides_the_flood(api, rows):
    high = rows.station("failed_low", thresholds=THRESHOLDS)
    rows.newest(high, -4.1, flag=4, reasons=16, tail=[(21, 3.1, 1), (11, 3.2, 3), (1, -4.1, 4)])
    low = rows.station("failed_high", thresholds=THRESHOLDS)
    rows.newest(low, 9.9, flag=4, tail=[(11, 0.2, 1), (1, 9.9, 4)])
    hidden, raised = level_of(api, "failed_low"), level_of(api, "failed_high")
    assert (hidden.level_m, hidden.flag, hidden.judged_m, hidden.flood_level) == (-4.1, 4, 3.2, 3)
    assert hidden.quality_reasons == ["spike"]
    assert (raised.level_m, raised.flag, raised.flood_level) == (9.9, 4, 0)


def test_a_trusted_reading_older_than_three_intervals_is_not_judged_by(api, rows):
    sensor = rows.station("long_failed", thresholds=THRESHOLDS)
    rows.newest(sensor, 0.1, flag=4, tail=[(31, 3.2, 1), (1, 0.1, 4)])
    assert (level_of(api, "long_failed").judged_m, level_of(api, "long_failed").flood_level) == (None, 0)


@pytest.mark.parametrize(("minutes", "freshness"), [(14, "fresh"), (16, "late"), (31, "dead")])
def test_age_is_judged_by_the_sensors_own_interval(api, rows, minutes, freshness):
    rows.newest(rows.station(f"aged_{minutes}", report_every=timedelta(minutes=10)), 1.0, minutes_ago=minutes)
    assert level_of(api, f"aged_{minutes}").freshness == freshness


def test_a_crisis_gauge_may_be_silent_while_the_water_is_low(api, rows):
    sensor = rows.station("crisis")
    rows.sql("UPDATE sensor SET report_every_low = '1 day' WHERE sensor_id = %s", sensor)
    rows.sql("INSERT INTO mark VALUES ('crisis', 'observation_start', '2020-01-01Z', 2.0)")
    rows.newest(sensor, 0.5, minutes_ago=600)
    assert (level_of(api, "crisis").freshness, level_of(api, "crisis").report_every_s) == ("fresh", 86400)


def test_a_changed_threshold_counts_at_the_next_request(api, rows):
    rows.newest(rows.station("revised", thresholds={1: 5.0}), 2.0)
    assert level_of(api, "revised").flood_level == 0
    rows.sql("UPDATE threshold SET value_m = 1.5 WHERE station_id = 'revised'")
    assert level_of(api, "revised").flood_level == 1


def test_a_rain_gauge_alone_is_no_water_level_station(api, rows):
    rows.station("rain_only", quantity="rainfall")
    assert "rain_only" not in [s["station_id"] for s in api.json("/levels/latest")["stations"]]
