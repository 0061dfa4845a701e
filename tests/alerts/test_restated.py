"""Alerts follow what stands: a value that its device or a person takes back takes its alert with it."""

from datetime import timedelta

import pytest

from kawamori.domain.correction import Correction, CorrectionKind
from kawamori.storage.corrections import add_correction, undo_correction

pytestmark = pytest.mark.integration
MINUTES = range(0, 60, 10)


async def flood(rivers):
    """Somebody is told of level 3 at a station."""
    await rivers.stations(1)
    await rivers.person("duty")
    await rivers.escalation(("duty", 10))
    engine = rivers.engine()
    await rivers.rise(engine, *(("s0", m, 3.1 + m / 1000 if m else 0.5) for m in MINUTES))
    assert [(level, state) for _, _, level, state, *_ in await rivers.history()][-1] == (3, "firing")
    return engine


async def states(rivers):
    rows = await rivers.sql("SELECT flood_level, state FROM alert WHERE retracted_at IS NULL ORDER BY 1")
    return dict(rows)


async def test_a_device_that_restates_lower_values_ends_the_alert_and_whoever_was_told_is_told(rivers):
    engine = await flood(rivers)
    before = len(await rivers.told("duty"))
    assert before
    rivers.clock += timedelta(seconds=30)
    await rivers.measure(*(("s0", m, 1.7 + m / 1000) for m in MINUTES))
    await rivers.settle(engine)
    await rivers.later(engine, minutes=10)
    assert (await states(rivers)).get(3) != "firing"
    assert (await states(rivers)).get(2) != "firing"
    assert (await states(rivers))[1] == "firing"
    assert len(await rivers.told("duty")) > before


async def test_a_person_who_condemns_the_readings_ends_the_alert_and_undoing_brings_it_back(rivers, minute):
    engine = await flood(rivers)
    (sensor,) = (await rivers.sql("SELECT sensor_id FROM sensor"))[0]
    async with rivers.database.transaction() as connection:
        one = Correction(
            0, sensor, minute(10), minute(50), CorrectionKind.OFFSET, -2.9, "佐藤", "silt in the stilling well"
        )
        id_ = await add_correction(connection, one)
    assert await rivers.ingest.corrections.apply_next()
    await rivers.settle(engine)
    assert "firing" not in (await states(rivers)).values()
    async with rivers.database.transaction() as connection:
        assert await undo_correction(connection, "s0", id_, "佐藤")
    assert await rivers.ingest.corrections.apply_next()
    await rivers.settle(engine)
    assert (await states(rivers))[3] == "firing"
