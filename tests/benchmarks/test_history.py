# ruff: noqa: E501 - SQL reads best unbroken
"""How long a person waits: the wall screen of a thousand stations, and ten years of one river."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from api.contract import shapes
from api.registry_cache import RegistryCache
from kawamori.domain.reading import StationId
from kawamori.runtime import now
from kawamori.storage.charts import CHART_POINTS, choose_resolution, readings_page
from kawamori.storage.database import Database
from kawamori.storage.levels import latest_levels

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(600)]
START = datetime(2016, 7, 1, tzinfo=UTC)
END = START + timedelta(days=3652)

FILL = """
INSERT INTO river VALUES ('r', '川', 'river', NULL);
INSERT INTO station (station_id, name_ja, name_en, river_id, lon, lat) SELECT 's' || n, '橋', 'bridge', 'r', 140, 36 FROM generate_series(1, 1000) n;
INSERT INTO threshold (station_id, level, valid_from, value_m) SELECT 's' || n, l, '2020-01-01Z', l FROM generate_series(1, 1000) n, generate_series(1, 5) l;
INSERT INTO mark SELECT 's' || n, 'crest_left', '2020-01-01Z', 6 FROM generate_series(1, 1000) n;
INSERT INTO sensor (station_id, quantity) SELECT 's' || n, 'water_level' FROM generate_series(1, 1000) n;
UPDATE latest_reading SET observed_at = now() - interval '1 minute', value = 2.5, flag = 1, reasons = 0, received_at = now(), trend_h = 0.1;
"""
SERIES = """
INSERT INTO reading SELECT 1, at, 2 + sin(extract(epoch FROM at) / 1e5), 1, 0, at FROM generate_series(%s::timestamptz, %s::timestamptz, '10 minutes') at
"""
SUMMARY = """
INSERT INTO {table} SELECT sensor_id, date_trunc('{unit}', observed_at, 'Asia/Tokyo'), count(*), sum(round(value * 1e6))::bigint, min(value), max(value)
FROM reading GROUP BY 1, 2
"""


@pytest.fixture(scope="module")
def filled(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute(SERIES, (START, END))
        for table, unit in (("reading_hour", "hour"), ("reading_day", "day")):
            connection.execute(SUMMARY.format(table=table, unit=unit))
        connection.execute("ANALYZE")
    return database_url


def fastest_ms(url, work):
    """The fastest of forty warm calls: what the work costs when nobody else has the processor."""

    async def measure() -> float:
        async with Database(url, "bench") as database:
            directory = RegistryCache(database, now)
            times = []
            for _ in range(40):
                began = time.perf_counter()
                await work(database, directory)
                times.append(time.perf_counter() - began)
            return min(times) * 1000

    return asyncio.run(measure())


@pytest.mark.parametrize(
    ("span", "limit_ms"),
    [
        (END - START, 50),
        (timedelta(days=365), 50),
        (timedelta(days=60), 50),
        (timedelta(days=10), 50),
        (timedelta(days=1), 50),
    ],
)
def test_a_chart_of_any_span_is_read_within_a_blink(filled, span, limit_ms, capsys):
    async def work(database, directory):
        sensor = (await directory.get()).sensors[StationId("s1"), "water_level"]
        resolution = await choose_resolution(database, sensor, END - span, END)
        rows = await readings_page(database, sensor, resolution, END - span, END, CHART_POINTS + 1)
        point = shapes.raw_point if resolution == "raw" else shapes.bucket_point
        assert 100 < len([point(row) for row in rows]) <= CHART_POINTS
        return resolution

    took = fastest_ms(filled, work)
    with capsys.disabled():
        print(f"\nreadings over {span.days} days: {took:.1f} ms")
    assert took < limit_ms


def test_the_wall_screen_of_a_thousand_stations_is_answered_at_once(filled, capsys):
    import msgspec

    async def work(database, directory):
        found, version = await latest_levels(database)
        body = shapes.latest_levels(found, await directory.get(version), now())
        assert len(body["stations"]) == 1000
        msgspec.json.encode(body)

    took = fastest_ms(filled, work)
    with capsys.disabled():
        print(f"\nlevels/latest of 1,000 stations: {took:.1f} ms")
    assert took < 15
