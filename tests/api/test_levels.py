"""What the wall screen shows: every station now."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.contract import schemas, shapes
from api.live.arrivals import KEPT, Arrivals
from api.registry_cache import RegistryCache
from kawamori.storage.database import Database
from kawamori.storage.levels import latest_levels

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


def test_a_sensor_that_sends_failed_readings_only_dies_at_its_last_known_level(api, rows):
    sensor = rows.station("long_failed", thresholds=THRESHOLDS)
    rows.newest(sensor, 0.1, flag=4, trend=0.8, tail=[(31, 3.2, 1), (1, 0.1, 4)])
    rows.newest(rows.station("calm_beside", thresholds=THRESHOLDS), 1.2)
    level = level_of(api, "long_failed")
    assert (level.level_m, level.judged_m, level.flood_level) == (0.1, 3.2, 3)
    assert level.observed_at - level.judged_at > timedelta(minutes=29)
    assert (level.freshness, level.silence) == ("dead", None), "something arrives: no link is silent"
    light = api.http.get("/lite").text
    assert "有効な値なし" in light
    assert light.index("long_failed橋") < light.index("calm_beside橋")


def test_a_sensor_that_never_sent_a_trusted_reading_is_dead(api, rows):
    rows.newest(rows.station("ever_failed", thresholds=THRESHOLDS), 99.0, flag=4)
    level = level_of(api, "ever_failed")
    assert (level.judged_m, level.judged_at, level.freshness, level.flood_level) == (None, None, "dead", 0)


def test_a_failed_reading_does_not_make_a_crisis_gauge_report_once_a_day(api, rows):
    sensor = rows.station("crisis_failed", thresholds=THRESHOLDS)
    rows.sql("UPDATE sensor SET report_every_low = '1 day' WHERE sensor_id = %s", sensor)
    rows.sql("INSERT INTO mark VALUES ('crisis_failed', 'observation_start', '2020-01-01Z', 2.0)")
    rows.newest(sensor, -9.0, minutes_ago=60, flag=4, tail=[(70, 3.4, 1), (60, -9.0, 4)])
    level = level_of(api, "crisis_failed")
    assert (level.freshness, level.report_every_s, level.flood_level) == ("dead", 600, 3)


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


def test_a_page_may_ask_for_some_stations_only(api, rows):
    for name in ("some_1", "some_2", "some_3"):
        rows.station(name)
    found = api.json("/levels/latest", station=["some_1", "some_3", "nowhere"])["stations"]
    assert [s["station_id"] for s in found] == ["some_1", "some_3"]
    assert api.json("/levels/latest", station="nowhere")["stations"] == []
    assert api.get("/levels/latest", station=[f"s{n}" for n in range(201)]).status_code == 422
    assert api.get("/levels/latest", station=["some_1", "some\x00"]).status_code == 422


@pytest.mark.parametrize(("value", "share"), [(1.0, 0.0), (2.5, 0.5), (4.0, 1.0), (0.4, -0.2)])
def test_the_way_from_level_one_to_level_four_is_told(api, rows, value, share):
    name = f"share_{value}"
    rows.newest(rows.station(name, thresholds=THRESHOLDS), value)
    assert level_of(api, name).level_share == share


def test_rising_water_has_an_arrival_and_falling_or_old_water_has_none(api, rows):
    now = datetime.now(UTC)
    sensors = {name: rows.station(f"arrival_{name}", thresholds=THRESHOLDS) for name in ("up", "down", "old")}
    for name, per_minute in (("up", 0.01), ("down", -0.01), ("old", 0.01)):
        minutes_ago = 40 if name == "old" else 0
        values = [2.4 + per_minute * (minute - 59) for minute in range(60)]
        rows.readings(sensors[name], now - timedelta(minutes=59 + minutes_ago), timedelta(minutes=1), values)
        rows.newest(sensors[name], 2.4, minutes_ago=minutes_ago, trend=60 * per_minute)
    up = level_of(api, "arrival_up").arrival
    assert abs(up.likely - (now + timedelta(minutes=60))) < timedelta(minutes=2), "0.6 m at 1 cm a minute"
    assert up.earliest <= up.likely <= up.latest
    assert level_of(api, "arrival_down").arrival is None
    assert level_of(api, "arrival_old").arrival is None


def test_an_arrival_is_never_foretold_for_a_time_that_has_passed(api, rows):
    now = datetime.now(UTC)
    sensor = rows.station("overdue", thresholds=THRESHOLDS)
    values = [2.95 + 0.01 * (minute - 47) for minute in range(48)]  # 5 cm to go at 1 cm a minute, 12 minutes ago
    rows.readings(sensor, now - timedelta(minutes=59), timedelta(minutes=1), values)
    rows.newest(sensor, 2.95, minutes_ago=12, trend=0.6)
    overdue = level_of(api, "overdue").arrival
    assert now <= overdue.earliest <= overdue.likely <= overdue.latest


def test_water_that_rises_so_fast_that_it_is_doubted_has_an_arrival_too(api, rows):
    now = datetime.now(UTC)
    sensor = rows.station("arrival_doubted", thresholds=THRESHOLDS)
    values = [1.1 + 0.03 * minute for minute in range(60)]
    rows.readings(sensor, now - timedelta(minutes=59), timedelta(minutes=1), values, flag=3)
    rows.newest(sensor, values[-1], minutes_ago=0, flag=3, trend=1.8)
    likely = level_of(api, "arrival_doubted").arrival.likely
    assert abs(likely - (now + timedelta(minutes=4.3))) < timedelta(minutes=2), "0.13 m at 3 cm a minute"


def test_screens_that_ask_while_a_line_grows_old_all_get_one(rows):
    now = datetime.now(UTC)
    for name in ("race_1", "race_2"):
        sensor = rows.station(name, thresholds=THRESHOLDS)
        rows.readings(sensor, now - timedelta(minutes=59), timedelta(minutes=1), [2 + n / 100 for n in range(60)])
        rows.newest(sensor, 2.59, minutes_ago=0, trend=0.6)

    async def scene():
        async with Database(rows.url, "test", size=4) as database:
            directory = await RegistryCache(database, lambda: now).get()
            arrivals = Arrivals()

            found, _ = await latest_levels(database, ["race_1", "race_2"])

            async def asked(after, *names):
                levels = [
                    x for x in shapes.latest_levels(found, directory, now)["stations"] if x["station_id"] in names
                ]
                await arrivals.put_into(levels, database, directory, now + after)
                return [level["arrival"] is not None for level in levels]

            moment = timedelta(milliseconds=1)
            assert await asked(timedelta(0), "race_1") == [True]
            # the second finds the first's line too old while the first waits for the other station's readings
            both = asked(KEPT - moment, "race_1", "race_2"), asked(KEPT + moment, "race_1")
            assert await asyncio.gather(*both) == [[True, True], [True]]

    asyncio.run(scene())


def test_of_a_station_that_is_not_fresh_the_silent_link_is_named(api, rows):
    sensor = rows.station("quiet")
    rows.newest(sensor, 1.0, minutes_ago=60)
    assert level_of(api, "quiet").silence == "server", "no ingest has ever said that it is there"
    assert api.json("/levels/latest", station="nowhere")["server_behind"] is True
    rows.sql("INSERT INTO process VALUES ('ingest-1', 'ingest', now())")
    assert api.json("/levels/latest", station="nowhere")["server_behind"] is False
    assert level_of(api, "quiet").silence == "sensor"
    rows.sql("INSERT INTO gateway VALUES ('west', now() - interval '5 minutes', 0), ('east', now(), 0)")
    rows.sql("INSERT INTO sensor_gateway VALUES (%s, 'west')", sensor)
    assert level_of(api, "quiet").silence == "gateway"
    rows.newest(sensor, 1.0)
    assert level_of(api, "quiet").silence is None
    rows.sql("DELETE FROM gateway")


def test_the_last_hours_of_every_station_come_in_one_answer(api, rows):
    now = datetime.now(UTC)
    sensor = rows.station("glance")
    start = now.replace(minute=now.minute // 10 * 10, second=0, microsecond=0) - timedelta(hours=2)
    rows.readings(sensor, start, timedelta(minutes=5), [1.0, 2.0, 3.0])
    rows.readings(sensor, start + timedelta(minutes=15), timedelta(minutes=5), [99.0], flag=4)
    found = schemas.RecentLevels.model_validate_json(api.get("/levels/recent", hours=3).content)
    assert (found.start, found.step_s, len(found.levels["glance"])) == (start - timedelta(hours=1), 600, 19)
    assert [v for v in found.levels["glance"] if v is not None] == [1.5, 3.0]
    assert found.levels["glance"].index(1.5) == 6
    assert api.get("/levels/recent", hours=25).status_code == 422
