"""Bring a database to the newest schema: numbered files, one transaction each, under one advisory lock.

A step gives way when it does not get its locks at once, and comes again: a site may be migrated while it runs.
"""

from collections.abc import Sequence
from datetime import timedelta

import psycopg

from kawamori.errors import ConfigurationError
from kawamori.storage.database import translate
from kawamori.storage.lock_retry import PATIENCE, Connection, patiently
from kawamori.storage.schema import Migration, migrations

__all__ = ["Migration", "migrate", "migrations", "status"]

_LOCK = 7_305_809_918  # any number that is ours alone
#: Only where it is missing: to add a column that is there takes a lock all the same.
_COMPATIBLE_FROM = """
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'schema_migration'::regclass AND attname = 'compatible_from'
    ) THEN
        ALTER TABLE schema_migration ADD COLUMN compatible_from integer NOT NULL DEFAULT 0;
    END IF;
END $$"""


def migrate(url: str, steps: Sequence[Migration] | None = None, patience: timedelta = PATIENCE) -> list[str]:
    """Apply what is missing of these steps (all of ours) and return the names.

    Raises ConfigurationError, or StorageUnavailable when others held the tables for all of `patience`.
    """
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="kawamori-migrate"
        ) as connection:
            _require_timescaledb(connection)
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migration (number integer PRIMARY KEY, name text NOT NULL,"
                " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            connection.execute(_COMPATIBLE_FROM)
            applied: dict[int, str] = dict(
                connection.execute("SELECT number, checksum FROM schema_migration").fetchall()
            )
            done = []
            for step in migrations() if steps is None else steps:
                if step.number not in applied:
                    name = f"migration {step.number:04}_{step.name}"
                    patiently(connection, name, lambda step=step: _apply(connection, step), patience)  # type: ignore[misc]
                    done.append(f"{step.number:04}_{step.name}")
                elif applied[step.number] != step.checksum:
                    raise ConfigurationError(
                        f"migration {step.number:04}_{step.name} was edited after it had been applied to this database"
                    )
            return done
    except psycopg.Error as error:
        raise translate(error) from error


def _apply(connection: Connection, step: Migration) -> None:
    connection.execute(step.text.encode())
    connection.execute(
        "INSERT INTO schema_migration (number, name, checksum, compatible_from) VALUES (%s, %s, %s, %s)",
        (step.number, step.name, step.checksum, step.compatible_from),
    )


def status(url: str) -> list[tuple[str, bool]]:
    """Every step's name and whether it has been applied."""
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="kawamori-migrate") as connection:
            _require_timescaledb(connection)
            (table,) = connection.execute("SELECT to_regclass('schema_migration')").fetchone() or (None,)
            applied = {n for (n,) in connection.execute("SELECT number FROM schema_migration")} if table else set()
    except psycopg.Error as error:
        raise translate(error) from error
    return [(f"{step.number:04}_{step.name}", step.number in applied) for step in migrations()]


def _require_timescaledb(connection: psycopg.Connection) -> None:
    """Refuse a plain PostgreSQL, saying what to do."""
    available = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if available is None:
        raise ConfigurationError(
            "this is a plain PostgreSQL: TimescaleDB is not installed on it. Install the package"
            " postgresql-NN-timescaledb on the database's machine, or leave KAWAMORI_DATABASE_URL unset to use the"
            " private TimescaleDB that the set-up provides."
        )
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "the extension timescaledb is not created in this database, and this user may not create it: run"
            " CREATE EXTENSION timescaledb as a superuser"
        ) from error
    except psycopg.Error as error:
        raise ConfigurationError(
            "TimescaleDB is installed but not loaded: set shared_preload_libraries = 'timescaledb' in"
            f" postgresql.conf and restart PostgreSQL ({str(error).splitlines()[0]})"
        ) from error
    loaded = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    if loaded is None or not loaded[0]:
        raise ConfigurationError(
            "TimescaleDB is not loaded: set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart"
        )
