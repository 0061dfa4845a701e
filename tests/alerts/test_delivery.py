"""The outbox on a real database: every attempt is on record, no message is lost, none holds up another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels import Channel, Undelivered
from alerts.channels.guarded import Guarded
from alerts.channels.webhook import WebhookChannel
from alerts.delivery import Delivery, addresses_after, send_directly, wait_after
from kawamori.domain.people import Address, Group, Person
from kawamori.settings import AlertSettings
from kawamori.storage import outbox, people
from kawamori.storage.database import Database
from kawamori.storage.outbox import Draft, Notification

pytestmark = pytest.mark.integration


class Ear:
    """A channel that answers what the test says, and remembers what it heard."""

    def __init__(self, name: str = "ear", answer: Any = "heard") -> None:
        self.name, self.answer = name, answer
        self.heard: list[Notification] = []

    async def send(self, notification: Notification) -> str:
        self.heard.append(notification)
        answer = self.answer
        if callable(answer):
            answer = answer(notification)
            if isinstance(answer, Awaitable):
                answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)

    @property
    def keys(self) -> list[str]:
        return [notification.idempotency_key for notification in self.heard]


class Outbox:
    """A database, and what its outbox says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.settings = AlertSettings()

    def delivery(self, *channels: Channel, **more: Any) -> Delivery:
        return Delivery(self.database, channels, self.settings, lambda: datetime.now(UTC), **more)

    async def put(self, *keys: str, **more: Any) -> None:
        drafts = []
        for key in keys:
            values = {
                "contact_id": "duty", "channel": "ear", "recipient": "a", "event": "raised", "key": key,
                "subject": "川", "body": "川\n水", "payload": {"status": "actual"},
            } | more  # fmt: skip
            drafts.append(Draft(**values))
        async with self.database.transaction() as connection:
            await outbox.put_notifications(connection, drafts)

    async def person(self, *addresses: tuple[str, str], name: str = "duty") -> None:
        found = tuple(Address(channel=channel, address=address) for channel, address in addresses)
        async with self.database.transaction() as connection:
            await people.put_contact(connection, Person(id=name, name=name, addresses=found))

    async def sql(self, text: str, *parameters: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def attempts(self, key: str = "k") -> list[tuple[str, str]]:
        return await self.sql(
            "SELECT outcome, answer FROM attempt JOIN notification USING (notification_id) WHERE idempotency_key = %s"
            " ORDER BY attempt_id", key,
        )  # fmt: skip

    async def states(self) -> dict[str, str]:
        rows = await self.sql(
            "SELECT idempotency_key, CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN given_up_at IS NOT NULL"
            " THEN 'given up' ELSE 'due' END FROM notification ORDER BY notification_id"
        )
        return dict(rows)

    async def waits(self, key: str = "k") -> float:
        ((seconds,),) = await self.sql(
            "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM notification"
            " WHERE idempotency_key = %s", key,
        )  # fmt: skip
        return float(seconds)

    async def due_now(self) -> None:
        await self.sql("UPDATE notification SET next_attempt_at = clock_timestamp()")

    async def older(self, **by: float) -> None:
        await self.sql("UPDATE notification SET created_at = created_at - %s", timedelta(**by))


@pytest.fixture
async def box(fresh_database_url: str) -> AsyncIterator[Outbox]:
    async with Database(fresh_database_url, "test", size=4) as database:
        yield Outbox(database)


async def until(condition: Callable[[], Any], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(delivery: Delivery, *names: str) -> AsyncIterator[None]:
    """The channels at work, as the service runs them."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(delivery.run_channel(name, stop)) for name in names]
    tasks.append(asyncio.create_task(delivery.run_lookout(stop)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[str]]]:
    """An HTTP server that gives these answers in turn, the last one for ever; yields its port and the keys it saw."""
    keys: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        keys.append(head.split("Idempotency-Key: ")[1].split("\r\n")[0].strip('"'))
        answer = answers[min(len(keys), len(answers)) - 1]
        if answer == b"SLOW":
            await reader.read()
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], keys
    server.close()


async def test_every_attempt_and_its_answer_is_on_record_until_somebody_takes_the_message(box: Outbox) -> None:
    """A real webhook on a server that misbehaves in every way before it says yes."""
    answers = (
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nContent-Length: 5\r\n\r\nlater",
        b"SLOW",
        b"\x00\xff\xfe garbage\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n\x00\xff\xfeo",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nqueued 7",
    )
    async with answering(*answers) as (port, keys):
        guarded = Guarded([f"http://127.0.0.1:{port}"], patience=timedelta(seconds=1))
        settings = AlertSettings(webhook_hosts=[f"http://127.0.0.1:{port}"])
        delivery = box.delivery(WebhookChannel(settings, guarded))
        await box.put("k", channel="webhook", recipient=f"http://127.0.0.1:{port}/hook")
        for _ in answers:
            await box.due_now()
            assert await delivery.deliver("webhook") == 1
        await box.due_now()
        assert await delivery.deliver("webhook") == 0, "delivered: never again"
    assert keys == ["k"] * len(answers), "the same key at every attempt"
    assert await box.attempts() == [
        ("failed", "500"), ("failed", "429 later"), ("failed", "no answer within 1 s"),
        ("failed", "did not answer in HTTP"),
        ("refused", "302: redirects are not followed; set the address it leads to"), ("refused", "404 \ufffd\ufffdo"),
        ("delivered", "202 queued 7"),
    ]  # fmt: skip
    ((attempts, error),) = await box.sql("SELECT attempts, last_error FROM notification")
    assert (attempts, error) == (len(answers), None)


async def test_a_server_that_is_down_is_tried_until_it_is_there(box: Outbox) -> None:
    ear = Ear(answer=Undelivered("does not take the connection"))
    await box.put("k")
    async with running(box.delivery(ear), "ear"):
        await until(lambda: len(ear.heard) >= 3)
        ear.answer = "250 queued"
        await until(lambda: _is(box, "delivered"))
    outcomes = [outcome for outcome, _ in await box.attempts()]
    assert outcomes == ["failed"] * (len(outcomes) - 1) + ["delivered"]


async def _is(box: Outbox, state: str, key: str = "k") -> bool:
    return (await box.states()).get(key) == state


async def test_a_message_goes_out_at_once_when_woken(box: Outbox) -> None:
    ear = Ear()
    delivery = box.delivery(ear)
    async with running(delivery, "ear"):
        await box.put("first")
        await until(lambda: ear.keys == ["first"], 3)
        begun = asyncio.get_running_loop().time()
        await box.put("second")
        delivery.wake()
        await until(lambda: len(ear.keys) == 2, 3)
        assert asyncio.get_running_loop().time() - begun < 0.9


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (Undelivered("503"), 0, 1),
        (Undelivered("429", retry_after=timedelta(seconds=120)), 118, 121),
        (Undelivered("429", retry_after=timedelta(days=9)), 890, 901),
        (Undelivered("404", permanent=True), 295, 301),
        (Undelivered("410", permanent=True, retry_after=timedelta(days=9)), 295, 301),
        (ValueError("bug"), 0, 1),
    ],
)
async def test_the_next_attempt_is_when_the_other_side_asks_for_it_within_reason(
    error: Exception, least: float, most: float, box: Outbox
) -> None:
    await box.put("k")
    await box.delivery(Ear(answer=error)).deliver("ear")
    assert least - 0.5 <= await box.waits() <= most


@given(st.integers(1, 10_000), st.booleans(), st.none() | st.timedeltas(timedelta(0), timedelta(days=400)))
def test_no_message_waits_for_longer_than_a_quarter_of_an_hour(
    attempt: int, permanent: bool, asked: timedelta | None
) -> None:
    error = Undelivered("no", retry_after=asked, permanent=permanent)
    assert 0 < wait_after(attempt, error) <= 900
    assert 0 < wait_after(attempt, None) <= 300


async def test_an_error_that_nobody_foresaw_is_recorded_and_the_others_go_on(box: Outbox) -> None:
    ear = Ear(answer=lambda n: ZeroDivisionError("secret") if n.idempotency_key == "bad" else "heard")
    await box.put("bad", "good")
    assert await box.delivery(ear).deliver("ear") == 2
    assert await box.attempts("bad") == [("failed", "ZeroDivisionError")]
    assert await _is(box, "delivered", "good")


@pytest.mark.parametrize("answer", ["a\x00b", "\udcff broken", "x" * 100_000, ""])
@pytest.mark.parametrize("yes", [True, False])
async def test_whatever_was_answered_can_be_stored(answer: str, yes: bool, box: Outbox) -> None:
    """An answer that the database refuses would end the service, at every start again."""
    await box.put("k")
    await box.delivery(Ear(answer=answer if yes else Undelivered(answer))).deliver("ear")
    ((outcome, kept),) = await box.attempts()
    assert outcome == ("delivered" if yes else "failed")
    assert len(kept) <= 2000


async def test_a_slow_channel_holds_up_no_other_and_a_slow_recipient_nobody_else(box: Outbox) -> None:
    never = asyncio.Event()

    async def tarpit(n: Notification) -> str:
        if n.recipient == "tarpit":
            await never.wait()
        return "heard"

    slow, other = Ear("slow", tarpit), Ear("other")
    await box.put(*[f"t{i}" for i in range(100)], channel="slow", recipient="tarpit")
    delivery = box.delivery(slow, other)
    async with running(delivery, "slow", "other"):
        await until(lambda: len(slow.heard) >= 8)
        await box.put("late", channel="slow", recipient="quick")
        await box.put("elsewhere", channel="other")
        delivery.wake()
        await until(lambda: "late" in slow.keys and "elsewhere" in other.keys, 2)
        await until(lambda: _is(box, "delivered", "late"), 2)
        assert slow.keys.count("t0") <= 1
        assert sum(n.recipient == "tarpit" for n in slow.heard) == 8, "no more at once"
        never.set()
        await until(lambda: len(slow.heard) == 101)


async def test_what_was_never_tried_goes_before_what_has_failed_for_long(box: Outbox) -> None:
    await box.put(*[f"old{i}" for i in range(40)])
    await box.sql("UPDATE notification SET attempts = 5")
    await box.put("new")
    ear = Ear()
    await box.delivery(ear).deliver("ear")
    assert "new" in ear.keys


async def test_a_message_is_given_up_after_two_days_and_not_before(
    box: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    ear = Ear(answer=Undelivered("500"))
    delivery = box.delivery(ear)
    await box.put("k")
    await box.older(hours=47.9)
    await delivery.deliver("ear")
    assert await _is(box, "due")
    await box.older(hours=0.2)
    await box.due_now()
    await delivery.deliver("ear")
    assert await _is(box, "given up")
    assert "given up" in "".join(capsys.readouterr())
    await box.due_now()
    assert await delivery.deliver("ear") == 0


# The claim.


async def test_two_engines_never_send_the_same_message_while_both_are_well(box: Outbox) -> None:
    one, two = Ear(), Ear()
    await box.put(*[f"k{i}" for i in range(60)])
    async with running(box.delivery(one), "ear"), running(box.delivery(two), "ear"):
        await until(lambda: len(one.heard) + len(two.heard) >= 60)
        await until(lambda: _all(box, "delivered"))
    assert sorted(one.keys + two.keys) == sorted(f"k{i}" for i in range(60))


async def _all(box: Outbox, state: str) -> bool:
    return set((await box.states()).values()) == {state}


async def test_what_a_frozen_engine_had_claimed_is_sent_by_another_under_the_same_key(box: Outbox) -> None:
    """The frozen one wakes up in mid-send: its failure changes nothing, its success is on record too."""
    thaw = asyncio.Event()
    outcome: list[Any] = []

    async def frozen(_: Notification) -> Any:
        await thaw.wait()
        return outcome[0]

    await box.put("k")
    claim = timedelta(seconds=0.3)
    stuck = asyncio.create_task(box.delivery(Ear(answer=frozen), claim=claim).deliver("ear"))
    other = Ear()
    sound = box.delivery(other, claim=claim)
    await until(lambda: _claimed(box))
    assert await sound.deliver("ear") == 0, "it is the other's"
    await until(lambda: sound.deliver("ear"))
    assert other.keys == ["k"]
    outcome.append(Undelivered("connection reset"))
    thaw.set()
    await stuck
    assert await _is(box, "delivered")
    assert await box.attempts() == [("delivered", "heard"), ("failed", "connection reset")]


async def _claimed(box: Outbox) -> bool:
    return await box.sql("SELECT 1 FROM notification WHERE claimed_until IS NOT NULL") != []


async def test_a_late_failure_leaves_the_claim_of_whoever_tries_now_alone(box: Outbox) -> None:
    thaw, hold = asyncio.Event(), asyncio.Event()

    async def late(_: Notification) -> Any:
        await thaw.wait()
        return Undelivered("late")

    async def now(_: Notification) -> str:
        await hold.wait()
        return "heard"

    await box.put("k")
    first = asyncio.create_task(box.delivery(Ear(answer=late), claim=timedelta(seconds=0.2)).deliver("ear"))
    await until(lambda: _claimed(box))
    ear = Ear(answer=now)
    trying = box.delivery(ear)
    second = asyncio.create_task(_deliver_once(trying))
    await until(lambda: ear.heard)
    thaw.set()
    await first
    assert await box.delivery(Ear()).deliver("ear") == 0, "still claimed by the second"
    hold.set()
    await second
    assert await _is(box, "delivered")


async def _deliver_once(delivery: Delivery) -> None:
    await until(lambda: delivery.deliver("ear"))


async def test_what_was_delivered_while_the_database_went_away_is_recorded_when_it_is_back(
    box: Outbox, fresh_database_url: str
) -> None:
    name = fresh_database_url.rpartition("/")[2]
    server = fresh_database_url.rpartition("/")[0] + "/postgres"

    async def away(allow: bool) -> None:
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
            await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(allow).lower()}')
            if not allow:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                )

    async def lose(_: Notification) -> str:
        await away(False)
        return "heard"

    ear = Ear(answer=lose)
    await box.put("k")
    async with running(box.delivery(ear), "ear"):
        await until(lambda: ear.heard)
        ear.answer = "heard"
        await asyncio.sleep(1.5)  # the outage
        await away(True)
        await until(lambda: _is(box, "delivered"), 20)
    assert ear.keys == ["k"], "told once"


async def test_an_engine_that_stops_ends_what_is_under_way_so_that_nobody_is_told_twice(box: Outbox) -> None:
    go = asyncio.Event()

    async def slowly(_: Notification) -> str:
        await go.wait()
        return "heard"

    ear = Ear(answer=slowly)
    await box.put("k")
    async with running(box.delivery(ear), "ear"):
        await until(lambda: ear.heard)
        asyncio.get_running_loop().call_later(0.3, go.set)
    assert await _is(box, "delivered")


# The second channel.


async def test_the_second_channel_is_tried_after_a_minute_of_failure_and_the_first_stops_when_it_is_delivered(
    box: Outbox,
) -> None:
    await box.person(("ear", "a"), ("mouth", "b"), ("hand", "c"))
    ear, mouth, hand = Ear(answer=Undelivered("500")), Ear("mouth", Undelivered("503")), Ear("hand")
    delivery = box.delivery(ear, mouth, hand)
    await box.put("k")
    await delivery.deliver("ear")
    await box.older(seconds=58)
    assert await delivery.second_channels() == 0
    await box.older(seconds=3)
    assert await delivery.second_channels() == 1
    assert await delivery.second_channels() == 0, "once"
    await delivery.deliver("mouth")
    assert await delivery.second_channels() == 0, "the second has its own minute"
    await box.older(seconds=61)
    assert await delivery.second_channels() == 1
    await box.due_now()
    await delivery.deliver("ear")
    await delivery.deliver("hand")
    assert await box.states() == {"k": "given up", "k-mouth": "given up", "k-mouth-hand": "delivered"}
    assert [(n.recipient, n.body) for n in hand.heard] == [("c", "川\n水")]
    rows = await box.sql("SELECT DISTINCT last_error FROM notification WHERE given_up_at IS NOT NULL")
    assert rows == [("delivered by another channel",)]
    await box.due_now()
    await box.older(hours=1)
    assert await delivery.deliver("ear") == await delivery.deliver("mouth") == await delivery.second_channels() == 0


async def test_a_refusal_is_followed_by_the_second_channel_at_once_while_the_first_is_still_tried(box: Outbox) -> None:
    await box.person(("ear", "a"), ("mouth", "b"))
    ear, mouth = Ear(answer=Undelivered("550 no such user", permanent=True)), Ear("mouth", Undelivered("500"))
    delivery = box.delivery(ear, mouth)
    await box.put("k")
    await delivery.deliver("ear")
    assert await delivery.second_channels() == 1
    await delivery.deliver("mouth")
    ear.answer = "250 ok"
    await box.due_now()
    await delivery.deliver("ear")
    assert await box.states() == {"k": "delivered", "k-mouth": "given up"}


async def test_a_message_that_another_channel_delivered_stays_given_up_when_its_own_attempt_fails_later(
    box: Outbox,
) -> None:
    await box.person(("ear", "a"), ("mouth", "b"))
    fail = asyncio.Event()

    async def late(_: Notification) -> Any:
        await fail.wait()
        return Undelivered("timeout")

    ear, mouth = Ear(answer=Undelivered("500")), Ear("mouth")
    delivery = box.delivery(ear, mouth)
    await box.put("k")
    await delivery.deliver("ear")
    await box.older(seconds=61)
    await delivery.second_channels()
    ear.answer = late
    await box.due_now()
    under_way = asyncio.create_task(delivery.deliver("ear"))
    await until(lambda: len(ear.heard) == 2)
    await delivery.deliver("mouth")
    fail.set()
    await under_way
    await box.due_now()
    assert await delivery.deliver("ear") == 0
    assert await box.states() == {"k": "given up", "k-mouth": "delivered"}
    assert len(await box.attempts()) == 2, "what was attempted is on record all the same"


async def test_who_has_one_address_only_does_not_stand_before_those_who_have_two(box: Outbox) -> None:
    await box.person(("ear", "a"), ("mouth", "b"))
    await box.person(("ear", "x"), name="alone")
    await box.put(*[f"n{i}" for i in range(150)], contact_id="alone", recipient="x")
    await box.put(*[f"m{i}" for i in range(150)], contact_id="mail:x@city.example", recipient="y")
    await box.put("k")
    await box.sql("UPDATE notification SET attempts = 3")
    await box.older(minutes=5)
    assert await box.delivery(Ear(), Ear("mouth")).second_channels() == 1
    assert (await box.states())["k-mouth"] == "due"


async def test_a_channel_that_does_not_exist_is_a_refusal(box: Outbox) -> None:
    await box.person(("pigeon", "loft 7"), ("ear", "a"))
    ear = Ear()
    delivery = box.delivery(ear)
    await box.put("k", channel="pigeon", recipient="loft 7")
    await delivery.refuse_strays()
    assert await box.attempts() == [("refused", "there is no such channel")]
    assert await delivery.second_channels() == 1
    await delivery.deliver("ear")
    assert await box.states() == {"k": "given up", "k-ear": "delivered"}


async def test_an_address_named_twice_leads_round_no_circle(box: Outbox) -> None:
    await box.person(("ear", "a"), ("mouth", "b"), ("ear", "a"))
    ear, mouth = (Ear(name, Undelivered("gone", permanent=True)) for name in ("ear", "mouth"))
    delivery = box.delivery(ear, mouth)
    await box.put("k")
    for _ in range(5):
        await box.due_now()
        await delivery.deliver("ear")
        await delivery.deliver("mouth")
        await delivery.second_channels()
    assert set(await box.states()) == {"k", "k-mouth"}


addresses = st.lists(st.builds(Address, channel=st.sampled_from("ab"), address=st.sampled_from("xyz")), max_size=8)


@given(addresses)
def test_the_way_through_anybodys_addresses_ends_and_passes_each_once(found: list[Address]) -> None:
    person = Person(id="p", name="p", addresses=tuple(found))
    after = addresses_after({"p": person, "g": Group(id="g", name="g", members=("p",))})
    way = [(found[0].channel, found[0].address)] if found else []
    while way and (next_ := after.get(("p", *way[-1]))):
        way.append(next_)
        assert len(way) <= len(found)
    assert set(way) == {(a.channel, a.address) for a in found}
    assert len(way) == len(set(way))


async def test_the_running_service_finds_the_second_channel_by_itself(box: Outbox) -> None:
    await box.person(("ear", "a"), ("mouth", "b"))
    box.settings = AlertSettings(second_channel_after=timedelta(seconds=0.5))
    ear, mouth = Ear(answer=Undelivered("500")), Ear("mouth")
    delivery = box.delivery(ear, mouth)
    await box.put("k")
    second = asyncio.create_task(delivery.run_second_channels(asyncio.Event()))
    async with running(delivery, "ear", "mouth"):
        await until(lambda: _is(box, "delivered", "k-mouth"))
    second.cancel()
    assert len(mouth.heard) == 1


# Without the database.


async def test_every_watcher_is_told_directly_whatever_happens_to_the_others() -> None:
    answers = iter([Undelivered("500"), Undelivered("500"), "heard"])
    flaky = Ear("flaky", lambda _: next(answers))
    ears = [flaky, Ear("refusing", Undelivered("404", permanent=True)), Ear("broken", ValueError("bug")), Ear("sound")]
    watchers = ["unknown:x", "broken:x", "refusing:x", "flaky:x", "sound:https://a:8443/b", "sound:second"]
    await send_directly(ears, watchers, "【監視機能低下】", "本文", "impaired-1")
    by_name = {ear.name: ear for ear in ears}
    assert len(flaky.heard) == 3
    assert len(set(flaky.keys)) == 1, "one message at every attempt"
    assert [n.recipient for n in by_name["sound"].heard] == ["https://a:8443/b", "second"]
    assert len(set(by_name["sound"].keys)) == 2, "to two people two messages: LINE would take them for one"
    assert by_name["sound"].heard[0].body.startswith("【監視機能低下】\n\n本文")
    assert len(by_name["refusing"].heard) == 1
