"""Migrated databases for tests: a cluster with the newest schema is made once for these migrations, and copied."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from kawamori.operate.servers import DatabaseServer, postgres_programs, private_database
from kawamori.operate.servers.database import empty_cluster
from kawamori.operate.servers.programs import as_user, run_checked, server_user
from kawamori.storage.migrate import migrate, migrations

#: The database of a migrated cluster that tests' databases are copies of; no test connects to it.
TEMPLATE = "kawamori_template"
#: What tests call the gateways whose batches they make by hand.
GATEWAYS = ["g", "g1", "test"]
#: Migrated clusters of other migrations that are kept beside this one: other clones may be using them.
KEPT = 5


def migrated_database(*, durable: bool = True) -> AbstractContextManager[DatabaseServer]:
    """A private server of its own whose database `kawamori` has the newest schema and no rows."""
    return private_database(durable=durable, template=migrated_cluster())


@contextmanager
def fresh_database(server: DatabaseServer) -> Iterator[str]:
    """The address of a migrated database on a migrated server, dropped afterwards."""
    name = f"t_{uuid4().hex}"
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
    yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def migrated_cluster() -> Path:
    """The folder of the migrated cluster for these programs and these migrations; made by the first who asks."""
    empty = empty_cluster(postgres_programs(), server_user())
    key = hashlib.sha256()
    for library in sorted((postgres_programs().parent / "lib").glob("timescaledb*.so")):
        key.update(f"{library.name} {library.stat().st_size}".encode())
    for step in migrations():
        key.update(step.checksum.encode())
    key.update(Path(__file__).read_bytes())  # how it is made
    kept = empty.parents[1] / f"{empty.parent.name}-migrated"
    found = kept / f"{empty.name}-{key.hexdigest()[:12]}"
    if not found.is_dir():
        kept.mkdir(exist_ok=True)
        os.chown(kept, server_user().pw_uid, server_user().pw_gid)
        lock = os.open(kept, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not found.is_dir():
                _make(empty, found)
        finally:
            os.close(lock)
    return found


def _make(empty: Path, found: Path) -> None:
    building = found.parent / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    user = server_user()
    os.chown(building, user.pw_uid, user.pw_gid)
    with private_database() as server:
        migrate(server.url)
        with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        template = server.url_of(TEMPLATE)
        migrate(template)
        with psycopg.connect(template) as connection:
            connection.execute("INSERT INTO gateway (gateway_id) SELECT unnest(%s::text[])", (GATEWAYS,))
        with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
            # or TimescaleDB's scheduler would connect to it, and a database in use cannot be copied
            connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
        server.stop()
        run_checked(
            [*as_user(user), "cp", "-a", str(server.data_directory), str(building / "data")], "keep the cluster"
        )
        for name in ("password", "data/postgresql.auto.conf"):  # without the folder of the server that made it
            run_checked([*as_user(user), "cp", "-a", str(empty / name), str(building / name)], f"keep {name}")
    for old in sorted(found.parent.glob("*-*"), key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    building.rename(found)
