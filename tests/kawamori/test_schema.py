"""A version and a database's schema fit together, or the services say so and wait; nothing is taken for a bad row."""

import asyncio
import re

import psycopg
import pytest

from kawamori.errors import StorageBroken, StorageRefused, StorageUnavailable
from kawamori.storage.database import Database, translate
from kawamori.storage.migrate import migrate
from kawamori.storage.schema import Migration, migrations, misfit

#: The first step that had to say what it takes away.
SINCE = 12
_TAKES_AWAY = re.compile(r"\bDROP\s+(COLUMN|TABLE|FUNCTION|VIEW)\b|\bRENAME\b", re.IGNORECASE)


@pytest.mark.parametrize(
    ("applied", "known", "says"),
    [
        ({1: 0, 2: 0}, {1, 2}, None),
        ({1: 0}, {1, 2}, "step 0002 is missing: run `kawamori db migrate`"),
        ({}, {1}, "step 0001 is missing"),
        ({1: 0, 3: 0}, {1, 2, 3}, "step 0002 is missing"),
        ({1: 0, 2: 0, 3: 0}, {1, 2}, None),
        ({1: 0, 2: 0, 3: 2}, {1, 2}, None),
        ({1: 0, 2: 0, 3: 3}, {1, 2}, "do not work with step 0003"),
        ({1: 0, 2: 2, 3: 3}, {1, 2, 3}, None),
    ],
)
def test_an_older_schema_is_waited_for_and_a_newer_one_only_where_it_takes_something_away(applied, known, says):
    found = misfit(applied, known)
    assert found is None if says is None else says in found


def test_a_step_that_takes_something_away_says_from_which_version_on_services_work():
    for step in migrations():
        sql = re.sub(r"--.*", "", step.text)
        if step.number >= SINCE and _TAKES_AWAY.search(sql):
            assert step.compatible_from > 0, f"{step.number:04}_{step.name} needs a line `-- compatible from: NNNN`"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1 / 0", StorageRefused),
        ("SELECT 'NaN'::jsonb", StorageRefused),
        ("INSERT INTO registry_version VALUES (NULL)", StorageRefused),
        ("SELECT no_such_column FROM reading", StorageBroken),
        ("SELECT * FROM no_such_table", StorageBroken),
        ("DO $$ BEGIN RAISE EXCEPTION 'x'; END $$", StorageBroken),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'XX001'; END $$", StorageBroken),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '42501'; END $$", StorageBroken),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '54000'; END $$", StorageBroken),
        ("SET transaction_read_only = on; INSERT INTO registry_version VALUES (1)", StorageBroken),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$", StorageUnavailable),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57P03'; END $$", StorageUnavailable),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$", StorageUnavailable),
    ],
)
def test_only_errors_of_data_and_constraints_make_a_row_poison(database_url, statement, kind):
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error) as error:
        connection.execute(statement)
    found = translate(error.value)
    assert type(found) is kind
    if kind is StorageBroken:
        assert str(error.value.sqlstate) in str(found)
        assert ": " in str(found).partition("SQLSTATE")[2], "what a person does about it"


@pytest.mark.integration
@pytest.mark.parametrize("sqlstate", ["25006", "57P01", "57P03", "42703"])
def test_a_connection_is_replaced_after_an_error_that_would_come_again_on_it(database_url, sqlstate):
    async def backend(database: Database) -> int:
        async with database.transaction() as connection:
            return connection.info.backend_pid

    async def scene():
        async with Database(database_url, "test", size=1) as database:
            before = await backend(database)
            assert await backend(database) == before
            with pytest.raises(StorageUnavailable):
                async with database.transaction() as connection:
                    await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")
            assert await backend(database) != before

    asyncio.run(scene())


@pytest.mark.integration
def test_a_database_whose_schema_does_not_fit_is_said_to_and_used_once_it_does(fresh_database_url):
    takes_away = Migration(9998, "takes_away", "-- compatible from: 9998\nALTER TABLE station DROP COLUMN ward_en")
    newest = migrations()[-1]

    def sql(text: str) -> None:
        with psycopg.connect(fresh_database_url) as connection:
            connection.execute(text)

    async def scene():
        async with Database(fresh_database_url, "test", size=1) as database:
            sql(f"DELETE FROM schema_migration WHERE number = {newest.number}")
            with pytest.raises(StorageBroken, match="run `kawamori db migrate`"):
                await database.ping()
            sql(f"INSERT INTO schema_migration VALUES ({newest.number}, '{newest.name}', '{newest.checksum}', now())")
            await database.ping()
            migrate(fresh_database_url, [*migrations(), takes_away])
            with pytest.raises(StorageBroken, match="SQLSTATE 42703"):  # in the midst of its work
                await database.fetch("all_stations")
            with pytest.raises(StorageBroken, match="do not work with step 9998"):  # on the next connection
                await database.ping()

    asyncio.run(scene())


@pytest.mark.integration
def test_a_database_that_was_never_migrated_is_named_as_such(database_server):
    async def scene():
        async with Database(database_server.url_of("postgres"), "test", size=1) as database:
            with pytest.raises(StorageBroken, match="step 0001 is missing: run `kawamori db migrate`"):
                await database.ping()

    asyncio.run(scene())
