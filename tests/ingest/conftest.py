"""One site's ingest on a real database, told readings as gateways forward them."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from msgspec import Raw

from ingest.batches import Ingest
from kawamori import wire
from kawamori.mqtt import Message
from kawamori.settings import IngestSettings
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

START = datetime(2026, 7, 14, tzinfo=UTC)
SINCE = datetime(2020, 1, 1, tzinfo=UTC)
GATEWAY = "gateway-1"


class Gauges:
    """Sensors of stations; minutes and seconds count from START."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database, IngestSettings())
        self._seq = count(1)

    async def sql(self, text: str, *parameters: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def station(self, name: str, *devices: str, time_zone: str = "Asia/Tokyo", **sensor: Any) -> None:
        """A station with one sensor that `dev-NAME` measures for, or these devices, all of them at once."""
        first, *others = devices or (f"dev-{name}",)
        plan = SensorPlan(**({"quantity": "water_level", "device_id": first, "valid_from": SINCE} | sensor))
        await register(
            self.database,
            [
                StationPlan(
                    station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="R",
                    valid_from=SINCE, time_zone=time_zone, sensors=(plan,),
                )
            ],
        )  # fmt: skip
        for device in others:  # a sheet would end what measured there before
            await self.sql("INSERT INTO device (device_id) VALUES (%s)", device)
            await self.sql(
                "INSERT INTO deployment (device_id, quantity, sensor_id, valid_from)"
                " SELECT %s, quantity, sensor_id, %s FROM sensor WHERE station_id = %s", device, SINCE, name,
            )  # fmt: skip

    async def tell(
        self, device: str, *readings: tuple[float, float], heard: float = 3600, quantity: str = "water_level",
        unit: str = "m", apart: bool = False, **more: Any,
    ) -> None:  # fmt: skip
        """One message of (minute, value), or `apart` one each, which the gateway heard at that second."""
        raws = [
            {
                "time": (START + timedelta(minutes=minute)).isoformat(),
                "quantity": quantity,
                "value": value,
                "unit": unit,
            }
            | more
            for minute, value in readings
        ]
        at = START + timedelta(seconds=heard)
        messages = [[raw] for raw in raws] if apart else [raws]
        items = [wire.UplinkReading(device, at, Raw(json.dumps(m).encode())) for m in messages]
        payload = wire.encode(wire.Batch("test", next(self._seq), readings=items))
        await self.ingest.take([Message(wire.batch_topic(GATEWAY), payload, at, 0, 1, 0)])

    async def rows(self, station: str) -> list[tuple[float, float, int, int]]:
        """(minute, value, flag, reasons) as they are stored."""
        found = await self.sql(
            "SELECT observed_at, value, flag, reasons FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s"
            " ORDER BY 1", station,
        )  # fmt: skip
        return [((at - START) / timedelta(minutes=1), value, flag, reasons) for at, value, flag, reasons in found]

    async def buckets(self, station: str, width: str = "hour") -> list[tuple[datetime, int, float, float]]:
        """(start, n, sum, max) of each hour or day."""
        return [
            (bucket, n, total / 1_000_000, highest)
            for bucket, n, total, highest in await self.sql(
                f"SELECT bucket, n, sum_micro, max FROM reading_{width} JOIN sensor USING (sensor_id)"
                " WHERE station_id = %s ORDER BY 1", station,
            )
        ]  # fmt: skip

    async def derived_are_right(self) -> bool:
        """Whether every summary and newest reading is what the readings say, recomputed by PostgreSQL."""
        for width in ("hour", "day"):
            wrong = await self.sql(
                f"""
                WITH fresh AS (
                    SELECT sensor_id, date_trunc('{width}',
                        observed_at - CASE WHEN is_amount THEN interval '1 us' ELSE '0' END, time_zone) AS bucket,
                        count(*)::integer AS n, sum(round(value * 1000000)::bigint)::bigint AS sum_micro,
                        min(value) AS min, max(value) AS max
                    FROM reading JOIN sensor USING (sensor_id) JOIN station USING (station_id)
                        JOIN quantity USING (quantity)
                    WHERE flag NOT IN (4, 9) GROUP BY 1, 2)
                SELECT * FROM fresh f FULL JOIN reading_{width} s USING (sensor_id, bucket)
                WHERE (f.n, f.sum_micro, f.min, f.max) IS DISTINCT FROM (s.n, s.sum_micro, s.min, s.max)
                """
            )
            if wrong:
                return False
        return not await self.sql(
            "SELECT 1 FROM latest_reading l LEFT JOIN LATERAL (SELECT * FROM reading r WHERE r.sensor_id = l.sensor_id"
            " ORDER BY observed_at DESC LIMIT 1) newest ON true WHERE (l.observed_at, l.value, l.flag, l.reasons)"
            " IS DISTINCT FROM (newest.observed_at, newest.value, newest.flag, newest.reasons)"
        )


@pytest.fixture
async def gauges(fresh_database_url: str) -> AsyncIterator[Gauges]:
    async with Database(fresh_database_url, "test", size=3) as database:
        yield Gauges(database)


@pytest.fixture(scope="session")
def minute() -> Callable[[float], datetime]:
    """So many minutes after the beginning."""
    return lambda m: START + timedelta(minutes=m)


@pytest.fixture
def fresh_database_url(fresh_database_url: str) -> str:
    """A fresh, migrated database of this test alone, that knows the gateways `west` and `east` too."""
    with psycopg.connect(fresh_database_url) as connection:
        connection.execute("INSERT INTO gateway (gateway_id) VALUES ('west'), ('east') ON CONFLICT DO NOTHING")
    return fresh_database_url
