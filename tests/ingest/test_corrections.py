"""What people say of readings stands above what devices say, until it is undone."""

import pytest

from ingest.batches import Ingest
from kawamori.domain.correction import Correction, CorrectionKind
from kawamori.domain.reading import Reason
from kawamori.settings import IngestSettings
from kawamori.storage.corrections import add_correction, corrections_of_station, undo_correction

pytestmark = pytest.mark.integration
CORRECTED = int(Reason.CORRECTED)
MINUTES = (0, 10, 20, 30, 40, 50)


@pytest.fixture
async def river(gauges, minute):
    """A gauge that measured an hour, and how to correct it."""
    await gauges.station("tet")
    await gauges.tell("dev-tet", *((m, 3.0 + m / 100) for m in MINUTES))

    async def correct(kind, amount, first, last=None, station="tet") -> int:
        (sensor,) = (await gauges.sql("SELECT sensor_id FROM sensor WHERE station_id = %s", station))[0]
        start, end = minute(first), minute(first if last is None else last)
        async with gauges.database.transaction() as connection:
            one = Correction(0, sensor, start, end, CorrectionKind(kind), amount, "佐藤", "seen on the staff")
            id_ = await add_correction(connection, one)
        assert await gauges.ingest.corrections.apply_next()
        assert not await gauges.ingest.corrections.apply_next()
        return id_

    async def undo(id_: int) -> None:
        async with gauges.database.transaction() as connection:
            assert await undo_correction(connection, "tet", id_, "鈴木")
            assert not await undo_correction(connection, "tet", id_, "鈴木")
        assert await gauges.ingest.corrections.apply_next()

    gauges.correct, gauges.undo = correct, undo
    return gauges


async def test_a_corrected_value_stands_with_its_former_one_its_author_and_its_reason(river):
    before = await river.rows("tet")
    id_ = await river.correct("value", 3.05, 50)
    assert (await river.rows("tet"))[-1] == (50, 3.05, 1, CORRECTED)
    assert await river.sql("SELECT value, flag, who, why FROM reading_revision") == [
        (3.5, 1, "佐藤", "seen on the staff")
    ]
    assert await river.sql("SELECT value FROM latest_reading") == [(3.05,)]
    assert await river.derived_are_right()
    assert (await river.sql("SELECT highs[1] FROM ingest_batch ORDER BY batch_id DESC LIMIT 1")) == [(float("inf"),)]
    await river.undo(id_)
    assert await river.rows("tet") == before
    assert ("鈴木", "undone: seen on the staff") in await river.sql("SELECT who, why FROM reading_revision")
    assert await river.derived_are_right()


async def test_what_is_sent_again_or_comes_late_into_a_corrected_span_obeys_it_by_every_worker(river, gauges):
    mine, other = gauges.ingest, Ingest(gauges.database, IngestSettings())
    gauges.ingest = other
    await gauges.tell("dev-tet", (55, 3.55))  # it knows the sensor now
    gauges.ingest = mine
    id_ = await river.correct("offset", -0.5, 10, 40)
    gauges.ingest = other
    await gauges.tell("dev-tet", *((m, 3.0 + m / 100) for m in MINUTES))
    await gauges.tell("dev-tet", (25, 3.25))
    await gauges.tell("dev-tet", (30, 3.2), heard=3700)  # the device restates what a person shifted
    shown = {m: round(v, 6) for m, v, _, _ in await gauges.rows("tet")}
    assert shown == {0: 3.0, 10: 2.6, 20: 2.7, 25: 2.75, 30: 2.7, 40: 2.9, 50: 3.5, 55: 3.55}
    assert await gauges.derived_are_right()
    gauges.ingest = mine
    await river.undo(id_)
    shown = {m: round(v, 6) for m, v, _, _ in await gauges.rows("tet")}
    assert shown == {0: 3.0, 10: 3.1, 20: 3.2, 25: 3.25, 30: 3.2, 40: 3.4, 50: 3.5, 55: 3.55}
    assert await gauges.derived_are_right()


async def test_condemned_readings_are_in_no_summary_and_the_newest_correction_of_a_moment_holds(river):
    first = await river.correct("condemn", None, 0, 50)
    assert await river.buckets("tet") == []
    assert {f for _, _, f, _ in await river.rows("tet")} == {4}
    second = await river.correct("value", 3.3, 30)
    assert [(m, v) for m, v, f, _ in await river.rows("tet") if f == 1] == [(30, 3.3)]
    await river.undo(second)
    assert {f for _, _, f, _ in await river.rows("tet")} == {4}
    await river.tell("dev-tet", (60, 3.6), heard=3601)  # what follows is judged by what was measured, not by nothing
    assert (await river.rows("tet"))[-1][2] == 1
    await river.undo(first)
    assert {f for _, _, f, _ in await river.rows("tet")} == {1}
    assert await river.derived_are_right()


async def test_a_correction_that_the_database_refuses_is_set_aside_and_the_next_one_is_applied(river):
    await river.sql("UPDATE quantity SET range_max = NULL, range_min = NULL WHERE quantity = 'discharge'")
    await river.station("flow", quantity="discharge")
    await river.tell("dev-flow", (0, 7.0), quantity="discharge", unit="m3/s")
    id_ = await river.correct("offset", 1e300, 0, station="flow")
    async with river.database.transaction() as connection:
        (found,) = await corrections_of_station(connection, "flow", before=2**31, limit=9)
    assert found.id == id_
    assert not found.applied
    assert "out of range" in (found.refused or "")
    assert (await river.rows("flow"))[0][1] == 7.0
    await river.correct("value", 3.05, 50)
    assert (await river.rows("tet"))[-1][1] == 3.05
