"""The change feed's order is that of its numbers, also where they gain a digit."""

from collections.abc import AsyncIterator

import pytest

from kawamori.storage.changes import Cursor, changes_after, newest_change
from kawamori.storage.database import Connection, Database
from kawamori.storage.history import newest

pytestmark = pytest.mark.integration

BATCH = """INSERT INTO ingest_batch (xid, readings, sensor_ids, starts, ends)
    SELECT (pg_current_xact_id()::text::bigint - 1200 + n)::text::xid8, 1, '{}', '{}', '{}'
    FROM generate_series(1, 1100) n"""


@pytest.fixture
async def connection(fresh_database_url: str) -> AsyncIterator[Connection]:
    """A database whose feed goes over a transaction number like 999 or 9999, each batch once."""
    async with Database(fresh_database_url, "test", size=1) as database:
        for _ in range(1300):
            async with database.transaction() as connection:
                row = await (await connection.execute("SELECT pg_current_xact_id()::text::bigint")).fetchone()
            if row is not None and row[0] > 1300 and len(str(row[0] - 1200)) < len(str(row[0] - 100)):
                break
        async with database.transaction() as connection:
            await connection.execute(BATCH)
        async with database.transaction() as connection:
            yield connection
        cursor, _ = await newest(database)
        assert cursor.batch_id == 1100


async def test_no_batch_is_skipped_where_the_transaction_number_gains_a_digit(connection: Connection) -> None:
    cursor, seen = Cursor(), []
    while changes := await changes_after(connection, cursor, 64):
        seen += [change.cursor for change in changes]
        cursor = changes[-1].cursor
    assert len({len(str(place.xid)) for place in seen}) == 2, "the feed goes over such a number"
    assert seen == sorted(seen)
    assert [place.batch_id for place in seen] == list(range(1, 1101))
    assert await newest_change(connection) == seen[-1]
