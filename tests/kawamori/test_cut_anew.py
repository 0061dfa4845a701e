"""Summaries that were cut by UTC, or by the beginning of an amount's period, are cut anew when the schema is raised."""

from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from kawamori.storage.migrate import migrate, migrations

pytestmark = pytest.mark.integration
OURS = 15


@pytest.fixture
def before(database_server):
    """A database with the schema before, and the connection to it."""
    name = f"t_{uuid4().hex}"
    with psycopg.connect(database_server.url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        url = urlunsplit(urlsplit(database_server.url)._replace(path=f"/{name}"))
        migrate(url, [step for step in migrations() if step.number < OURS])
        with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
            yield url, connection
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_hours_and_days_of_rain_and_of_clocks_off_by_half_an_hour_are_cut_anew_and_others_stay(before):
    url, connection = before
    connection.execute("INSERT INTO river (river_id, name_ja, name_en) VALUES ('r', '川', 'R')")
    for n, (zone, quantity) in enumerate(
        [("Asia/Tokyo", "rainfall"), ("Asia/Kolkata", "water_level"), ("Asia/Tokyo", "water_level")], 1
    ):
        connection.execute(
            "INSERT INTO station (station_id, name_ja, name_en, river_id, time_zone) VALUES (%s, 's', 's', 'r', %s)",
            (f"s{n}", zone),
        )
        connection.execute("INSERT INTO sensor (station_id, quantity) VALUES (%s, %s)", (f"s{n}", quantity))
    connection.execute(
        "INSERT INTO reading (sensor_id, observed_at, value, flag, received_at)"
        " SELECT s, '2026-07-14Z'::timestamptz + m * interval '10 minutes', 1, 1, now()"
        " FROM generate_series(1, 3) s, generate_series(1, 12) m"
    )
    connection.execute(
        "INSERT INTO reading_hour SELECT sensor_id, date_trunc('hour', observed_at), count(*), count(*) * 1000000, 1, 1"
        " FROM reading GROUP BY 1, 2"
    )
    connection.execute(
        "INSERT INTO reading_revision (sensor_id, observed_at, value, who, why) VALUES (1, now(), 2, 'i', 'w')"
    )
    migrate(url)
    hours = connection.execute(
        "SELECT sensor_id, to_char(bucket, 'HH24:MI'), n FROM reading_hour ORDER BY sensor_id, bucket"
    ).fetchall()
    assert hours == [
        (1, "00:00", 6), (1, "01:00", 6),
        (2, "23:30", 2), (2, "00:30", 6), (2, "01:30", 4),
        (3, "00:00", 5), (3, "01:00", 6), (3, "02:00", 1),
    ]  # fmt: skip
    assert connection.execute("SELECT sensor_id, n FROM reading_day").fetchall() == [(1, 12)]
    sizes = connection.execute("SELECT DISTINCT pg_column_size(r.*) FROM reading r").fetchall()
    connection.execute("UPDATE reading SET stated_at = now() WHERE sensor_id = 3")
    assert connection.execute("SELECT DISTINCT pg_column_size(r.*) FROM reading r ORDER BY 1").fetchall()[0] == sizes[0]
    print(f"a row of reading: {sizes[0][0]} bytes; restated:", connection.execute(
        "SELECT max(pg_column_size(r.*)) FROM reading r").fetchone())  # fmt: skip
