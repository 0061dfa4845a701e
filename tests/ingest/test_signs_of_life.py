"""What ingest says of itself and of the ways that readings come: a dead server must not look like a silent sensor."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from msgspec import Raw

from ingest.batches import Ingest
from kawamori import wire
from kawamori.domain.freshness import INGEST_SILENT_AFTER
from kawamori.errors import StorageUnavailable
from kawamori.mqtt import Message
from kawamori.settings import IngestSettings
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register
from kawamori.storage.system import links_now

pytestmark = pytest.mark.integration
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def plan(name: str) -> StationPlan:
    sensor = SensorPlan(
        quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE, report_every=timedelta(seconds=2)
    )
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, sensors=(sensor,),
    )  # fmt: skip


def through(gateway: str, name: str, seq: int, payload: Callable[..., bytes], padding: bytes = b"") -> Message:
    """A batch with one reading of the station's device, and what could not be decoded."""
    at = datetime.now(UTC)
    uplink = wire.UplinkReading(f"dev-{name}", at, Raw(payload(at.isoformat(), 1.0)))
    undecoded = [wire.UplinkUndecoded("t", at, padding, "too large", None)] if padding else []
    batch = wire.Batch(epoch=gateway, seq=seq, readings=[uplink], undecoded=undecoded)
    return Message(wire.batch_topic(gateway), wire.encode(batch), at, 1, 1, 1)


def test_the_way_of_each_sensor_is_known_however_many_workers_hear_of_it(fresh_database_url, payload):
    def ways():
        with psycopg.connect(fresh_database_url) as connection:
            text = "SELECT station_id, gateway_id FROM sensor_gateway JOIN sensor USING (sensor_id) ORDER BY 1"
            return dict(connection.execute(text).fetchall())

    async def scene():
        async with Database(fresh_database_url, "test", size=2) as database:
            await register(database, [plan("a"), plan("b")])
            one, two = Ingest(database, IngestSettings()), Ingest(database, IngestSettings())
            await one.take([through("west", "a", 1, payload), through("east", "b", 1, payload)])
            await one.liveness.say_alive("one")
            assert ways() == {"a": "west", "b": "east"}
            await two.take([through("east", "a", 2, payload)])
            await two.liveness.say_alive("two")
            assert ways() == {"a": "east", "b": "east"}
            await one.take([through("west", "a", 3, payload)])
            await one.liveness.say_alive("one")
            assert ways() == {"a": "west", "b": "east"}, "back to what the first worker had said before"

    asyncio.run(scene())


def test_a_sign_of_life_that_cannot_be_written_is_said_later(fresh_database_url, payload):
    async def scene():
        async with Database(fresh_database_url, "test", size=2) as database:
            await register(database, [plan("a")])
            ingest = Ingest(database, IngestSettings())
            await ingest.take([through("west", "a", 1, payload)])
            with psycopg.connect(fresh_database_url, autocommit=True) as connection:
                connection.execute("ALTER TABLE process RENAME TO hidden")
                with pytest.raises(StorageUnavailable):
                    await ingest.liveness.say_alive("one")
                connection.execute("ALTER TABLE hidden RENAME TO process")
                await ingest.liveness.say_alive("one")
                assert connection.execute("SELECT gateway_id FROM sensor_gateway").fetchall() == [("west",)]
                assert connection.execute("SELECT name, service FROM process").fetchall() == [("one", "ingest")]

    asyncio.run(scene())


def test_a_gateway_whose_rows_are_not_stored_is_known_though_the_others_go_on(fresh_database_url, payload):
    def alive(gateway: str, waiting: int) -> Message:
        said = wire.encode(wire.Alive(waiting))
        return Message(wire.alive_topic(gateway), said, datetime.now(UTC), 1, 1, 1)

    async def scene():
        async with Database(fresh_database_url, "test", size=2) as database:
            await register(database, [plan("a"), plan("b")])
            ingest = Ingest(database, IngestSettings())

            async def held() -> set[str]:
                links, now = await links_now(database)
                late = now + INGEST_SILENT_AFTER
                return {name for name, one in links.gateways.items() if one.waiting(late)}

            await ingest.liveness.hear([alive("west", 3), alive("east", 3), alive("idle", 0)])
            await ingest.liveness.say_alive("one")
            assert await held() == {"west", "east"}, "neither has had a row stored since"
            await ingest.take([through("east", "b", 1, payload)])
            await ingest.liveness.say_alive("one")
            assert await held() == {"west"}
            await ingest.take([through("west", "a", 1, payload)._replace(payload=b"no batch")])
            await ingest.liveness.say_alive("one")
            assert await held() == {"west"}, "what went to quarantine whole is still with its gateway"
            links, _ = await links_now(database)
            await ingest.liveness.hear([alive("west", 9), alive("east", 1)])
            again, _ = await links_now(database)
            assert again.gateways["west"].held_since == links.gateways["west"].held_since, "since it first waited"
            await ingest.take([through("west", "a", 1, payload), through("east", "b", 1, payload)])
            await ingest.liveness.say_alive("one")
            assert await held() == set(), "a batch that came again is no less stored"
            await ingest.liveness.hear([alive("west", 9)])
            with psycopg.connect(fresh_database_url, autocommit=True) as connection:
                connection.execute(
                    "UPDATE gateway SET seen_at = now() - interval '1 h', held_since = now() - interval '1 h'"
                )
            await ingest.liveness.hear([alive("west", 9)])
            links, now = await links_now(database)
            assert not links.gateways["west"].waiting(now), "back from an hour's silence it has waited for a moment"

    asyncio.run(scene())


def test_a_worker_that_stores_nothing_of_what_it_was_given_says_nothing_and_one_that_goes_on_does(
    fresh_database_url, payload
):
    steady = 0.0

    async def scene():
        nonlocal steady
        async with Database(fresh_database_url, "test", size=2) as database:
            await register(database, [plan("a"), plan("b")])
            ingest = Ingest(database, IngestSettings(), lambda: steady)
            observer = await psycopg.AsyncConnection.connect(fresh_database_url, autocommit=True)
            holders = {n: await psycopg.AsyncConnection.connect(fresh_database_url) for n in ("a", "b")}

            async def speaks() -> bool:
                await observer.execute("DELETE FROM process")
                await ingest.liveness.say_alive("one")
                return (await observer.execute("SELECT FROM process")).rowcount == 1

            async def hold(name: str) -> None:
                await holders[name].execute(
                    "SELECT FROM latest_reading JOIN sensor USING (sensor_id) WHERE station_id = %s FOR UPDATE", (name,)
                )

            async def stored(count: int) -> None:
                async with asyncio.timeout(10):
                    text = "SELECT FROM ingest_batch"
                    while (await observer.execute(text)).rowcount < count:  # noqa: ASYNC110 - the commit is another session's
                        await asyncio.sleep(0.05)

            await ingest.take([through("west", "a", 1, payload), through("west", "b", 2, payload)])
            for name in holders:
                await hold(name)
            large = through("west", "a", 3, payload, padding=b"x" * 1_200_000)
            taking = asyncio.create_task(ingest.take([large, through("west", "b", 4, payload)]))
            await asyncio.sleep(0)
            steady = 9.0
            assert await speaks()
            await holders["a"].rollback()
            await stored(2)
            steady = 18.0
            assert await speaks(), "a backlog whose transactions each end in time is no standstill"
            steady = 20.0
            assert not await speaks(), "nothing has been stored for 11 s"
            await holders["b"].rollback()
            await taking
            assert await speaks()

            await hold("a")
            limited = through("west", "a", 5, payload)
            await observer.execute(f"ALTER DATABASE \"{observer.info.dbname}\" SET lock_timeout = '100ms'")
        async with Database(fresh_database_url, "test", size=2) as database:
            ingest = Ingest(database, IngestSettings(), lambda: steady)
            with pytest.raises(StorageUnavailable):
                await ingest.take([limited])
            steady += 11
            assert not await speaks(), "the attempt is over, but what came is not stored"
            with pytest.raises(StorageUnavailable):
                await ingest.take([limited])
            assert not await speaks(), "another attempt is no progress"
            steady += 31
            assert await speaks(), "nobody has sent it again"
            for connection in (observer, *holders.values()):
                await connection.close()

    asyncio.run(scene())


@pytest.mark.timeout(180)
def test_a_worker_that_waits_for_a_lock_in_vain_is_not_taken_for_a_silent_sensor(fresh_chain_of, payload, wait_until):
    chain = fresh_chain_of()
    slow = [replace(s, report_every=timedelta(seconds=20)) for s in plan("weir").sensors]
    chain.register([replace(plan("weir"), sensors=tuple(slow))])
    chain.start("gateway", "ingest", "api")

    def levels():
        with urllib.request.urlopen(f"{chain.url('api')}/api/v1/levels/latest", timeout=5) as answer:
            found = json.load(answer)
            return found["server_behind"], found["stations"][0]["silence"]

    def measure():
        chain.publish([("dev-weir", payload(datetime.now(UTC).isoformat(), 1.0))])

    measure()
    wait_until(lambda: levels() == (False, None), 20, "all is well")
    with psycopg.connect(chain.database_url) as other:
        other.execute("SELECT FROM latest_reading FOR UPDATE")
        begun = time.monotonic()
        behind_after, said = None, set()
        while (passed := time.monotonic() - begun) < 45:
            measure()
            behind, silence = levels()
            said.add(silence)
            if behind and behind_after is None:
                behind_after = passed
            assert behind or behind_after is None, "a standstill is not over because an attempt is"
            time.sleep(1)
        other.rollback()
    assert behind_after is not None
    assert behind_after < 30
    assert said == {None, "server"}
    measure()
    wait_until(lambda: levels() == (False, None), 20, "all is well again")


@pytest.mark.timeout(120)
def test_a_dead_ingest_is_told_from_a_silent_sensor(fresh_chain_of, payload, wait_until):
    chain = fresh_chain_of()
    chain.register([plan("weir"), plan("lock")])
    chain.start("gateway", "ingest", "api")

    def silences():
        with urllib.request.urlopen(f"{chain.url('api')}/api/v1/levels/latest", timeout=5) as answer:
            return {s["station_id"]: s["silence"] for s in json.load(answer)["stations"]}

    chain.publish([("dev-weir", payload(datetime.now(UTC).isoformat(), 1.0))])
    wait_until(lambda: chain.sql("SELECT 1 FROM sensor_gateway"), 15, "the sensor's way is known")
    wait_until(lambda: silences() == {"weir": "sensor", "lock": "sensor"}, 15, "only the sensors are silent")
    chain.kill("ingest")
    chain.publish([("dev-weir", payload(datetime.now(UTC).isoformat(), 1.0))])
    wait_until(lambda: silences() == {"weir": "server", "lock": "server"}, 30, "the server is to blame")
    chain.start("ingest")
    wait_until(lambda: silences()["lock"] == "sensor", 30, "the server is back")


def test_an_ingest_is_known_as_soon_as_it_hears_the_broker(fresh_chain_of, wait_until):
    chain = fresh_chain_of()
    chain.start("ingest")
    found = "SELECT 1 FROM process WHERE seen_at > now() - interval '10 s'"
    wait_until(lambda: chain.sql(found), 3, "the ingest is known before its first five seconds have passed")
