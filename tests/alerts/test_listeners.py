"""Whether anybody would be told is said before it rises, and so is a message that reached nobody."""

from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from kawamori.domain.people import Hours, Rota, Shift
from kawamori.storage import people
from kawamori.storage.system import alerting_now

pytestmark = pytest.mark.integration


async def why(rivers: Any) -> list[str]:
    return (await alerting_now(rivers.database)).why


async def test_nobody_to_tell_is_said_until_somebody_is_on_call(rivers: Any) -> None:
    engine = rivers.engine()
    await engine.tick()
    assert await why(rivers) == ["nobody"]
    await rivers.person("duty")
    await engine.tick()
    assert await why(rivers) == ["nobody"], "a contact that no escalation names is told of nothing"
    await rivers.escalation(("duty", 5), id="boxes", topics=("equipment",), min_level=0)
    await engine.tick()
    assert await why(rivers) == ["nobody"], "of the equipment, but not of a flood"
    await rivers.escalation(("duty", 5))
    await engine.tick()
    assert await why(rivers) == []
    await rivers.person("duty", addresses=())
    await engine.tick()
    assert await why(rivers) == ["nobody"], "there is no way to reach them"


async def test_a_rota_with_a_gap_leaves_nobody_to_tell_while_it_lasts(rivers: Any) -> None:
    await rivers.person("duty")
    day = Shift(hours=Hours(start=time(8), end=time(17)), members=("duty",))
    async with rivers.database.transaction() as connection:
        await people.put_contact(connection, Rota(id="rota", name="当直", shifts=(day,)))
    await rivers.escalation(("rota", 5))
    engine = rivers.engine()  # it is 09:00 in Japan
    await engine.tick()
    assert await why(rivers) == []
    rivers.clock += timedelta(hours=9)
    await engine.tick()
    assert await why(rivers) == ["nobody"]


async def test_whom_the_settings_name_is_somebody(rivers: Any, tmp_path: Path) -> None:
    to = ["duty@city.example"]
    for settings, expected in (
        ({"mail_to": to, "smtp_host": "127.0.0.1"}, []),
        ({"mail_to": to}, ["nobody"]),
        ({"log": tmp_path / "notifications.log"}, []),
    ):
        await rivers.sql("DELETE FROM lease")
        await rivers.engine(**settings).tick()
        assert await why(rivers) == expected, settings


async def test_a_message_given_up_is_said_until_somebody_answers_or_is_told(rivers: Any) -> None:
    await rivers.stations(1)
    for name in ("first", "second"):
        await rivers.person(name)
    await rivers.escalation(("first", 5), ("second", 60 * 20))
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 2.1))
    await rivers.sql(
        "UPDATE notification SET given_up_at = now(), last_error = 'no such user' WHERE contact_id = 'first'"
    )
    assert await why(rivers) == ["given_up"]
    await rivers.sql("UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'x'")
    assert await why(rivers) == [], "somebody knows"
    await rivers.sql("UPDATE alert SET acknowledged_at = NULL, acknowledged_by = NULL")
    await rivers.later(engine, minutes=6)
    assert [event for event, _ in await rivers.told("second")] == ["escalated"]
    assert "given_up" in await why(rivers), "the next in line has not got it yet"
    await rivers.sql("UPDATE notification SET delivered_at = now() WHERE contact_id = 'second'")
    assert await why(rivers) == [], "the next in line has"
    await rivers.sql(
        "UPDATE notification SET delivered_at = NULL, given_up_at = now(), last_error = 'delivered by another channel'"
    )
    assert await why(rivers) == [], "what need not go out is not given up"
    await rivers.sql("UPDATE notification SET last_error = 'refused'")
    assert await why(rivers) == ["given_up"]
    await rivers.rise(engine, ("s0", 20, 0.2), ("s0", 40, 0.2))
    assert "given_up" not in await why(rivers), "it is over"
