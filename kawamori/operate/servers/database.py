"""A private PostgreSQL with TimescaleDB, copied from a template that `initdb` makes once."""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from kawamori.errors import ConfigurationError
from kawamori.operate.servers.programs import as_user, cache_folder, postgres_programs, reachable, run_checked
from kawamori.operate.servers.server import Server, served

DATABASE_CONF = """\
listen_addresses = '127.0.0.1'
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 4
max_connections = 100
shared_buffers = 128MB
work_mem = 16MB
maintenance_work_mem = 64MB
max_wal_size = 1GB
max_locks_per_transaction = 128
# Segments lie in the data folder, so that a killed server leaves nothing in /dev/shm.
dynamic_shared_memory_type = mmap
max_parallel_workers_per_gather = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
#: For throw-away work only: an acknowledged row may be lost with the machine (not with the process).
NOT_DURABLE_CONF = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"


class DatabaseServer(Server):
    """A private PostgreSQL with TimescaleDB and an empty database `kawamori`, or a copy of a cluster given as template.

    `template` is a folder with `data` (a cluster that was stopped in good order) and `password`, both the server
    user's.
    """

    kind = "database"
    gentle = signal.SIGINT  # PostgreSQL's "fast": ends the sessions, keeps every commit

    def __init__(self, *, durable: bool = True, template: Path | None = None) -> None:
        self._programs = postgres_programs()
        super().__init__()
        try:
            self._fill(template or empty_cluster(self._programs, self._user), durable=durable)
        except BaseException:  # Ctrl-C too
            self._folder.remove()
            raise

    def _fill(self, template: Path, *, durable: bool) -> None:
        self.data_directory = self.folder / "data"
        copy = ["cp", "-a", "--reflink=auto", str(template / "data"), str(self.data_directory)]
        run_checked([*as_user(self._user), *copy], "copy the database's template")
        self._password = (template / "password").read_text().strip()
        with (self.data_directory / "postgresql.auto.conf").open("a") as conf:
            conf.write(f"unix_socket_directories = '{self.folder}'\n" + ("" if durable else NOT_DURABLE_CONF))

    @property
    def url(self) -> str:
        """The address of the database `kawamori`."""
        return self.url_of("kawamori")

    def url_of(self, database: str) -> str:
        """The address of another database of the same server."""
        return f"postgresql://kawamori:{self._password}@127.0.0.1:{self.port}/{database}"

    def psql(self, statements: str, database: str = "kawamori") -> str:
        """Run SQL through the server's own client; values come one row a line, columns separated by `|`."""
        command = [
            str(self._programs / "psql"),
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.url_of(database),
        ]
        return run_checked(command, "run SQL", stdin=statements).strip()

    def _command(self) -> list[str]:
        return [str(self._programs / "postgres"), "-D", str(self.data_directory), "-p", str(self.port)]

    def _ready(self) -> bool:
        """Whether the server's own lock file says so, as `pg_ctl` reads it."""
        with contextlib.suppress(OSError, IndexError):
            lines = (self.data_directory / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self.pid and lines[7].strip() == "ready"
        return False


def empty_cluster(programs: Path, user: pwd.struct_passwd) -> Path:
    """The result of `initdb` with our settings, made once for these programs, and copied at every start."""
    version = re.sub(r"\W+", "-", run_checked([str(programs / "postgres"), "--version"], "start PostgreSQL")).strip("-")
    key = hashlib.sha256(DATABASE_CONF.encode()).hexdigest()[:8]
    base = cache_folder() / f"database-{user.pw_name}"
    template = base / f"{version}-{key}"
    if template.is_dir():
        return template
    base.mkdir(parents=True, exist_ok=True)
    os.chown(base, user.pw_uid, user.pw_gid)
    lock = os.open(base, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.is_dir():
            _make_template(programs, user, base, template)
    finally:
        os.close(lock)
    return template


def _make_template(programs: Path, user: pwd.struct_passwd, base: Path, template: Path) -> None:
    if not reachable(base, user):
        message = f"user {user.pw_name} cannot reach {base}; next: set KAWAMORI_CACHE to a folder everybody can enter"
        raise ConfigurationError(message)
    building = base / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    password = building / "password"
    password.write_text(secrets.token_urlsafe(24))
    for path in (building, password):
        os.chown(path, user.pw_uid, user.pw_gid)
    password.chmod(0o600)
    data = building / "data"
    initdb = [
        *(str(programs / "initdb"), "-D", str(data), "--no-locale", "--encoding=UTF8", "--no-sync"),
        *("--no-instructions", "--username=kawamori", "--auth-local=scram-sha-256", "--auth-host=scram-sha-256"),
        f"--pwfile={password}",
    ]
    run_checked([*as_user(user), *initdb], "create the database's template")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("\n" + DATABASE_CONF)
    single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
    run_checked([*as_user(user), *single], "create the database", stdin="CREATE DATABASE kawamori\n")
    building.rename(template)


@contextlib.contextmanager
def private_database(*, durable: bool = True, template: Path | None = None) -> Iterator[DatabaseServer]:
    """A running database, removed afterwards; `durable=False` trades power-cut safety for speed."""
    with served(lambda: DatabaseServer(durable=durable, template=template)) as server:
        yield server
