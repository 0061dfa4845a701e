"""What is out of service is silent without alarming; a box that was replaced measures for nobody any more."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from kawamori.storage.registry import SensorPlan, StationPlan, register

pytestmark = pytest.mark.integration


async def test_a_retired_sensor_is_silent_without_alarming(rivers: Any, minute: Any) -> None:
    await rivers.stations(2)
    engine = rivers.engine()
    await rivers.measure(("s0", 0, 0.5), ("s1", 0, 0.5))
    await rivers.settle(engine)
    await rivers.sql("UPDATE sensor SET retired_at = %s WHERE station_id = 's0'", minute(5))
    await rivers.later(engine, hours=2)
    assert await rivers.sql("SELECT station_id FROM alert WHERE kind = 'silent'") == [("s1",)]
    await rivers.sql("UPDATE sensor SET retired_at = NULL")
    await rivers.later(engine, minutes=1)
    assert len(await rivers.sql("SELECT 1 FROM alert WHERE kind = 'silent'")) == 2


async def test_a_box_that_was_replaced_is_refused_from_then_on_and_its_late_readings_are_taken(
    rivers: Any, minute: Any
) -> None:
    def ford(device: str, since: datetime) -> StationPlan:
        sensor = SensorPlan(quantity="water_level", device_id=device, valid_from=since)
        return StationPlan(
            station_id="ford", name_ja="渡", name_en="Ford", river_id="r", river_name_ja="川", river_name_en="River",
            valid_from=minute(-9999), thresholds={1: 2.0, 5: 6.0}, sensors=(sensor,),
        )  # fmt: skip

    engine = rivers.engine()
    await register(rivers.database, [ford("dev-old", minute(-9999))])
    await register(rivers.database, [ford("dev-new", minute(0))])
    rivers.clock += timedelta(minutes=60)
    await rivers.measure(("old", -60, 1.5), ("new", 40, 1.53), ("new", 50, 1.54), ("old", 55, 0.0), ("old", 56, 7.9))
    await rivers.settle(engine)
    assert await rivers.sql("SELECT value FROM reading ORDER BY observed_at") == [(1.5,), (1.53,), (1.54,)]
    assert await rivers.sql("SELECT DISTINCT reason FROM quarantine") == [("time: the device was not deployed then",)]
    assert await rivers.history() == []


async def test_an_alert_is_judged_by_the_threshold_of_its_time(rivers: Any, minute: Any) -> None:
    engine = rivers.engine()
    await rivers.station("okubo", thresholds={1: 2.0, 2: 2.8, 3: 3.8})
    await rivers.station("okubo", valid_from=minute(30), thresholds={2: 3.4, 3: 4.2})
    await rivers.rise(engine, ("okubo", 40, 1.8), ("okubo", 50, 2.9), ("okubo", 60, 3.0))
    assert await rivers.history() == []
    await rivers.rise(engine, ("okubo", 70, 3.5), ("okubo", 80, 3.5))
    assert [(row[2], row[3]) for row in await rivers.history()] == [(2, "firing")]
