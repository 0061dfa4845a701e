"""Who is told what, in how many messages, and who next when nobody answers."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts.engine import Engine
from kawamori.domain.people import Hours, Rota, Shift
from kawamori.domain.silence import Silence
from kawamori.storage import people

pytestmark = pytest.mark.integration


async def test_nobody_answers_and_the_next_in_line_is_told_until_somebody_does(rivers: Any) -> None:
    await rivers.stations(1)
    for name in ("first", "second"):
        await rivers.person(name)
    await rivers.escalation(("first", 5), ("second", 10), repeat=1)
    engine: Engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 4.2))
    assert [event for event, _ in await rivers.told()] == ["raised"]
    ((_, subject),) = await rivers.told("first")
    assert subject.startswith("【L4 氾濫危険】r川s0橋 4.20m（基準4.00）")
    await rivers.later(engine, minutes=4.9)
    assert await rivers.told("second") == []
    await rivers.later(engine, minutes=0.2)
    ((event, subject),) = await rivers.told("second")
    assert event == "escalated"
    assert subject.startswith("【未応答】【L4")
    await rivers.later(engine, minutes=10)
    assert [event for event, _ in await rivers.told("first")] == ["raised", "escalated"], "the second round"
    await rivers.sql("UPDATE alert SET acknowledged_at = %s, acknowledged_by = 'first'", rivers.clock)
    await rivers.later(engine, minutes=60)
    assert len(await rivers.told()) == 3, "an answer ends it"


async def test_the_chain_ends_after_its_last_round_and_says_so(rivers: Any) -> None:
    await rivers.stations(1)
    await rivers.person("only")
    await rivers.escalation(("only", 1), repeat=2)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 2.2))
    await rivers.later(engine, minutes=30)
    assert [event for event, _ in await rivers.told()] == ["raised", "escalated", "escalated"]
    assert await rivers.sql("SELECT count(*) FROM audit WHERE event = 'nobody_answered'") == [(1,)]


async def test_a_higher_level_alarms_again_after_an_acknowledgement_and_a_fall_announces_once(rivers: Any) -> None:
    await rivers.stations(1)
    await rivers.person("duty")
    await rivers.escalation(("duty", 5))
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 2.1))
    await rivers.sql("UPDATE alert SET acknowledged_at = %s, acknowledged_by = 'duty'", rivers.clock)
    await rivers.rise(engine, ("s0", 20, 3.1))
    await rivers.later(engine, minutes=2)
    assert [s[:5] for _, s in await rivers.told()] == ["【L2 氾", "【L3 避"]
    await rivers.sql("UPDATE alert SET acknowledged_at = %s, acknowledged_by = 'duty'", rivers.clock)
    await rivers.rise(engine, ("s0", 40, 0.7))
    await rivers.later(engine, minutes=15)
    resolved = [event for event, _ in await rivers.told("duty") if event == "resolved"]
    assert len(resolved) == 1, "three levels are left in one fall: one message"


async def test_one_incident_a_river_the_upstream_first_and_downstream_joined(rivers: Any) -> None:
    await rivers.stations(3)
    await rivers.station("other", river="q")
    await rivers.person("duty")
    await rivers.escalation(("duty", 30))
    engine = rivers.engine()
    await rivers.rise(engine, *[(s, 0, 0.5) for s in ("s0", "s1", "s2", "other")])
    await rivers.rise(engine, ("s0", 10, 1.2), ("s1", 10.2, 1.2), ("s2", 10.4, 1.2), ("other", 10.5, 1.2))
    await rivers.later(engine, minutes=3)
    rows = await rivers.sql(
        "SELECT n.incident_id, n.body FROM notification n WHERE contact_id IS NOT NULL ORDER BY notification_id"
    )
    assert len(rows) == 3, "the first of r, the one of q, and the two that joined r together"
    (first, alone), (_, q), (joined, both) = rows
    assert first == joined
    assert "s0橋" in alone
    assert "other橋" in q
    assert "s1橋" in both
    assert "s2橋" in both


@pytest.mark.parametrize("level", [1.5, 4.5])
async def test_ten_messages_at_most_in_the_first_ten_minutes_of_an_upset(rivers: Any, level: float) -> None:
    """Thirty rivers within ten minutes; levels 4 and 5 never wait for grouping."""
    for i in range(30):
        await rivers.station(f"x{i}", river=f"r{i}")
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    engine = rivers.engine()
    await rivers.measure(*[(f"x{i}", 0, 0.5) for i in range(30)])
    await rivers.settle(engine)
    for i in range(30):
        await rivers.rise(engine, (f"x{i}", 10 + i / 3, level))
    told = len(await rivers.told())
    if level > 4:
        assert told == 30, "each at once"
        return
    assert told <= 10
    await rivers.later(engine, minutes=10)
    bodies = " ".join(b for (b,) in await rivers.sql("SELECT body FROM notification WHERE contact_id IS NOT NULL"))
    assert all(f"x{i}橋" in bodies for i in range(30)), "everything is told within ten minutes of its crossing"


async def test_a_power_cut_that_silences_two_hundred_sensors_is_one_alert_to_people(rivers: Any) -> None:
    names = [f"p{i}" for i in range(200)]
    for name in names:
        await rivers.station(name)
    await rivers.person("technician")
    await rivers.escalation(("technician", 60), topics=("equipment",), min_level=0)
    engine = rivers.engine()
    await rivers.measure(*[(name, i / 20, 0.5) for i, name in enumerate(names)])
    rivers.clock += timedelta(minutes=10)
    await rivers.settle(engine)
    await rivers.later(engine, minutes=50)
    assert [event for event, _ in await rivers.told()] == ["raised"]
    ((_, subject),) = await rivers.told()
    assert "一斉欠測" in subject
    assert (await rivers.sql("SELECT value_m FROM alert WHERE kind = 'outage'"))[0][0] >= 5
    await rivers.measure(*[(name, 61, 0.5) for name in names])
    await rivers.later(engine, minutes=5)
    assert [event for event, _ in await rivers.told()] == ["raised", "resolved"]
    assert await rivers.sql("SELECT count(*) FROM alert WHERE state = 'firing'") == [(0,)]


async def test_a_shelved_alert_is_not_told_and_alarms_when_the_shelving_ends(
    rivers: Any, minute: Callable[[float], datetime]
) -> None:
    await rivers.stations(1)
    await rivers.person("duty")
    await rivers.escalation(("duty", 5), repeat=0)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5))
    window = Silence(
        id=0, station="s0", up_to_level=2, starts_at=minute(5), ends_at=minute(30), reason="浚渫", author="担当",
    )  # fmt: skip
    async with rivers.database.transaction() as connection:
        await people.put_silence(connection, window)
    await rivers.rise(engine, ("s0", 10, 2.2))
    assert await rivers.told() == []
    assert len(await rivers.history()) == 2, "recorded and shown all the same"
    await rivers.rise(engine, ("s0", 20, 3.2))
    assert [s[:3] for _, s in await rivers.told()] == ["【L3"], "what lies above the silence is told"
    await rivers.rise(engine, ("s0", 31, 3.2))
    await rivers.later(engine, minutes=3)
    assert [s[:3] for _, s in await rivers.told()] == ["【L3", "【L2"]


async def test_a_rota_says_who_is_on_call_and_where_nobody_is_the_next_step_is_told_at_once(
    rivers: Any, minute: Callable[[float], datetime]
) -> None:
    await rivers.stations(1)
    for name in ("day", "night"):
        await rivers.person(name)
    local = minute(10) + timedelta(hours=9)  # JST
    morning = Hours(start=local.time(), end=(local + timedelta(hours=1)).time())
    rota = Rota(id="rota", name="当番", shifts=(Shift(hours=morning, members=("day",)),))
    async with rivers.database.transaction() as connection:
        await people.put_contact(connection, rota)
    await rivers.escalation(("rota", 5), ("night", 5), repeat=0)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 15, 1.2))
    assert len(await rivers.told("day")) == 1
    await rivers.rise(engine, ("s0", 90, 0.2), ("s0", 600, 1.2))
    await rivers.later(engine, minutes=1)
    assert len(await rivers.told("night")) >= 1


async def test_an_unverified_crossing_is_told_at_once_and_confirmed_or_withdrawn(rivers: Any) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    engine = rivers.engine()
    steady = [(s, m, 0.5) for m in range(0, 60, 10) for s in ("s0", "s1")]
    await rivers.rise(engine, *steady, ("s0", 61, 2.5))
    (told,) = await rivers.sql("SELECT subject, body FROM notification WHERE contact_id IS NOT NULL")
    assert "未確認" in told[0]
    assert "隣 s1 0.50 m" in told[1]
    await rivers.rise(engine, ("s0", 62, 0.5), ("s0", 63, 0.5), ("s0", 64, 0.5))
    await rivers.later(engine, minutes=3)
    assert [event for event, _ in await rivers.told()] == ["raised", "withdrawn"]
    await rivers.rise(engine, ("s1", 69, 0.5), ("s1", 70, 2.5), ("s1", 71, 2.6))
    await rivers.later(engine, minutes=5)
    assert [event for event, _ in await rivers.told()][2:] == ["raised", "confirmed"]


async def test_a_person_who_confirms_while_the_water_falls_is_believed(rivers: Any) -> None:
    await rivers.stations(1)
    engine = rivers.engine()
    await rivers.rise(engine, *[("s0", m, 0.5) for m in range(0, 60, 10)], ("s0", 61, 2.5))
    await rivers.measure(("s0", 62, 0.5))
    async with rivers.database.transaction() as person:
        await person.execute("UPDATE alert SET verified = true, confirmed_at = now(), confirmed_by = 'p'")
        judging = asyncio.create_task(engine.advance())
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'kawamori-test'"
        async with asyncio.timeout(10):
            while not await rivers.sql(waits):  # noqa: ASYNC110 - the lock is the database's
                await asyncio.sleep(0.01)
    await judging
    await rivers.settle(engine)
    assert {(state, verified) for _, _, _, state, *_, verified in await rivers.history()} == {("resolved", True)}


async def test_a_drill_says_so_in_every_message(rivers: Any) -> None:
    await rivers.stations(1)
    await rivers.person("duty")
    await rivers.escalation(("duty", 5))
    await rivers.sql(
        "INSERT INTO alert_rule (kind, status, author, valid_from) VALUES ('level', 'exercise', 't', '2020-01-01Z')"
    )
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 4.2))
    await rivers.later(engine, minutes=6)
    rows = await rivers.sql("SELECT subject, body, payload->>'status' FROM notification WHERE event <> 'notice'")
    assert len(rows) == 6, "four levels in the log, one message, one escalation"
    assert all("【訓練】" in subject and "【訓練】" in body and status == "exercise" for subject, body, status in rows)


async def test_two_engines_write_one_history_and_tell_once(rivers: Any) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    one, two = rivers.engine(lease=timedelta(milliseconds=50)), rivers.engine(lease=timedelta(milliseconds=50))
    for m, value in enumerate([0.5, 1.2, 2.2, 1.2, 0.5, 1.2, 3.5, 0.2]):
        for station in ("s0", "s1"):
            await rivers.measure((station, 30 * m, value))
            rivers.clock = max(rivers.clock, await _at(rivers))
            engine = one if (m + (station == "s1")) % 2 else two
            for _ in range(200):
                if await engine.advance() or engine.leads:
                    break
    for engine in (one, two) * 100:
        await engine.advance()
    history = [(s, level, start) for s, _, level, _, start, *_ in await rivers.history()]
    assert len(history) == len(set(history)) == 2 * (1 + 1 + 1 + 1 + 1)
    keys = await rivers.sql("SELECT alert_id, event, count(*) FROM notification WHERE channel = 'log' GROUP BY 1, 2")
    assert all(count == 1 for _, _, count in keys)
    assert (await rivers.sql("SELECT token FROM lease"))[0][0] > 1, "the lease has changed hands"


async def _at(rivers: Any) -> datetime:
    ((at,),) = await rivers.sql("SELECT max(observed_at) FROM latest_reading")
    return at


async def test_a_station_whose_alert_the_database_refuses_keeps_back_no_other(rivers: Any) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 60))
    await rivers.sql(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.station_id = 's0' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$"
    )
    await rivers.sql("CREATE TRIGGER poison BEFORE INSERT ON alert FOR EACH ROW EXECUTE FUNCTION poison()")
    engine = rivers.engine()
    await rivers.measure(("s0", 0, 0.5), ("s1", 0, 0.5))
    await rivers.measure(("s0", 10, 1.2), ("s1", 10, 1.2))
    rivers.clock += timedelta(minutes=10)
    await rivers.settle(engine)
    assert [row[0] for row in await rivers.history()] == ["s1"]
    assert len(await rivers.told()) == 1
    noted = await rivers.sql("SELECT subject_id FROM audit WHERE event = 'not_judged'")
    assert noted == [("s0",)]
    assert not await engine.advance(), "and the feed has moved on"


async def test_a_trouble_that_comes_back_as_of_the_same_moment_is_raised_again(rivers: Any) -> None:
    """A rule switched off and on, or neighbours that stop rising and rise again: the last reading is the same."""
    await rivers.stations(1)
    engine = rivers.engine()
    await rivers.measure(("s0", 0, 0.5))
    await rivers.settle(engine)
    await rivers.later(engine, hours=2)
    silent = "SELECT state, started_at FROM alert WHERE kind = 'silent' ORDER BY alert_id"
    ((state, since),) = await rivers.sql(silent)
    assert state == "firing"
    await rivers.sql(
        "INSERT INTO alert_rule (kind, enabled, author, valid_from) VALUES ('silent', false, 't', %s)", since
    )
    await rivers.later(engine, minutes=1)
    assert await rivers.sql(silent) == [("resolved", since)]
    await rivers.sql("UPDATE alert_rule SET valid_to = %s", rivers.clock)
    await rivers.later(engine, minutes=1)
    assert await rivers.sql(silent) == [("resolved", since), ("firing", since)]


async def test_what_the_database_refuses_of_the_equipment_keeps_nobody_from_hearing_of_the_water(rivers: Any) -> None:
    await rivers.stations(2)
    await rivers.person("duty")
    await rivers.escalation(("duty", 1), repeat=1)
    await rivers.sql(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.kind = 'silent' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$"
    )
    await rivers.sql("CREATE TRIGGER poison BEFORE INSERT ON alert FOR EACH ROW EXECUTE FUNCTION poison()")
    engine = rivers.engine()
    await rivers.measure(("s0", 0, 0.5), ("s1", 0, 0.5))
    await rivers.settle(engine)
    await rivers.later(engine, hours=2)
    await rivers.rise(engine, ("s0", 121, 2.2))
    await rivers.later(engine, minutes=1.5)
    assert [event for event, _ in await rivers.told()] == ["raised", "escalated"]
