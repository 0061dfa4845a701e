"""What is packed by hand arrives in PostgreSQL as what it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kawamori.domain.reading import Flag, Reading, SensorId
from kawamori.storage.binary import Column, Float8s, Int2s, Int4s, Int8s, Times, copied
from kawamori.storage.database import query

pytestmark = pytest.mark.integration
moments = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it bare


@pytest.fixture(scope="module")
def connection(database_url: str) -> Any:
    with psycopg.connect(database_url, options="-c timezone=UTC") as connection:
        yield connection


@pytest.mark.parametrize(
    ("kind", "type_", "values"),
    [
        (Int2s, "smallint[]", st.integers(-(2**15), 2**15 - 1)),
        (Int4s, "integer[]", st.integers(-(2**31), 2**31 - 1)),
        (Int8s, "bigint[]", st.integers(-(2**63), 2**63 - 1)),
        (Float8s, "float8[]", st.floats(allow_nan=False)),
    ],
)
def test_a_column_arrives_as_it_was(connection: Any, kind: type[Column], type_: str, values: Any) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.none() | values, max_size=30))
    def arrives(column: list[Any]) -> None:
        (found,) = connection.execute(f"SELECT %s::{type_}", (kind.of(column),)).fetchone()
        assert found == column

    arrives()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.lists(st.none() | moments, max_size=30))
def test_moments_arrive_to_the_microsecond(connection: Any, column: list[datetime | None]) -> None:
    assert connection.execute("SELECT %s::timestamptz[]", (Times.at(column),)).fetchone() == (column,)


def test_copied_readings_are_the_rows_they_were(connection: Any) -> None:
    start = datetime(2026, 7, 14, 2, 10, 0, 123456, UTC)
    readings = [
        Reading(SensorId(n), start + timedelta(seconds=n), n / 7 - 3, start + timedelta(seconds=n // 2), flag, n)
        for n, flag in enumerate([Flag.GOOD, Flag.SUSPECT, Flag.FAIL, Flag.MISSING])
    ]
    readings[1] = readings[1]._replace(stated_at=start + timedelta(hours=1))
    readings[2] = readings[2]._replace(stated=-1.5)
    readings[3] = readings[3]._replace(stated_at=start + timedelta(hours=2), stated=0.25)
    with connection.cursor().copy(query("copy_readings")) as copy:
        copy.write(copied(readings))
    rows = connection.execute(
        "SELECT sensor_id, observed_at, value, received_at, flag, reasons, stated_at, stated FROM reading ORDER BY 1"
    ).fetchall()
    assert rows == [tuple(r)[:8] for r in readings]
