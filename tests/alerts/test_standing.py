# ruff: noqa: E501 - SQL reads best unbroken
"""What waits in the outbox is held against the alert as it stands when it leaves: on a real database."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.channels import Undelivered
from alerts.delivery import Delivery
from kawamori.domain.people import Address, Person
from kawamori.domain.standing import claim_of, claim_of_state
from kawamori.settings import AlertSettings
from kawamori.storage import outbox, people
from kawamori.storage.database import Database
from kawamori.storage.outbox import Draft, Notification

pytestmark = pytest.mark.integration
TOLD = {
    "firing": {"resolved": "resolved", "withdrawn": "withdrawn"}, "resolved": {"firing": "raised", "withdrawn": "withdrawn"},
    "withdrawn": {"firing": "raised"},
}  # fmt: skip


class Ear:
    """A channel that hears, and then says that it took the message, that it did not, or nothing in time."""

    def __init__(self, name: str = "ear") -> None:
        self.name = name
        self.answer = "took it"
        self.heard: list[Notification] = []
        self.held: asyncio.Event | None = None
        self.under_way = 0
        self._more = asyncio.Condition()

    async def busy(self, count: int) -> None:
        """Wait until so many messages are under way."""
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: self.under_way >= count)

    async def send(self, notification: Notification) -> str:
        answer = self.answer
        if answer == "lost":
            raise Undelivered("did not get through")
        if self.held is not None:
            async with self._more:
                self.under_way += 1
                self._more.notify_all()
            await self.held.wait()
        self.heard.append(notification)
        if answer == "silent":
            raise Undelivered("got through, and the line broke before we knew")
        return answer


class Scene:
    """Alerts, a person with two addresses, and engines that deliver."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ear, self.horn = Ear("ear"), Ear("horn")
        self.heard: list[Notification] = []
        self.ear.heard = self.horn.heard = self.heard
        self.engines = [
            Delivery(database, [self.ear, self.horn], AlertSettings(), lambda: datetime.now(UTC)) for _ in range(2)
        ]
        self._number = 0

    async def sql(self, text: str, *parameters: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description is not None else []

    async def alert(self, state: str = "firing", **more: Any) -> int:
        self._number += 1
        values = {"subject": f"river:r{self._number}", "level": 4, "state": state} | more
        ((id_,),) = await self.sql(
            "INSERT INTO alert (subject, kind, flood_level, threshold_m, state, started_at, value_m, peak_m, verified, retroactive)"
            " VALUES (%s, 'level', %s, 4, %s, '2026-09-01 01:00Z', 4.1, 4.5, true, false) RETURNING alert_id",
            values["subject"], values["level"], values["state"],
        )  # fmt: skip
        return int(id_)

    async def put(self, event: str, *alerts: int, contact: str = "duty") -> int:
        self._number += 1
        entries = [
            {
                "id": id_, "event": event, "kind": "level", "station_id": "s", "subject": "", "flood_level": 4,
                "station": {"ja": "橋", "en": "Bridge"}, "river": {"ja": "川", "en": "River"},
                "started_at": "2026-09-01T01:00:00+00:00",
            }
            for id_ in alerts
        ]  # fmt: skip
        draft = Draft(
            alert_id=alerts[0], contact_id=contact, channel="ear", recipient=contact, event=event,
            key=f"k{self._number}", subject=f"as put: {event}", body="b", payload={"alerts": entries, "language": "ja"},
        )  # fmt: skip
        async with self.database.transaction() as connection:
            await outbox.put_notifications(connection, [draft])
        ((id_,),) = await self.sql("SELECT max(notification_id) FROM notification")
        return int(id_)

    async def state(self, alert: int, state: str) -> None:
        await self.sql(
            "UPDATE alert SET state = %s, ended_at = CASE WHEN %s = 'firing' THEN NULL ELSE timestamptz '2026-09-01 02:00Z' END"
            " WHERE alert_id = %s", state, state, alert,
        )  # fmt: skip

    async def deliver(self, engine: int = 0) -> None:
        await self.sql("UPDATE notification SET next_attempt_at = clock_timestamp()")
        for name in ("ear", "horn"):
            await self.engines[engine].deliver(name)

    async def drain(self) -> None:
        self.ear.answer = self.horn.answer = "took it"
        deadline = time.monotonic() + 60  # what an engine is sending is nobody else's for 15 s
        while time.monotonic() < deadline:
            await self.deliver()
            ((waiting,),) = await self.sql(
                "SELECT count(*) FROM notification WHERE delivered_at IS NULL AND given_up_at IS NULL"
            )
            if waiting == 0:
                return
        pytest.fail("the outbox does not empty")

    def words(self, alert: int) -> list[str]:
        """What was heard of an alert, in order."""
        return [e["event"] for one in self.heard for e in one.payload["alerts"] if e["id"] == alert]

    async def record(self, notification: int) -> tuple[str | None, str | None]:
        ((why, error),) = await self.sql(
            "SELECT superseded, last_error FROM notification WHERE notification_id = %s", notification
        )
        return why, error


@pytest.fixture
async def scene(fresh_database_url: str) -> AsyncIterator[Scene]:
    async with Database(fresh_database_url, "test", size=4) as database:
        async with database.transaction() as connection:
            addresses = (Address(channel="ear", address="duty"), Address(channel="horn", address="duty"))
            await people.put_contact(connection, Person(id="duty", name="当直", addresses=addresses))
        yield Scene(database)


async def test_over_is_not_sent_once_the_alert_lasts_again(scene: Scene) -> None:
    alert = await scene.alert()
    await scene.put("raised", alert)
    await scene.deliver()
    over = await scene.put("resolved", alert)
    scene.ear.answer = "lost"
    await scene.state(alert, "resolved")
    await scene.deliver()
    await scene.state(alert, "firing")
    await scene.drain()
    assert scene.words(alert) == ["raised"]
    assert await scene.record(over) == ("the alert lasts again", "superseded: the alert lasts again")
    assert [r for (r,) in await scene.sql("SELECT outcome FROM attempt WHERE notification_id = %s", over)] == [
        "failed", "superseded",
    ]  # fmt: skip
    assert await scene.engines[0].second_channels() == 0, "no other address is tried for what is not so"


async def test_a_raise_that_leaves_when_it_is_over_says_so_and_the_end_is_not_told_twice(scene: Scene) -> None:
    alert = await scene.alert()
    await scene.put("raised", alert)
    await scene.put("resolved", alert)
    await scene.state(alert, "resolved")
    await scene.drain()
    assert scene.words(alert) == ["resolved"]
    (heard,) = scene.heard
    assert "r1" in heard.subject
    assert "下回る" in heard.subject
    assert heard.subject == heard.body.splitlines()[0]
    (kept,) = await scene.sql("SELECT event, subject FROM notification WHERE delivered_at IS NOT NULL")
    assert kept == ("resolved", heard.subject), "the record holds what was sent"


async def test_what_was_withdrawn_before_anybody_heard_of_it_is_told_to_nobody(scene: Scene) -> None:
    alert = await scene.alert()
    await scene.put("raised", alert)
    await scene.put("withdrawn", alert)
    await scene.state(alert, "withdrawn")
    await scene.drain()
    assert scene.heard == []


async def test_of_a_message_about_several_alerts_only_what_is_still_so_is_told(scene: Scene) -> None:
    lasts, gone, over = await scene.alert(), await scene.alert(), await scene.alert()
    await scene.put("raised", lasts, gone, over)
    await scene.state(gone, "withdrawn")
    await scene.state(over, "resolved")
    await scene.drain()
    assert (scene.words(lasts), scene.words(gone), scene.words(over)) == (["raised"], [], ["resolved"])


async def test_an_alert_that_another_took_in_is_told_as_that_other(scene: Scene) -> None:
    await scene.sql("INSERT INTO river VALUES ('r', '川', 'River')")
    await scene.sql("INSERT INTO station (station_id, name_ja, name_en, river_id) VALUES ('s', '橋', 'Bridge', 'r')")
    ((sensor,),) = await scene.sql(
        "INSERT INTO sensor (station_id, quantity) VALUES ('s', 'water_level') RETURNING sensor_id"
    )
    old, new = await scene.alert(subject=""), await scene.alert(subject="x")
    await scene.sql(
        "UPDATE alert SET sensor_id = %s, subject = '', started_at = started_at - alert_id * interval '1 min'", sensor
    )
    await scene.sql(
        "UPDATE alert SET state = 'withdrawn', retracted_at = now(), ended_at = now() WHERE alert_id = %s", old
    )
    await scene.put("raised", old)
    await scene.drain()
    assert scene.words(old) == ["raised"]
    assert (await scene.sql("SELECT state FROM alert WHERE alert_id = %s", new)) == [("firing",)]


async def test_two_messages_that_contradict_each_other_are_never_under_way_at_once(scene: Scene) -> None:
    """An "over" hangs in a slow channel while the alert fires again: the news waits for it, and comes last."""
    alert = await scene.alert()
    await scene.put("resolved", alert)
    await scene.state(alert, "resolved")
    scene.ear.held = asyncio.Event()
    slow = asyncio.create_task(scene.engines[0].deliver("ear"))
    await scene.ear.busy(1)
    await scene.state(alert, "firing")
    await scene.put("raised", alert)
    other = await scene.alert()
    await scene.put("raised", other)
    quick = asyncio.create_task(scene.engines[1].deliver("ear"))
    await scene.ear.busy(2)
    scene.ear.held.set()
    await asyncio.gather(slow, quick)
    assert scene.words(alert) == ["resolved"]
    assert scene.words(other) == ["raised"], "another alert's message waits for nobody"
    await scene.drain()
    assert scene.words(alert) == ["resolved", "raised"]


async def test_a_message_that_another_channel_delivered_is_under_way_until_its_own_attempt_ends(scene: Scene) -> None:
    alert = await scene.alert()
    await scene.put("resolved", alert)
    await scene.state(alert, "resolved")
    scene.ear.answer = "lost"
    await scene.deliver()
    await scene.sql("UPDATE notification SET created_at = created_at - interval '70 s'")
    await scene.engines[0].second_channels()
    scene.ear.answer, scene.ear.held = "took it", asyncio.Event()
    await scene.sql("UPDATE notification SET next_attempt_at = clock_timestamp()")
    slow = asyncio.create_task(scene.engines[0].deliver("ear"))
    await scene.ear.busy(1)
    await scene.engines[1].deliver("horn")
    assert scene.words(alert) == ["resolved"]
    await scene.state(alert, "firing")
    await scene.put("raised", alert)
    await scene.engines[1].deliver("ear")
    scene.ear.held.set()
    await slow
    await scene.drain()
    assert scene.words(alert) == ["resolved", "resolved", "raised"]


@pytest.mark.parametrize("seed", range(6))
async def test_for_every_history_and_every_delay_the_last_word_is_the_state_as_it_is(scene: Scene, seed: int) -> None:
    """Twelve alerts at once, two engines, a channel that loses messages or takes them without saying so."""
    dice = random.Random(seed)
    states = {await scene.alert(): "firing" for _ in range(12)}
    for alert in states:
        await scene.put("raised", alert)
    for _ in range(25):
        for alert in dice.sample(sorted(states), 4):
            state, event = dice.choice(sorted(TOLD[states[alert]].items()))
            states[alert] = state
            await scene.state(alert, state)
            if dice.random() < 0.8:
                await scene.put(event, alert)
            else:
                other = dice.choice(sorted(states))
                told = "raised" if states[other] == "firing" else "resolved"
                await scene.put(event, alert)
                await scene.put(told, other)
        scene.ear.answer, scene.horn.answer = (dice.choice(["took it", "lost", "silent"]) for _ in range(2))
        await scene.sql("UPDATE notification SET created_at = created_at - interval '70 s'")
        if dice.random() < 0.5:
            await asyncio.gather(scene.deliver(0), scene.deliver(1))
        else:
            await scene.deliver(dice.randrange(2))
        await scene.engines[dice.randrange(2)].second_channels()
    await scene.drain()
    for alert, state in states.items():
        words = scene.words(alert)
        assert words or state == "withdrawn"
        if words:
            assert claim_of(words[-1]) is claim_of_state(state), (alert, words, state)
