"""What stands of several statements about one moment, in the database."""

import random

import pytest

from kawamori.domain.reading import Reason
from kawamori.domain.registry import Limits

pytestmark = pytest.mark.integration


async def tables(gauges):
    return [
        await gauges.sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in ("reading", "reading_statement", "counter_total", "reading_hour", "reading_day")
    ]


async def test_a_device_that_restates_a_moment_corrects_it_downwards_too(gauges):
    await gauges.station("tet")
    minutes = (0, 10, 20, 30)
    await gauges.tell("dev-tet", *((m, 3.1 + m / 1000) for m in minutes), heard=1800)
    await gauges.tell("dev-tet", *((m, 2.7 + m / 1000) for m in minutes), heard=1801)
    await gauges.tell("dev-tet", *((m, 3.1 + m / 1000) for m in minutes), heard=1800)  # the gateway sends again
    assert [v for _, v, _, _ in await gauges.rows("tet")] == [2.7, 2.71, 2.72, 2.73]
    kept = await gauges.sql("SELECT value, who, why FROM reading_revision ORDER BY observed_at")
    assert kept == [(3.1 + m / 1000, "ingest", "restated") for m in minutes]
    assert await gauges.derived_are_right()
    highs = await gauges.sql("SELECT highs FROM ingest_batch ORDER BY batch_id")
    assert highs[-1] == ([float("inf")],), "the alert engine is to look at the span again"


async def test_one_uplink_through_three_gateways_changes_nothing_after_the_first(gauges):
    await gauges.station("one")
    for heard in (1800, 1800.4, 1801):
        await gauges.tell("dev-one", (0, 2.5), heard=heard)
    assert len(await gauges.rows("one")) == 1
    assert await gauges.sql("SELECT * FROM reading_revision") == []
    assert await gauges.sql("SELECT count(*) FROM ingest_batch") == [(1,)]


async def test_two_devices_that_disagree_are_a_conflict_in_which_the_higher_value_stands(gauges):
    await gauges.station("sluice", "float", "radar")
    await gauges.tell("float", (0, 1.5), (10, 1.5))
    await gauges.tell("radar", (0, 1.82), (10, 1.5))
    conflict = int(Reason.CONFLICT | Reason.LATE)
    assert [(v, f, r & conflict) for _, v, f, r in await gauges.rows("sluice")] == [
        (1.82, 3, conflict), (1.5, 1, int(Reason.LATE)),
    ]  # fmt: skip
    await gauges.tell("radar", (0, 1.5), heard=3700)
    assert (await gauges.rows("sluice"))[0][1:3] == (1.5, 1), "the radar has corrected itself"
    assert await gauges.derived_are_right()


@pytest.mark.parametrize("seed", range(6))
async def test_statements_of_two_devices_end_in_the_same_rows_in_any_order(gauges, seed):
    chance = random.Random(seed)
    words = [
        (
            chance.choice(["float", "radar"]),
            10 * chance.randrange(6),
            chance.choice([1.0, 2.0, 3.0]),
            chance.randrange(4),
        )
        for _ in range(24)
    ]
    found = []
    for _ in range(3):
        await gauges.sql("TRUNCATE reading, reading_statement, reading_hour, reading_day, reading_revision CASCADE")
        await gauges.sql("UPDATE latest_reading SET observed_at = NULL, value = NULL, revision = revision + 1")
        if not found:
            await gauges.station("two", "float", "radar")
        chance.shuffle(words)
        for device, m, value, heard in words + words[:5]:
            await gauges.tell(device, (m, value), heard=3600 + heard)
        assert await gauges.derived_are_right()
        found.append(await tables(gauges))
    assert found[0] == found[1] == found[2]


async def test_a_flag_that_changes_later_leaves_its_former_self_once(gauges):
    await gauges.station("loose", limits=Limits(spike=0.1))
    for m, value in ((0, 1.0), (10, 1.0), (20, 0.6), (30, 1.0), (40, 1.0)):
        await gauges.tell("dev-loose", (m, value))
    assert (await gauges.rows("loose"))[2][2] == 4
    kept = await gauges.sql("SELECT value, flag, who, why FROM reading_revision")
    assert kept == [(0.6, 1, "ingest", "judged anew")]
