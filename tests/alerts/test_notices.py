# ruff: noqa: E501 - SQL reads best unbroken
"""What hides a flood, and which service fails, is told at once to whom it concerns, and again when it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.notices import Seen
from kawamori.domain.notices import Notice
from kawamori.domain.silence import Silence
from kawamori.storage import people

pytestmark = pytest.mark.integration
START = datetime(2026, 9, 1, tzinfo=UTC)


async def told(rivers: Any) -> list[tuple[str | None, str, str]]:
    """(contact or None, address, subject) of every notice, oldest first; the log's left out."""
    return await rivers.sql(
        "SELECT contact_id, recipient, subject FROM notification WHERE event = 'notice' AND channel <> 'log'"
        " ORDER BY notification_id"
    )


async def scene(rivers: Any) -> Any:
    await rivers.stations(2)
    for name in ("manager", "technician"):
        await rivers.person(name)
    await rivers.escalation(("manager", 5))
    await rivers.escalation(("technician", 5), id="machines", topics=("equipment",), min_level=0)
    engine = rivers.engine(watchers=["smtp:watch@city.example", "smtp:manager@city.example"])
    await rivers.settle(engine)
    assert await told(rivers) == []
    return engine


async def test_a_silence_of_the_whole_site_is_told_to_managers_and_watchers_and_so_is_its_end(rivers: Any) -> None:
    engine = await scene(rivers)
    ((now,),) = await rivers.sql("SELECT clock_timestamp()")
    window = Silence(
        id=0, up_to_level=5, starts_at=now, ends_at=now + timedelta(days=300), reason="試験\u2028です", author="佐藤"
    )
    async with rivers.database.transaction() as connection:
        id_ = await people.put_silence(connection, window)
    for _ in range(3):
        await rivers.settle(engine)
    begun = await told(rivers)
    assert [(contact, address) for contact, address, _ in begun] == [
        ("manager", "manager@city.example"), (None, "watch@city.example"),
    ]  # fmt: skip
    assert all(subject.startswith("【通知停止】") and len(subject) <= 70 for _, _, subject in begun)
    ((body,),) = await rivers.sql("SELECT body FROM notification WHERE event = 'notice' AND channel = 'log'")
    assert "佐藤" in body
    assert "\u2028" not in body
    async with rivers.database.transaction() as connection:
        await people.lift_silence(connection, id_, "田中")
    await rivers.settle(engine)
    assert [subject[:6] for _, _, subject in (await told(rivers))[2:]] == ["【通知再開】"] * 2


async def test_a_threshold_raised_out_of_reach_is_told_whoever_raised_it(rivers: Any) -> None:
    engine = await scene(rivers)
    await rivers.sql("UPDATE threshold SET valid_to = now() WHERE station_id = 's0' AND level = 4")
    await rivers.sql("INSERT INTO threshold (station_id, level, valid_from, value_m) VALUES ('s0', 4, now(), 999)")
    await rivers.settle(engine)
    (manager, watcher) = await told(rivers)
    assert manager[2].startswith("【基準水位に注意】")
    assert "s0橋" in manager[2]
    assert watcher[1] == "watch@city.example"


async def test_an_ingest_in_a_crash_loop_is_named_to_the_technicians_and_no_gateway_is_blamed(rivers: Any) -> None:
    engine = await scene(rivers)
    await rivers.sql("UPDATE gateway SET seen_at = clock_timestamp() WHERE gateway_id = 'gateway-1'")
    await rivers.sql("INSERT INTO process (name, service, seen_at, started_at) VALUES ('i', 'ingest', now(), now())")
    await rivers.settle(engine)
    await rivers.sql(
        "INSERT INTO service_start SELECT 'ingest', clock_timestamp() - n * interval '7 s' FROM generate_series(0, 20) n"
    )
    await rivers.sql("UPDATE gateway SET seen_at = clock_timestamp() - interval '10 minutes'")
    for _ in range(30):
        rivers.clock += timedelta(seconds=10)
        await rivers.sql("UPDATE process SET seen_at = clock_timestamp(), started_at = clock_timestamp()")
        await rivers.settle(engine)
    found = await told(rivers)
    assert [(contact, address) for contact, address, _ in found] == [
        ("technician", "technician@city.example"), (None, "watch@city.example"), (None, "manager@city.example"),
    ]  # fmt: skip
    assert all("21 回起動し直しています" in subject for _, _, subject in found)
    assert await rivers.sql("SELECT count(*) FROM alert WHERE kind = 'gateway'") == [(0,)]
    await rivers.sql("DELETE FROM service_start")
    await rivers.settle(engine)
    assert [subject[:8] for _, _, subject in (await told(rivers))[3:]] == ["【サービス復旧】"] * 3


async def test_rows_that_a_gateway_could_not_deliver_are_told_once_and_that_they_are_gone(rivers: Any) -> None:
    engine = await scene(rivers)
    await rivers.sql("UPDATE gateway SET seen_at = clock_timestamp(), set_aside = 3 WHERE gateway_id = 'gateway-1'")
    for rows in (3, 4):
        await rivers.sql(f"UPDATE gateway SET set_aside = {rows} WHERE gateway_id = 'gateway-1'")
        rivers.clock += timedelta(seconds=10)
        await rivers.settle(engine)
    found = await told(rivers)
    assert [(contact, address) for contact, address, _ in found] == [
        ("technician", "technician@city.example"), (None, "watch@city.example"), (None, "manager@city.example"),
    ]  # fmt: skip
    assert all("gateway-1 に送れない行が 3 件" in subject for _, _, subject in found)
    await rivers.sql("UPDATE gateway SET set_aside = 0")
    rivers.clock += timedelta(seconds=10)
    await rivers.settle(engine)
    assert len(await told(rivers)) == 6


def test_an_ingest_that_only_the_database_did_not_hear_is_not_called_dead() -> None:
    """After an outage of the database its sign of life is old: it is told of only when it stays away."""
    at = [0.0]
    seen = Seen(lambda: at[0])
    dead = Notice(key="dead:ingest", kind="service", since=START, text_ja="", text_en="")
    other = Notice(key="silence:1", kind="silenced", since=START, text_ja="", text_en="")
    assert seen.ripe([dead, other]) == [other], "a silence is told at once"
    at[0] = 4
    assert seen.ripe([]) == []
    for second in range(10, 40):
        at[0] = second
        assert (seen.ripe([dead]) == [dead]) == (second >= 25)
    at[0] = 100
    assert seen.ripe([dead]) == [], "after a gap it begins anew"
