"""A row of the registry that cannot be used costs itself alone, and is named."""

import asyncio
import zlib
from datetime import UTC, datetime

import pytest

from ingest.validate import IngestValidator, Refused
from kawamori.settings import IngestSettings
from kawamori.storage.database import Database
from kawamori.storage.loading import load_registry, rules_of
from kawamori.storage.registry import SensorPlan, StationPlan, register
from kawamori.wire import DeviceReading

pytestmark = pytest.mark.integration
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def plan(name):
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, thresholds={1: 1.0, 2: 2.0},
        sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
    )  # fmt: skip


def loaded(url, bad, *spoil, with_rules=True):
    """The registry with a station `good` and another one, after these statements about the latter."""

    async def scene():
        async with Database(url, "test", size=2) as database:
            await register(database, [plan("good"), plan(bad)])
            async with database.transaction() as connection:
                for statement in spoil:
                    await connection.execute(statement.replace("'bad'", f"'{bad}'").replace("dev-bad", f"dev-{bad}"))
            return await load_registry(database, with_rules=with_rules)

    return asyncio.run(scene())


def refusal(registry, station):
    """Why a reading of the station's device is refused; None where it is taken."""
    sent = DeviceReading(time=NOW, quantity="water_level", value=1.5, unit="m")
    try:
        IngestValidator(registry, IngestSettings()).accept(f"dev-{station}", NOW, sent)
    except Refused as error:
        return str(error)
    return None


SENSOR = "UPDATE sensor SET {} WHERE station_id = 'bad'"
DEPLOYMENT = "UPDATE deployment SET {} WHERE device_id = 'dev-bad'"


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        ("UPDATE station SET time_zone = 'Asia/Tokio' WHERE station_id = 'bad'", "time_zone"),
        ("UPDATE station SET time_zone = '' WHERE station_id = 'bad'", "time_zone"),
        ("UPDATE station SET time_zone = '../../etc/passwd' WHERE station_id = 'bad'", "time_zone"),
        (SENSOR.format("range_max = 'NaN'"), "range_max"),
        (SENSOR.format("flat_above = 'Infinity'"), "flat_above"),
        (DEPLOYMENT.format("scale = 'NaN'"), "scale"),
        (DEPLOYMENT.format("shift = '-Infinity'"), "shift"),
    ],
)
def test_a_sensor_that_cannot_be_used_costs_its_own_readings_alone(database_url, spoil, names):
    bad = f"bad-{zlib.crc32(spoil.encode())}"
    registry = loaded(database_url, bad, spoil, with_rules=False)
    assert refusal(registry, "good") is None
    assert str(refusal(registry, bad)).startswith("sensor: not usable: ")
    assert names in str(refusal(registry, bad))
    assert any(names in problem.reason and bad in problem.subject for problem in registry.problems)
    assert {s.station for s in registry.sensors.values()} >= {"good", bad}, "both are shown"


@pytest.mark.parametrize(
    "spoil",
    [
        DEPLOYMENT.format("valid_from = '-infinity'"),
        DEPLOYMENT.format("valid_to = 'infinity'"),
        SENSOR.format("report_every = '900000 years'"),
        "UPDATE threshold SET valid_from = '-infinity' WHERE station_id = 'bad'",
        "UPDATE threshold SET hold = '900000 years' WHERE station_id = 'bad'",
        "UPDATE station SET lon = 'NaN' WHERE station_id = 'bad'",
    ],
)
def test_what_python_cannot_hold_keeps_no_reading_out(database_url, spoil):
    bad = f"bad-{zlib.crc32(spoil.encode())}"
    registry = loaded(database_url, bad, spoil)
    assert (refusal(registry, "good"), refusal(registry, bad)) == (None, None)
    assert len(registry.thresholds_at(bad, NOW)) == 2


def test_a_row_that_the_driver_cannot_read_is_left_out_and_named(fresh_database_url):
    bad = "bad"
    registry = loaded(fresh_database_url, bad, SENSOR.format("retired_at = '-infinity'"), with_rules=False)
    assert refusal(registry, "good") is None
    assert str(refusal(registry, bad)).startswith("sensor: not usable: ")
    assert any(problem.subject.startswith("sensor ") for problem in registry.problems)


def test_a_threshold_that_is_no_number_is_named_and_the_others_stand(fresh_database_url):
    bad = "bad"
    spoil = "UPDATE threshold SET value_m = 'NaN' WHERE station_id = 'bad' AND level = 2"
    registry = loaded(fresh_database_url, bad, spoil)
    assert [t.level for t in registry.thresholds_at(bad, NOW)] == [1]
    assert [t.level for t in registry.thresholds_at("good", NOW)] == [1, 2]
    assert [p.subject for p in registry.problems] == ["station bad threshold 2"]


def test_a_rule_that_this_version_does_not_know_costs_that_rule_alone(fresh_database_url):
    async def scene():
        async with Database(fresh_database_url, "test", size=2) as database:
            await register(database, [plan("good")])
            async with database.transaction() as connection:
                before = len(await rules_of(connection))
                for kind, parameters in (("of_tomorrow", "{}"), ("level", '{"hold": [1]}')):
                    await connection.execute(
                        "INSERT INTO alert_rule (kind, parameters, author, station_id) VALUES (%s, %s, 'x', 'good')",
                        (kind, parameters),
                    )
                rules = await rules_of(connection)
            return await load_registry(database), rules[before:]

    registry, rules = asyncio.run(scene())
    assert rules == []
    assert [problem.reason.partition(":")[0] for problem in registry.problems] == ["kind", "parameters"]
    assert len(registry.thresholds_at("good", NOW)) == 2
    assert refusal(registry, "good") is None
