"""A river with stations on a real database, measured through ingest itself, and engines whose clock the test holds."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw

from alerts.engine import Engine
from ingest.batches import Ingest
from kawamori import wire
from kawamori.domain.escalation import Escalation, Step
from kawamori.domain.people import Address, Person
from kawamori.mqtt import Message
from kawamori.settings import AlertSettings, IngestSettings, Settings
from kawamori.storage import people
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

START = datetime(2026, 7, 14, tzinfo=UTC)
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


class Rivers:
    """Stations s0 (upstream), s1 … on river r; `clock` is what engines believe."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = START
        self.ingest = Ingest(database, IngestSettings())
        self._seq = 0

    async def sql(self, text: str, *parameters: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def station(self, name: str, river: str = "r", **more: Any) -> None:
        """A station with a water level sensor; its device is `dev-NAME`."""
        plan = {
            "station_id": name, "name_ja": f"{name}橋", "name_en": f"{name} Bridge", "river_id": river,
            "river_name_ja": f"{river}川", "river_name_en": f"{river} River", "valid_from": SINCE,
            "thresholds": {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0},
            "sensors": (SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
        } | more  # fmt: skip
        await register(self.database, [StationPlan(**plan)])

    async def stations(self, count: int, **more: Any) -> list[str]:
        names = [f"s{i}" for i in range(count)]
        for place, name in enumerate(names):
            await self.station(name, km=100.0 - place, **more)
        return names

    async def measure(self, *readings: tuple[str, float, float]) -> None:
        """Store readings (station, minute after START, metres) as one batch of a gateway."""
        self._seq += 1
        items = []
        for station, minute, value in readings:
            at = START + timedelta(minutes=minute)
            raw = {"time": at.isoformat(), "quantity": "water_level", "value": value, "unit": "m"}
            items.append(wire.UplinkReading(f"dev-{station}", max(at, self.clock), Raw(json.dumps(raw).encode())))
        payload = wire.encode(wire.Batch("test", self._seq, readings=items))
        await self.ingest.take([Message(wire.batch_topic("g"), payload, self.clock, 0, 1, 0)])

    def engine(self, *, database_clock: bool = False, **settings: Any) -> Engine:
        values: dict[str, Any] = {"public_url": "https://kawamori.city.example"} | settings
        clock = None if database_clock else lambda: self.clock
        return Engine(self.database, Settings(alerts=AlertSettings(**values)), clock)

    async def rise(self, engine: Engine, *readings: tuple[str, float, float]) -> None:
        """Store each reading at its own minute, and let the engine see it then."""
        for station, minute, value in readings:
            self.clock = max(self.clock, START + timedelta(minutes=minute))
            await self.measure((station, minute, value))
            await self.settle(engine)

    async def settle(self, engine: Engine) -> None:
        """Let the engine evaluate everything, and look at the clock."""
        while await engine.advance():
            pass
        await engine.tick()

    async def later(self, engine: Engine, **passed: float) -> None:
        """Let time pass, in steps of a second that the engine looks at."""
        end = self.clock + timedelta(**passed)
        step = max(timedelta(seconds=1), (end - self.clock) / 60)
        while self.clock < end:
            self.clock = min(end, self.clock + step)
            await engine.tick()

    async def person(self, name: str, **more: Any) -> None:
        address = Address(channel="smtp", address=f"{name}@city.example")
        async with self.database.transaction() as connection:
            await people.put_contact(connection, Person(**({"id": name, "name": name, "addresses": (address,)} | more)))

    async def escalation(self, *steps: tuple[str, float], **more: Any) -> None:
        """Tell these contacts in turn, each after so many minutes without an answer."""
        plan = {
            "id": "duty", "name": "当直", "steps": tuple(Step(to=(to,), wait=timedelta(minutes=m)) for to, m in steps)
        } | more  # fmt: skip
        async with self.database.transaction() as connection:
            await people.put_escalation(connection, Escalation(**plan))

    async def told(self, contact: str | None = None) -> list[tuple[str, str]]:
        """(event, subject) of what was put into the outbox for people, oldest first."""
        return await self.sql(
            "SELECT event, subject FROM notification WHERE contact_id IS NOT NULL"
            " AND coalesce(%s, contact_id) = contact_id ORDER BY notification_id", contact,
        )  # fmt: skip

    async def history(self) -> list[tuple[Any, ...]]:
        """The alerts as the readings have them."""
        return await self.sql(
            "SELECT station_id, kind, flood_level, state, started_at, ended_at, value_m, peak_m, verified FROM alert"
            " WHERE retracted_at IS NULL ORDER BY 1, 2, 5, 3"
        )


@pytest.fixture
async def rivers(fresh_database_url: str) -> AsyncIterator[Rivers]:
    async with Database(fresh_database_url, "test", size=3) as database:
        yield Rivers(database)


@pytest.fixture(scope="session")
def minute() -> Callable[[float], datetime]:
    """So many minutes after the beginning."""
    return lambda m: START + timedelta(minutes=m)


@pytest.fixture(scope="session")
def rivers_on() -> type[Rivers]:
    """Make rivers on a database that the caller holds: `rivers_on(database)`."""
    return Rivers
