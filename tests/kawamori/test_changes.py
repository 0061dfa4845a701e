"""The change feed's order is that of its numbers, also where they gain a digit."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kawamori.storage.changes import Cursor, changes_after, newest_change
from kawamori.storage.database import Database
from kawamori.storage.news import STREAM_READINGS, missed_after, newest
from kawamori.storage.system import alerting_now

pytestmark = pytest.mark.integration

#: The feed's transactions 950 to 1050.
BATCHES = """INSERT INTO ingest_batch (xid, readings, sensor_ids, starts, ends)
    SELECT n::text::xid8, 1, '{}', '{}', '{}' FROM generate_series(950, 1050) n"""


@pytest.fixture
async def database(fresh_database_url: str) -> AsyncIterator[Database]:
    """A database whose feed goes over the transaction number 999, and which is past it itself."""
    async with Database(fresh_database_url, "test", size=1) as database:
        row = [0]
        while row[0] <= 1100:
            async with database.transaction() as connection:
                row = await (await connection.execute("SELECT pg_current_xact_id()::text::bigint")).fetchone() or row
        async with database.transaction() as connection:
            await connection.execute(BATCHES)
        yield database


async def test_no_batch_is_skipped_where_the_transaction_number_gains_a_digit(database: Database) -> None:
    cursor, seen = Cursor(), []
    async with database.transaction() as connection:
        while changes := await changes_after(connection, cursor, 10):
            seen += [change.cursor for change in changes]
            cursor = changes[-1].cursor
        assert await newest_change(connection) == seen[-1]
    assert [place.xid for place in seen] == list(range(950, 1051))
    assert (await newest(database))[0] == seen[-1]


async def test_what_was_missed_is_counted_without_reading_it(fresh_database_url: str) -> None:
    async with Database(fresh_database_url, "test", size=1) as database:
        empty = await missed_after(database, Cursor(), 10)
        assert (empty.known, empty.batches, empty.readings) == (True, 0, 0), "the beginning of a feed that is empty"
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO ingest_batch (xid, readings, sensor_ids, starts, ends, committed_at) SELECT n::text::xid8,"
                " 1000, '{1,2}', '{}', '{}', now() + n * interval '1 minute' FROM generate_series(1, 5) n"
            )
            rows = await (await connection.execute("SELECT batch_id FROM ingest_batch ORDER BY xid")).fetchall()
        assert not (await missed_after(database, Cursor(), 10)).known, "whoever says so now wants everything"
        missed = await missed_after(database, Cursor(1, rows[0][0]), 3)
        assert (missed.known, missed.batches, missed.readings) == (True, 3, 3 * 2 * STREAM_READINGS)
        assert missed.over == timedelta(minutes=2)


async def test_a_restored_database_goes_on_though_it_counts_its_transactions_anew(fresh_database_url: str) -> None:
    """What its former life wrote carries numbers that this one reaches in years."""
    former = 2**40
    async with Database(fresh_database_url, "test", size=1) as database:
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO ingest_batch (xid, readings, sensor_ids, starts, ends, committed_at)"
                " SELECT (%s + n)::text::xid8, 1, '{}', '{}', '{}', now() - interval '2 days'"
                " FROM generate_series(1, 3) n",
                (former,),
            )
            row = await (await connection.execute("SELECT max(batch_id) FROM ingest_batch")).fetchone()
            place = Cursor(former + 3, row[0] if row else 0)
            await connection.execute(
                "INSERT INTO feed_cursor VALUES ('alerts', %s::text::xid8, %s)", (str(place.xid), place.batch_id)
            )
            assert await changes_after(connection, place, 10) == []
        assert "behind" not in (await alerting_now(database)).why
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO ingest_batch (readings, sensor_ids, starts, ends, committed_at)"
                " VALUES (7, '{}', '{}', '{}', now() - interval '1 hour')"
            )
        async with database.transaction() as connection:
            (change,) = await changes_after(connection, place, 10)
        assert change.readings == 7
        assert (await missed_after(database, place, 10)).batches == 1
        assert (await newest(database))[0] == change.cursor
        assert "behind" in (await alerting_now(database)).why
