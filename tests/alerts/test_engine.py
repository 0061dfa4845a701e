"""The engine on a real database: late readings, clocks, what cannot be judged, and what comes back."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts import evaluation
from kawamori.domain.rules.battery import BatteryRule
from kawamori.domain.rules.level import LevelWatch
from kawamori.runtime import DatabaseClock
from kawamori.runtime import now as now_
from kawamori.storage.database import Database
from kawamori.storage.lease import take_lease

pytestmark = pytest.mark.integration


async def duty(rivers: Any) -> Any:
    """One station, one person on duty, and an engine."""
    await rivers.stations(1)
    await rivers.person("duty")
    await rivers.escalation(("duty", 5))
    return rivers.engine()


def words(told: list[tuple[str, str]]) -> list[str]:
    return [event for event, _ in told]


async def test_one_low_reading_between_high_ones_is_no_all_clear(rivers: Any) -> None:
    engine = await duty(rivers)
    await rivers.rise(engine, *[("s0", m, 6.08 + m / 100) for m in range(0, 12, 3)], ("s0", 15, 0.0))
    await rivers.later(engine, minutes=2)
    await rivers.rise(engine, ("s0", 19, 6.15), ("s0", 24, 6.17))
    await rivers.later(engine, minutes=5)
    assert set(words(await rivers.told())) <= {"raised", "escalated"}
    assert {state for _, _, _, state, *_ in await rivers.history()} == {"firing"}


async def test_an_alert_answered_withdrawn_and_proven_true_is_new_again(rivers: Any) -> None:
    engine = await duty(rivers)
    steady = [("s0", m, 0.5) for m in range(0, 60, 10)]
    await rivers.rise(engine, *steady, ("s0", 61, 1.5))
    await rivers.sql("UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'duty', dismissed_at = now(),"
                     " dismissed_by = 'duty', state = 'withdrawn'")  # fmt: skip
    await rivers.sql("UPDATE incident SET closed_at = now(), escalate_at = NULL")
    before = len(await rivers.told())
    await rivers.rise(engine, ("s0", 62, 1.6))
    await rivers.later(engine, minutes=3)
    assert words(await rivers.told())[before:] == ["raised"]
    rows = await rivers.sql("SELECT state, acknowledged_at, dismissed_at, incident_id FROM alert")
    ((state, acknowledged, dismissed, incident),) = rows
    assert (state, acknowledged, dismissed) == ("firing", None, None)
    assert await rivers.sql("SELECT closed_at FROM incident WHERE incident_id = %s", incident) == [(None,)]
    await rivers.later(engine, minutes=5)
    assert "escalated" in words(await rivers.told()), "nobody has answered it"
    (kept,) = await rivers.sql("SELECT detail FROM audit WHERE event = 'raised' ORDER BY audit_id DESC LIMIT 1")
    assert set(kept[0]) == {"again", "acknowledged_at", "dismissed_at"}


async def test_a_feed_that_is_always_forty_minutes_late_is_told_with_its_age(rivers: Any) -> None:
    engine = await duty(rivers)
    rivers.clock += timedelta(minutes=100)
    for minute in range(0, 70, 10):
        await rivers.measure(("s0", minute, 0.5 + minute / 100))
        await rivers.settle(engine)
    assert await rivers.told() == [], "its newest may be still to come"
    await rivers.later(engine, seconds=40)
    assert words(await rivers.told()) == ["raised"]
    ((detail, retroactive),) = await rivers.sql("SELECT detail, retroactive FROM alert")
    assert (detail["age_min"], retroactive) == (40, False)
    ((body,),) = await rivers.sql("SELECT body FROM notification WHERE contact_id IS NOT NULL")
    assert "40分前" in body


async def test_a_time_zone_that_is_wrong_is_named_and_the_flood_is_told_in_doubt(rivers: Any) -> None:
    engine = await duty(rivers)
    rivers.clock += timedelta(hours=9, minutes=50)
    for minute in range(0, 60, 10):
        await rivers.measure(("s0", minute, 0.6 + minute / 100))
    await rivers.settle(engine)
    await rivers.later(engine, seconds=90)
    found = await rivers.sql("SELECT kind, state, verified, detail FROM alert ORDER BY kind")
    assert [(kind, state) for kind, state, *_ in found] == [("clock", "firing"), ("level", "firing")]
    assert found[0][3]["guess"] == "zone"
    assert (found[1][2], found[1][3]["reasons"]) == (False, ["clock"])
    ((body,),) = await rivers.sql("SELECT body FROM notification WHERE contact_id IS NOT NULL AND body LIKE '%L1%'")
    assert "9時間00分" in body
    await rivers.later(engine, minutes=3)
    rivers.clock += timedelta(minutes=5)
    await rivers.measure(("s0", (rivers.clock - _start(rivers)) / timedelta(minutes=1), 1.3))
    await rivers.settle(engine)
    assert await rivers.sql("SELECT verified FROM alert WHERE kind = 'level'") == [(True,)], "its clock was set"


def _start(rivers: Any) -> datetime:
    return datetime.fromisoformat("2026-07-14T00:00:00+00:00")


async def test_a_flood_of_last_year_that_is_replayed_tells_nobody_anything(rivers: Any) -> None:
    engine = await duty(rivers)
    rivers.clock += timedelta(days=400)
    await rivers.measure(*[("s0", m, 0.5 + m / 50) for m in range(0, 200, 10)])
    await rivers.settle(engine)
    await rivers.later(engine, minutes=90)
    assert {kind for _, kind, *_ in await rivers.history()} == {"level"}
    assert await rivers.told() == []


async def test_a_reading_with_a_wrong_date_re_dates_no_running_alert_by_years(
    rivers: Any, minute: Callable[[float], datetime]
) -> None:
    engine = await duty(rivers)
    await rivers.measure(("s0", -3 * 365 * 1440, 6.0))
    await rivers.rise(engine, ("s0", 0, 1.2), ("s0", 10, 1.3))
    rows = await rivers.sql("SELECT started_at, ended_at, paged_at IS NULL FROM alert WHERE flood_level = 1 ORDER BY 1")
    assert rows == [(minute(-3 * 365 * 1440), minute(-3 * 365 * 1440), True), (minute(0), None, False)]


async def test_one_sensor_that_cannot_be_judged_costs_itself_and_is_named(
    rivers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 5))
    engine = rivers.engine()
    feed = LevelWatch.feed

    def poisoned(watch: LevelWatch, reading: Any) -> Any:
        if reading.value == 2.5:
            raise OverflowError("int too large to convert to float")
        return feed(watch, reading)

    monkeypatch.setattr(LevelWatch, "feed", poisoned)
    for values in ((0.5, 0.5), (1.2, 1.2), (2.5, 2.2)):
        rivers.clock += timedelta(minutes=10)
        m = (rivers.clock - _start(rivers)) / timedelta(minutes=1)
        await rivers.measure(("s0", m, values[0]), ("s1", m, values[1]))
        await rivers.settle(engine)
    assert {(s, level) for s, _, level, *_ in await rivers.history()} == {("s0", 1), ("s1", 1), ("s1", 2)}
    ((named,),) = await rivers.sql("SELECT not_judged FROM lease")
    assert named == {"station s0": "OverflowError('int too large to convert to float')"}
    assert await rivers.sql("SELECT count(*) FROM audit WHERE event = 'not_judged'") == [(1,)]


async def test_one_device_with_an_odd_status_costs_one_rule_of_itself(
    rivers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rivers.stations(2)
    engine = rivers.engine()
    await rivers.measure(("s0", 0, 0.5), ("s1", 0, 0.5))
    await rivers.sql("INSERT INTO device_status (device_id, received_at, status) VALUES"
                     " ('dev-s0', now(), ('{\"battery_v\": 1' || repeat('0', 399) || '}')::jsonb),"
                     " ('dev-s1', now(), '{\"battery_v\": 2.9}')")  # fmt: skip
    await rivers.settle(engine)
    await rivers.later(engine, minutes=2)
    low = "SELECT station_id FROM alert WHERE kind = 'battery' AND state = 'firing'"
    assert await rivers.sql(low) == [("s1",)]

    def judge(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(BatteryRule, "judge", judge)
    await rivers.later(engine, minutes=1)
    assert await rivers.sql(low) == [("s1",)], "what cannot be judged is not over"
    ((named,),) = await rivers.sql("SELECT not_judged FROM lease")
    assert set(named.values()) == {"ZeroDivisionError()"}
    await rivers.rise(engine, ("s0", 12, 1.2))
    assert ("s0", "level", 1) in [row[:3] for row in await rivers.history()]


async def test_a_sensor_torn_off_is_named_once_and_its_levels_are_told_no_more(rivers: Any) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    await rivers.person("technician")
    await rivers.escalation(("technician", 60), id="t", topics=("equipment",), min_level=0)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s1", 0, 0.7))
    for n in range(1, 40):
        await rivers.rise(engine, ("s0", 5 * n, (9.6, 0.2, 4.4, 0.0, 7.3, 1.2)[n % 6]), ("s1", 5 * n + 1, 0.7))
        await rivers.later(engine, seconds=30)
    await rivers.later(engine, minutes=3)
    unfit = await rivers.sql("SELECT state, detail FROM alert WHERE kind = 'unfit'")
    assert [state for state, _ in unfit] == ["firing"]
    assert [n["station_id"] for n in unfit[0][1]["neighbours"]] == ["s1"]
    late = await rivers.sql(
        "SELECT count(*), bool_or(verified) FROM alert WHERE kind = 'level' AND paged_at IS NOT NULL"
        " AND started_at > (SELECT started_at + interval '40 minutes' FROM alert WHERE kind = 'unfit')"
    )
    assert late == [(0, None)]
    raised = [s for event, s in await rivers.told("technician") if event == "raised" and "矛盾" in s]
    assert len(raised) == 1


async def test_a_backfill_of_years_is_judged_by_pages_while_live_alarms_go_on(
    rivers: Any, minute: Callable[[float], datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "_PAGE", 100)
    monkeypatch.setattr(evaluation, "_LATE_ROWS", 300)
    monkeypatch.setattr(evaluation, "_SLICE_S", 0.0)
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s1", 0, 0.5))
    past = [("s0", -10.0 * n, 1.3 if n % 700 < 300 else 0.5) for n in range(1, 2001)]
    for first in range(0, len(past), 500):
        await rivers.measure(*past[first : first + 500])
    pages = 0
    assert await engine.advance()
    assert await rivers.sql("SELECT count(*) FROM late_evaluation") == [(1,)]
    await rivers.measure(("s1", 1, 2.3))
    rivers.clock = minute(1)
    while await engine.advance():
        await engine.tick()
        pages += 1
        if pages == 2:
            assert [s[:3] for _, s in await rivers.told()] == ["【L2"], "told while the backfill is under way"
    assert pages >= 2000 / 100 - 5
    assert await rivers.sql("SELECT count(*) FROM late_evaluation") == [(0,)]
    found = [(a, b) for s, _, _, _, a, b, *_ in await rivers.history() if s == "s0"]
    assert found == [
        (minute(-16990), minute(-14000 + 10)), (minute(-9990), minute(-7000 + 10)), (minute(-2990), minute(0))
    ]  # fmt: skip


async def test_a_late_reading_is_judged_up_to_where_nothing_more_can_change(rivers: Any) -> None:
    engine = await duty(rivers)
    await rivers.measure(*[("s0", 10.0 * n, 0.5) for n in range(2000)])
    rivers.clock += timedelta(minutes=20000)
    await rivers.settle(engine)
    before = evaluation.EVALUATED._value.get()
    await rivers.measure(("s0", 105, 1.0))
    await rivers.settle(engine)
    assert len(await rivers.history()) == 1
    assert evaluation.EVALUATED._value.get() - before <= evaluation._PAGE


async def test_time_is_the_databases_though_the_host_is_an_hour_ahead(rivers: Any) -> None:
    await rivers.stations(1)
    engine = rivers.engine(database_clock=True)
    engine._time = engine.clock = DatabaseClock(host=lambda: now_() + timedelta(hours=1))
    await engine.tick()
    ((off, now),) = await rivers.sql("SELECT clock_off_s, clock_timestamp() FROM lease")
    assert 3590 < off < 3610
    assert abs(engine.clock() - now) < timedelta(seconds=5)


async def test_an_alert_of_a_kind_that_this_version_does_not_know_stops_nobody_from_being_told(rivers: Any) -> None:
    engine = await duty(rivers)
    await rivers.sql(
        "INSERT INTO alert (station_id, kind, state, started_at, flood_level, verified, retroactive, status, paged_at)"
        " VALUES ('s0', 'tsunami', 'firing', now(), 3, true, false, 'actual', now())"
    )
    await rivers.sql("INSERT INTO announcement (alert_id, event) SELECT alert_id, 'raised' FROM alert")
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 1.2))
    await rivers.later(engine, minutes=2)
    said = " ".join(subject for _, subject in await rivers.told())
    assert "tsunami" in said
    assert "L1" in said or len(await rivers.history()) == 2


async def test_the_lease_of_a_process_that_is_gone_is_free_at_once_and_that_of_a_silent_one_when_it_runs_out(
    rivers: Any,
) -> None:
    async def take(database: Database, holder: str) -> bool:
        async with database.transaction() as connection:
            return await take_lease(connection, holder, timedelta(minutes=1)) is not None

    async with Database(rivers.database.url, "alerts-b") as second:
        async with Database(rivers.database.url, "alerts-a") as first:
            assert await take(first, "alerts-a")
            assert not await take(second, "alerts-b"), "its sessions stand: it may only be silent"
        await _until_gone(rivers, "kawamori-alerts-a")
        assert await take(second, "alerts-b"), "its process is gone"
        assert await take(second, "alerts-b")
        async with Database(rivers.database.url, "elsewhere") as hidden:
            await rivers.sql("UPDATE lease SET holder = 'alerts-a'")
            assert not await take(hidden, "alerts-c"), "one whose own session cannot be seen waits"
        await rivers.sql("UPDATE lease SET holder = 'unnamed'")
        assert not await take(second, "alerts-b"), "who holds it without a name is waited for"


async def _until_gone(rivers: Any, name: str) -> None:
    for _ in range(200):
        if not await rivers.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", name):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the sessions of {name} are still there")
