"""Whatever is wrong in an uplink costs itself alone, nothing is lost by it, and an error of ours costs no reading."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from msgspec import Raw

from ingest import sorting
from ingest.batches import Ingest
from kawamori import wire
from kawamori.errors import StorageBroken, StorageUnavailable
from kawamori.mqtt import Message
from kawamori.settings import IngestSettings
from kawamori.storage import quarantine
from kawamori.storage.database import Database
from kawamori.storage.gateways import add_gateway, known_gateways, retire_gateway
from kawamori.storage.registry import SensorPlan, StationPlan, register

pytestmark = pytest.mark.integration
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def plan(name: str) -> StationPlan:
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
    )  # fmt: skip


class Bench:
    """One ingest on a database of its own, and batches made by hand."""

    def __init__(self, url: str, database: Database) -> None:
        self.url, self.database = url, database
        self.ingest = Ingest(database, IngestSettings())
        self.seq = 0

    def sql(self, text, *parameters):
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def message(self, *readings, gateway="west", status=(), raw=None):
        """A batch of (device, value) or (device, value, received_at), measured a minute apart until now."""
        self.seq += 1
        now = datetime.now(UTC)
        items = []
        for place, (device, value, *received) in enumerate(readings):
            at = now - timedelta(minutes=len(readings) - place)
            sent = {"time": at.isoformat(), "quantity": "water_level", "value": value, "unit": "m"}
            items.append(wire.UplinkReading(device, received[0] if received else now, Raw(json.dumps(sent).encode())))
        states = [wire.UplinkStatus(device, now, Raw(said)) for device, said in status]
        batch = wire.Batch("epoch", self.seq, status=states, readings=items)
        return Message(wire.batch_topic(gateway), wire.encode(batch) if raw is None else raw, now, 1, 1, 1)

    def stored(self, name="a"):
        text = "SELECT value FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s ORDER BY observed_at"
        return [value for (value,) in self.sql(text, name)]

    def reasons(self):
        return [reason for (reason,) in self.sql("SELECT reason FROM quarantine ORDER BY quarantine_id")]


@asynccontextmanager
async def bench(url: str, *stations: str) -> AsyncIterator[Bench]:
    async with Database(url, "test", size=3) as database:
        await register(database, [plan(name) for name in stations or ("a", "b")])
        yield Bench(url, database)


def test_a_database_that_refuses_everything_is_not_the_data(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            await site.ingest.take([site.message(("dev-a", 1.0))])
            site.sql("ALTER TABLE reading ADD CONSTRAINT nothing CHECK (false) NOT VALID")
            message = site.message(*[(f"dev-{'ab'[n % 2]}", 1.0 + n / 100) for n in range(50)])
            with pytest.raises(StorageBroken, match="it is not the data"):
                await site.ingest.take([message])
            alone = site.message(*[("dev-a", 1.0 + n / 100) for n in range(50)])
            with pytest.raises(StorageBroken, match="it is not the data"):
                await site.ingest.take([alone])
            assert site.reasons() == []
            site.sql("ALTER TABLE reading DROP CONSTRAINT nothing")
            acks = await site.ingest.take([message])
            assert [ack.seq for _, ack in acks] == [2]
            assert len(site.stored("a") + site.stored("b")) == 51

    asyncio.run(scene())


@pytest.mark.parametrize(
    "spoil", ["ALTER TABLE reading RENAME COLUMN reasons TO gone", "ALTER TABLE reading_hour RENAME TO gone"]
)
def test_a_schema_that_the_code_does_not_know_costs_no_reading(fresh_database_url, spoil):
    async def scene():
        async with bench(fresh_database_url) as site:
            await site.ingest.take([site.message(("dev-a", 1.0))])
            site.sql(spoil)
            with pytest.raises(StorageBroken, match="42"):
                await site.ingest.take([site.message(("dev-a", 1.1), ("dev-b", 1.2))])
            assert site.reasons() == []

    asyncio.run(scene())


def test_the_poison_of_one_sensor_costs_its_own_readings_alone(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            (bad,) = site.sql("SELECT sensor_id FROM sensor WHERE station_id = 'b'")[0]
            site.sql(f"ALTER TABLE reading ADD CONSTRAINT bad CHECK (sensor_id <> {bad} OR value < 5)")
            readings = [("dev-b", 6.0 + n / 100) for n in range(60)] + [("dev-a", 1.0 + n / 100) for n in range(30)]
            acks = await site.ingest.take([site.message(*readings)])
            assert len(acks) == 1
            assert (len(site.stored("a")), len(site.stored("b"))) == (30, 0)
            assert len(site.reasons()) == 60
            await site.ingest.take([site.message(("dev-a", 1.5), ("dev-b", 7.0), ("dev-b", 2.0))])
            assert (len(site.stored("a")), len(site.stored("b"))) == (31, 1)

    asyncio.run(scene())


def test_a_status_that_the_database_refuses_takes_no_reading_along(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            said = [("dev-a", b'{"note": 1e200000}'), ("dev-b", b'{"battery_v": 3.6}'), ("dev-x", b'{"battery_v": 1}')]
            acks = await site.ingest.take([site.message(("dev-a", 1.0), ("dev-b", 1.1), status=said)])
            assert len(acks) == 1
            assert (site.stored("a"), site.stored("b")) == ([1.0], [1.1])
            assert site.sql("SELECT device_id FROM device_status") == [("dev-b",)]
            assert sorted(reason.split(":")[0] for reason in site.reasons()) == ["status", "status"]
            assert sorting.STATUS_OF_NOBODY in site.reasons()

    asyncio.run(scene())


EXTREMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]


@pytest.mark.parametrize("received", EXTREMES)
def test_an_extreme_time_of_reception_costs_nothing(fresh_database_url, received):
    async def scene():
        async with bench(fresh_database_url) as site:
            before = datetime.now(UTC)
            message = site.message(("dev-a", 1.0), ("dev-nobody", 2.0), status=[("dev-a", b"{}")])
            batch = json.loads(message.payload)
            for item in batch["readings"] + batch["status"]:
                item["received_at"] = received
            batch["undecoded"] = [{"topic": "t", "received_at": received, "payload": "AAAA", "reason": "message: x"}]
            acks = await site.ingest.take([message._replace(payload=json.dumps(batch).encode())])
            assert len(acks) == 1
            await site.ingest.take([site.message(("dev-b", 1.1))])
            assert site.stored("b") == [1.1]
            if site.stored("a"):
                ((at,),) = site.sql("SELECT received_at FROM reading WHERE value = 1.0")
                assert before - timedelta(minutes=1) < at < datetime.now(UTC) + timedelta(minutes=1)
            assert len(site.stored("a")) + len(site.reasons()) >= 2

    asyncio.run(scene())


def test_a_member_that_cannot_be_read_costs_itself_alone(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            batch = json.loads(site.message(("dev-a", 1.0), ("dev-b", 1.1)).payload)
            batch["readings"][1:1] = [7, {"device_id": "dev-a"}, {"device_id": 1, "received_at": "x", "reading": {}}]
            batch["status"] = [None, {"device_id": "dev-a", "received_at": "now", "status": {}}]
            batch["undecoded"] = ["?"]
            acks = await site.ingest.take([site.message(raw=json.dumps(batch).encode())])
            assert len(acks) == 1
            assert (site.stored("a"), site.stored("b")) == ([1.0], [1.1])
            assert len(site.reasons()) == 6

    asyncio.run(scene())


def test_a_batch_that_ends_in_an_error_of_the_software_is_set_aside_alone(fresh_database_url, monkeypatch):
    async def scene():
        async with bench(fresh_database_url) as site:
            sort = sorting.sort

            def broken(validator, message, *rest):
                if b"666" in message.payload:
                    raise ZeroDivisionError
                return sort(validator, message, *rest)

            monkeypatch.setattr(sorting, "sort", broken)
            bad, good = site.message(("dev-a", 666.0)), site.message(("dev-b", 1.1))
            acks = await site.ingest.take([bad, good])
            assert len(acks) == 2
            assert site.stored("b") == [1.1]
            assert site.reasons() == ["batch: not processed: ZeroDivisionError"]
            assert site.sql("SELECT payload FROM quarantine") == [(bad.payload,)]
            many = [site.message(("dev-a", 666.0 + n / 1000)) for n in range(30)]
            with pytest.raises(StorageBroken, match="ended in ZeroDivisionError"):
                await site.ingest.take(many)
            monkeypatch.setattr(sorting, "sort", sort)
            assert len(await site.ingest.take(many)) == 30
            async with site.database.transaction() as connection:
                await quarantine.ask_for_replay(connection)
            while await site.ingest.replay():
                pass
            assert len(site.stored("a")) == 31

    asyncio.run(scene())


def test_a_gateway_that_is_not_registered_is_not_believed_and_nothing_of_it_is_lost(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            message = site.message(("dev-a", 1.0), gateway="stranger")
            acks = await site.ingest.take([message, site.message(("dev-b", 1.1))])
            assert sorted(topic for topic, _ in acks) == [wire.ack_topic("stranger"), wire.ack_topic("west")]
            assert (site.stored("a"), site.stored("b")) == ([], [1.1])
            assert site.reasons() == [sorting.NOT_REGISTERED]
            name = "urgent, open https://example.invalid"
            alive = wire.encode(wire.Alive(3, set_aside=2))
            said = [
                Message(topic, alive, datetime.now(UTC), 1, 1, 1) for topic in (
                    wire.alive_topic("stranger"), wire.alive_topic(name), wire.alive_topic("x" * 3000),
                    "kawamori/v1/gateway//alive", wire.alive_topic("west"),
                )
            ]  # fmt: skip
            await site.ingest.liveness.hear(said)
            await site.ingest.take([site.message(("dev-a", 2.0), gateway=name), site.message(("dev-b", 1.2))])
            assert site.stored("b") == [1.1, 1.2]
            seen = site.sql("SELECT gateway_id FROM gateway WHERE seen_at IS NOT NULL")
            assert seen == [("west",)]
            assert site.sql("SELECT set_aside FROM gateway WHERE gateway_id = 'west'") == [(2,)]
            unknown = {one.name for one in await known_gateways(site.database) if one.state == "unknown"}
            assert unknown == {"stranger", "(no name)"}
            assert await add_gateway(site.database, "stranger") == 1
            assert await site.ingest.replay() == 1
            assert site.stored("a") == [1.0]
            await retire_gateway(site.database, "stranger")
            await site.ingest.registry.refresh(force=True)  # it looks by itself every five seconds
            await site.ingest.take([site.message(("dev-a", 3.0), gateway="stranger")])
            assert site.stored("a") == [1.0]
            events = site.sql("SELECT event FROM audit WHERE subject = 'gateway' ORDER BY audit_id")
            assert events == [("registered",), ("retired",)]

    asyncio.run(scene())


def test_gateways_that_are_not_registered_cannot_fill_the_disk(fresh_database_url, monkeypatch):
    monkeypatch.setattr("ingest.batches._UNKNOWN_BYTES", 3000)

    async def scene():
        async with bench(fresh_database_url) as site:
            sent = [site.message(("dev-a", n / 100), gateway="stranger") for n in range(60)]
            acks = await site.ingest.take(sent)
            assert 0 < len(acks) < 30
            assert len(site.reasons()) == len(acks)
            assert await site.ingest.take(sent[40:]) == []

    asyncio.run(scene())


def test_a_sensor_without_a_row_for_its_newest_reading_gets_one(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            site.sql("DELETE FROM latest_reading")
            acks = await site.ingest.take([site.message(("dev-a", 1.0), ("dev-b", 1.1))])
            assert len(acks) == 1
            assert (site.stored("a"), site.stored("b")) == ([1.0], [1.1])
            assert site.sql("SELECT count(*) FROM latest_reading WHERE value IS NOT NULL") == [(2,)]

    asyncio.run(scene())


def test_a_sensor_that_this_database_does_not_know_keeps_its_readings_from_being_acknowledged(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            await site.ingest.take([site.message(("dev-a", 1.0))])
            site.sql("ALTER TABLE sensor DISABLE TRIGGER USER; ALTER TABLE deployment DISABLE TRIGGER USER")
            site.sql("DELETE FROM deployment; DELETE FROM latest_reading; DELETE FROM sensor")
            message = site.message(("dev-a", 1.1))
            with pytest.raises(StorageUnavailable, match="not in this database"):
                await site.ingest.take([message])
            assert len(await site.ingest.take([message])) == 1
            assert [reason.split(":")[0] for reason in site.reasons()] == ["quantity"]

    asyncio.run(scene())


def test_a_registry_that_cannot_be_loaded_keeps_the_last_good_one(fresh_database_url, monkeypatch):
    async def scene():
        async with bench(fresh_database_url) as site:
            await site.ingest.take([site.message(("dev-a", 1.0))])

            async def broken(*_args, **_more):
                raise RuntimeError("?")

            monkeypatch.setattr("ingest.registry.load_registry", broken)
            await register(site.database, [plan("c")])
            acks = await site.ingest.take([site.message(("dev-a", 1.1), ("dev-c", 1.0))])
            assert len(acks) == 1
            assert sorted(site.stored("a")) == [1.0, 1.1]
            assert "cannot be loaded" in str(site.ingest.registry.warning())
            monkeypatch.undo()
            async with site.database.transaction() as connection:
                await quarantine.ask_for_replay(connection, device="dev-c")
            assert await site.ingest.replay() == 1
            assert site.stored("c") == [1.0]
            assert site.ingest.registry.warning() is None

    asyncio.run(scene())


def test_what_a_mended_registry_accepts_is_stored_once_and_keeps_its_time(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            site.sql("UPDATE station SET time_zone = 'Asia/Tokio' WHERE station_id = 'a'")
            message = site.message(*[("dev-a", 1.0 + n / 1000) for n in range(1000)], ("dev-b", 1.1))
            assert len(await site.ingest.take([message])) == 1
            assert (len(site.stored("a")), len(site.stored("b")), len(site.reasons())) == (0, 1, 1000)
            assert site.reasons()[0].startswith("sensor: not usable: ")
            received = set(site.sql("SELECT received_at FROM quarantine"))
            site.sql("UPDATE station SET time_zone = 'Asia/Tokyo' WHERE station_id = 'a'")

            async def replay():
                async with site.database.transaction() as connection:
                    asked, at = await quarantine.ask_for_replay(connection, reason="sensor:")
                while await site.ingest.replay():
                    pass
                return asked, at and await quarantine.replay_progress(site.database, at)

            assert await replay() == (1000, (1000, 0, 0))
            assert len(site.stored("a")) == 1000
            text = "SELECT r.received_at FROM reading r JOIN sensor USING (sensor_id) WHERE station_id = 'a'"
            assert set(site.sql(text)) == received
            assert await replay() == (0, None)
            await site.ingest.take([message._replace(payload=message.payload + b" ")])
            assert len(site.stored("a")) == 1000

    asyncio.run(scene())


def test_what_is_refused_again_says_why_and_stays(fresh_database_url):
    async def scene():
        async with bench(fresh_database_url) as site:
            await site.ingest.take(
                [site.message(("dev-x", 1.0), ("dev-y", 1.1), status=[("dev-x", b'{"battery_v": 1}')])]
            )
            await register(site.database, [plan("x")])
            async with site.database.transaction() as connection:
                asked, at = await quarantine.ask_for_replay(connection)
            assert await site.ingest.replay() == asked == 3
            assert await quarantine.replay_progress(site.database, at) == (2, 1, 0)
            assert await quarantine.replay_refused(site.database, at) == [("device: not registered", 1)]
            assert site.stored("x") == [1.0]
            assert site.sql("SELECT device_id FROM device_status") == [("dev-x",)]

    asyncio.run(scene())


def test_a_device_that_floods_quarantine_is_counted_and_its_newest_message_kept(fresh_database_url, monkeypatch):
    monkeypatch.setattr(quarantine, "MESSAGES_AN_HOUR", 20)

    async def scene():
        async with bench(fresh_database_url) as site:
            for start in (0, 25, 50):
                readings = [("dev-junk", (start + n) / 100) for n in range(25)]
                assert len(await site.ingest.take([site.message(*readings, ("dev-a", 1.0), ("dev-z", 1.0))])) == 1
            rows = site.sql(
                "SELECT reason, payload FROM quarantine WHERE device_id = 'dev-junk' ORDER BY quarantine_id"
            )
            hours = len([reason for reason, _ in rows if reason.startswith("quota:")])
            assert hours <= 2, "one row an hour"
            assert len(rows) <= 20 * hours + hours
            assert json.loads(rows[-1][1])["value"] == 0.74
            if hours == 1:
                assert rows[-1][0].startswith("quota: 55 messages")
            assert len(site.stored("a")) == 3
            assert site.sql("SELECT count(*) FROM quarantine WHERE device_id = 'dev-z'") == [(3,)], "no one else pays"

    asyncio.run(scene())
