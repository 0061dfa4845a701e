# ruff: noqa: E501 - SQL reads best unbroken
"""What has a date: gauge zeros, level names to come, thresholds that were raised, sensors that are retired."""

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from api.contract import schemas
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

pytestmark = pytest.mark.integration
MOVED = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def zero(rows):
    """A gauge whose zero was lowered by 1 m while the water stood at 3.40 m T.P."""
    sensor = rows.station("zero")
    rows.sql("INSERT INTO datum VALUES ('zero', '2026-03-01Z', 1.4), ('zero', %s, 0.4)", MOVED)
    rows.readings(sensor, datetime(2026, 2, 27, tzinfo=UTC), timedelta(days=1), [9.0])
    rows.readings(sensor, MOVED - timedelta(days=3), timedelta(days=1), [2.0, 2.0, 2.0, 3.0, 3.0])
    rows.sql("INSERT INTO reading_hour SELECT sensor_id, observed_at, 1, round(value * 1e6)::bigint, value, value FROM reading"
             " WHERE sensor_id = %s", sensor)  # fmt: skip
    return {"from": "2026-02-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}


def test_a_station_gives_every_zero_with_its_date(api, zero):
    found = schemas.StationDetail.model_validate_json(api.get("/stations/zero").content)
    assert [(d.valid_from, d.gauge_zero_tp_m) for d in found.datums] == [
        (datetime(2026, 3, 1, tzinfo=UTC), 1.4),
        (MOVED, 0.4),
    ]
    assert found.gauge_zero_tp_m == 0.4


@pytest.mark.parametrize(("resolution", "column"), [("raw", "value"), ("hour", "max")])
def test_heights_above_the_sea_count_from_the_zero_of_their_time(api, zero, resolution, column):
    plain = api.json("/stations/zero/readings", **zero, resolution=resolution)
    above = api.json("/stations/zero/readings", **zero, resolution=resolution, datum="tp")
    assert (plain["datum"], [p[column] for p in plain["points"]]) == ("zero", [9, 2, 2, 2, 3, 3])
    assert (above["datum"], [p[column] for p in above["points"]]) == ("tp", [3.4] * 5)
    text = api.get("/stations/zero/readings.csv", **zero, resolution=resolution, datum="tp").content.decode("utf-8-sig")
    assert [row[column] for row in csv.DictReader(io.StringIO(text))] == ["3.4"] * 5


def test_a_height_above_the_sea_that_nobody_knows_is_refused_by_field(api, rows):
    rows.station("unknown-zero")
    refused = api.get("/stations/unknown-zero/readings", datum="tp")
    assert (refused.status_code, "gauge zero" in refused.text) == (422, True)


def test_level_names_to_come_are_told_with_their_date(api, rows):
    rows.sql("INSERT INTO flood_level VALUES (4, '2199-05-29Z', '危険水位', 'danger', '#AA00AA', '#FFFFFF')")
    api.json("/levels/latest")  # which sees the registry's new version
    found = schemas.FloodLevels.model_validate_json(api.get("/flood-levels").content)
    assert (len(found.flood_levels), found.flood_levels[4].name.ja) == (6, "氾濫危険水位")
    assert found.flood_levels[4].valid_from == datetime(2000, 1, 1, tzinfo=UTC)
    assert [(one.level, one.name.ja, one.valid_from.year) for one in found.to_come] == [(4, "危険水位", 2199)]


def test_a_retired_sensor_is_in_no_list_of_levels_and_its_station_says_since_when(api, rows):
    for name, retired in (("gone", "now() - interval '1 day'"), ("going", "now() + interval '1 day'")):
        rows.newest(rows.station(name), 1.0)
        rows.sql(f"UPDATE sensor SET retired_at = {retired} WHERE station_id = %s", name)
    listed = {one["station_id"] for one in api.json("/levels/latest")["stations"]}
    assert ("gone" in listed, "going" in listed) == (False, True)
    assert "going" not in {s["station_id"] for s in api.json("/levels/latest", station="gone")["stations"]}
    assert api.json("/stations/gone")["sensors"][0]["retired_at"] is not None


def test_a_threshold_that_was_raised_and_one_that_ended_are_gone_from_every_answer(api, rows):
    def plan(since: str, thresholds: dict[int, float]) -> StationPlan:
        sensor = SensorPlan(quantity="water_level", device_id="okubo-box", valid_from=datetime(2024, 6, 1, tzinfo=UTC))
        return StationPlan(
            station_id="okubo", name_ja="大久保", name_en="Okubo", river_id="okubo", river_name_ja="試川", river_name_en="Test",
            valid_from=datetime.fromisoformat(since), thresholds=thresholds, sensors=(sensor,),
        )  # fmt: skip

    async def import_both() -> None:
        async with Database(rows.url, "test", size=1) as database:
            await register(database, [plan("2024-06-01T00:00:00+09:00", {1: 2.0, 2: 2.8, 3: 3.8})])
            await register(database, [plan("2026-06-01T00:00:00+09:00", {2: 3.4, 3: 4.2})])

    asyncio.run(import_both())
    ((sensor,),) = rows.sql("SELECT sensor_id FROM sensor WHERE station_id = 'okubo'")
    rows.newest(sensor, 3.0)
    (level,) = api.json("/levels/latest", station="okubo")["stations"]
    assert (level["flood_level"], level["next_threshold"]["level"], level["next_threshold"]["value_m"]) == (0, 2, 3.4)
    assert [(t["level"], t["value_m"]) for t in api.json("/stations/okubo")["thresholds"]] == [(2, 3.4), (3, 4.2)]
    rules = api.json("/alert-rules")["thresholds"]
    assert [(t["level"], t["fire_m"]) for t in rules if t["station_id"] == "okubo"] == [(2, 3.4), (3, 4.2)]
