"""A database and a broker of our own, for the demo, the tests and the bench: private, on 127.0.0.1, gone afterwards.

Nothing here touches a server that was running before. Each lives in one folder, held by a lock of this process;
when this process ends in any way, the kernel ends the server too, and the next start sweeps the folder.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Self, TypeVar

from kawamori.errors import ConfigurationError, KawamoriError

SETUP = "next: run `python3 deploy/setup.py {step}` in the clone"
#: Below Linux's ephemeral range (32768…), so that no outgoing connection takes the port during a restart, and
#: above every standard one.
PORTS = range(20_000, 32_000)
#: The longest path of a Unix socket (`sun_path` less its final zero), and PostgreSQL's name in the folder.
SOCKET_PATH_LIMIT = 107
SOCKET_NAME = ".s.PGSQL.00000.lock"

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

#: The limits are those of deploy/mosquitto/kawamori.conf, which says why.
BROKER_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 10
max_inflight_messages 5000
max_queued_messages 1000000
max_queued_bytes 536870912
max_packet_size 16777216
persistent_client_expiration 14d
set_tcp_nodelay true
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
"""


class ServerFailed(KawamoriError):
    """A private server did not start, or did not stop; the text ends with its last words."""


def cache_folder() -> Path:
    """Where the set-up keeps what it downloaded: KAWAMORI_CACHE, or a folder that a server's user can reach."""
    if own := os.environ.get("KAWAMORI_CACHE"):
        return Path(own).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/kawamori")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kawamori"


def postgres_programs() -> Path:
    """The folder of the unpacked PostgreSQL's programs (`postgres`, `initdb`, `psql`)."""
    found = sorted(cache_folder().glob("timescaledb/usr/lib/postgresql/*/bin"))
    if not found:
        message = f"no private TimescaleDB under {cache_folder()}; {SETUP.format(step='timescaledb')}"
        raise ConfigurationError(message)
    return found[-1]


def mosquitto_program() -> Path:
    """The installed Mosquitto, else the unpacked one."""
    for path in (Path("/usr/sbin/mosquitto"), cache_folder() / "mosquitto/usr/sbin/mosquitto"):
        if path.exists():
            return path
    message = f"no Mosquitto on this machine or under {cache_folder()}; {SETUP.format(step='mosquitto')}"
    raise ConfigurationError(message)


def server_user() -> pwd.struct_passwd:
    """Who runs the servers: ourselves, but never root, because PostgreSQL refuses it."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "running as root, and this machine has neither a user `postgres` nor `nobody` to run PostgreSQL"
    raise ConfigurationError(message)


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether the user may walk down to the folder."""
    for folder in (path, *path.parents):
        facts = folder.stat()
        who = (
            stat.S_IXUSR
            if facts.st_uid == user.pw_uid
            else stat.S_IXGRP
            if facts.st_gid == user.pw_gid
            else stat.S_IXOTH
        )
        if not facts.st_mode & who:
            return False
    return True


def as_user(user: pwd.struct_passwd) -> list[str]:
    """The words before a command that must run as that user, and must die with us.

    `setpriv` asks for the death signal after it has changed the user, since the change clears it.
    """
    words = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        words += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return words


#: The kernel's death signal comes with the end of the *thread* that started the child: this one lives as long as we do.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers")


def _default_signals() -> None:
    """Undo what a shell does to its background jobs: they ignore SIGINT and SIGQUIT, and so would a server.

    Mosquitto has no handler for SIGQUIT, the death signal: ignored, it would outlive us.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _popen(command: list[str], user: pwd.struct_passwd, *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C in the terminal reaches us first."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(cwd),
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    with log.open("ab") as out:
        return _starter.submit(
            subprocess.Popen,
            [*as_user(user), *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=_default_signals,
            start_new_session=True,
        ).result()


class _Folder:
    """A run's folder, owned by the servers' user and locked for as long as this process lives."""

    def __init__(self, kind: str, user: pwd.struct_passwd) -> None:
        base = _run_base(user)
        prefix = f"kawamori-{kind}-"
        _sweep(base, prefix, user)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            self._lock = os.open(self.path / "owner", os.O_CREAT | os.O_RDWR, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.chown(self.path, user.pw_uid, user.pw_gid)
                return
            os.close(self._lock)  # a sweep took the new folder for a dead one: take another

    def remove(self) -> None:
        _remove(self.path)
        os.close(self._lock)


def _run_base(user: pwd.struct_passwd) -> Path:
    """TMPDIR if the servers can live there, else /var/tmp: on disk, unlike /tmp, and short enough for a socket."""
    longest = len("/kawamori-database-xxxxxxxx/") + len(SOCKET_NAME)
    wanted = os.environ.get("TMPDIR")
    for base in (*([Path(wanted)] if wanted else []), Path("/var/tmp"), Path("/tmp")):  # noqa: S108
        if (
            base.is_dir()
            and os.access(base, os.W_OK)
            and reachable(base, user)
            and len(str(base)) + longest <= SOCKET_PATH_LIMIT
        ):
            return base
    message = "no folder for a private server: /var/tmp and /tmp cannot be written"
    raise ConfigurationError(message)


def _sweep(base: Path, prefix: str, user: pwd.struct_passwd) -> None:
    """Remove what earlier runs left that were killed: the kernel gave their locks back."""
    for folder in base.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != user.pw_uid:
                continue
            lock = os.open(folder / "owner", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a run's folder, and the few bytes of shared memory that a killed PostgreSQL leaves."""
    with contextlib.suppress(OSError, IndexError):
        shared_memory = (folder / "data/postmaster.pid").read_text().splitlines()[6].split()[1]
        subprocess.run(["ipcrm", "-m", shared_memory], capture_output=True, check=False)  # noqa: S603, S607
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    message = "no free port on 127.0.0.1"
    raise ServerFailed(message)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class _Server:
    """What a private database and a private broker have in common. Use from one thread at a time."""

    kind = "server"
    #: Asks the server to finish what it holds, and to end.
    gentle = signal.SIGTERM

    def __init__(self) -> None:
        self._user = server_user()
        self._folder = _Folder(self.kind, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = self._folder.path
        self.log = self.folder / f"{self.kind}.log"
        self.port = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            message = f"the private {self.kind} is not running"
            raise ServerFailed(message)
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, within: float = 30) -> Self:
        """Start, on the former port if there was one, and return when clients are welcome."""
        if self._process is not None and self._process.poll() is None:
            return self
        attempts = 1 if self.port else 5  # somebody may take a free port before we do
        for attempt in range(attempts):
            if attempt or not self.port:
                self.port = free_port()
            self._process = _popen(self._command(), self._user, cwd=self.folder, log=self.log)
            if _wait(lambda: not self.running or self._ready(), within) and self.running:
                return self
            self.kill()
        message = f"the private {self.kind} did not start within {within:g} s:\n{self._last_words()}"
        raise ServerFailed(message)

    def stop(self, within: float = 30) -> None:
        """Ask it to end in good order, and wait; one that does not obey is killed."""
        if self._process is None:
            return
        self._process.send_signal(self.gentle)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it and its children as a power cut would; what was not on disk is lost."""
        if self._process is None:
            return
        family = _children(self._process.pid)
        self._process.kill()
        for child in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        self._process = None
        _wait(lambda: not any(Path(f"/proc/{child}").exists() for child in family), 10)

    def restart(self) -> Self:
        """Stop and start again: same folder, same port, same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """End it at once and remove everything it wrote."""
        self.kill()
        self._folder.remove()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
        return ""


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class DatabaseServer(_Server):
    """A private PostgreSQL with TimescaleDB and an empty database `kawamori`."""

    kind = "database"
    gentle = signal.SIGINT  # PostgreSQL's "fast": ends the sessions, keeps every commit

    def __init__(self, *, durable: bool = True) -> None:
        self._programs = postgres_programs()
        super().__init__()
        try:
            self._fill(_template(self._programs, self._user), durable=durable)
        except BaseException:  # Ctrl-C too
            self._folder.remove()
            raise

    def _fill(self, template: Path, *, durable: bool) -> None:
        self.data_directory = self.folder / "data"
        copy = ["cp", "-a", "--reflink=auto", str(template / "data"), str(self.data_directory)]
        _checked([*as_user(self._user), *copy], "copy the database's template")
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
        return _checked(command, "run SQL", stdin=statements).strip()

    def _command(self) -> list[str]:
        return [str(self._programs / "postgres"), "-D", str(self.data_directory), "-p", str(self.port)]

    def _ready(self) -> bool:
        """Whether the server's own lock file says so, as `pg_ctl` reads it."""
        with contextlib.suppress(OSError, IndexError):
            lines = (self.data_directory / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self.pid and lines[7].strip() == "ready"
        return False


class BrokerServer(_Server):
    """A private Mosquitto with the limits that the gateway and the ingest need."""

    kind = "broker"

    def __init__(self) -> None:
        self._program = mosquitto_program()
        super().__init__()
        self.log = self.folder / "mosquitto.log"

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"mqtt://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        conf = self.folder / "mosquitto.conf"
        conf.write_text(BROKER_CONF.format(port=self.port, folder=self.folder))
        conf.chmod(0o644)
        return [str(self._program), "-c", str(conf)]

    def _ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


S = TypeVar("S", bound=_Server)


def _checked(command: list[str], what: str, *, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, cwd="/", capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        message = f"could not {what}:\n{done.stderr[-2000:]}"
        raise ServerFailed(message)
    return done.stdout


def _template(programs: Path, user: pwd.struct_passwd) -> Path:
    """The result of `initdb` with our settings, made once for these programs, and copied at every start."""
    version = re.sub(r"\W+", "-", _checked([str(programs / "postgres"), "--version"], "start PostgreSQL")).strip("-")
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
    _checked([*as_user(user), *initdb], "create the database's template")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("\n" + DATABASE_CONF)
    single = [str(programs / "postgres"), "--single", "-D", str(data), "postgres"]
    _checked([*as_user(user), *single], "create the database", stdin="CREATE DATABASE kawamori\n")
    building.rename(template)


@contextlib.contextmanager
def private_database(*, durable: bool = True) -> Iterator[DatabaseServer]:
    """A running database, removed afterwards; `durable=False` trades power-cut safety for speed."""
    with _served(lambda: DatabaseServer(durable=durable)) as server:
        yield server


@contextlib.contextmanager
def private_broker() -> Iterator[BrokerServer]:
    """A running broker, removed afterwards."""
    with _served(BrokerServer) as server:
        yield server


@contextlib.contextmanager
def private_folder(kind: str) -> Iterator[Path]:
    """A folder `kawamori-KIND-…`, removed afterwards; one whose owner was killed is swept by the next of its kind."""
    with _ended_by_signals():
        folder = _Folder(kind, pwd.getpwuid(os.geteuid()))
        try:
            yield folder.path
        finally:
            folder.remove()


@contextlib.contextmanager
def _served(make: Callable[[], S]) -> Iterator[S]:
    with _ended_by_signals():
        server = make()
        try:
            yield server.start()
        finally:
            server.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT unwind the stack, if nobody else takes them.

    At SIGTERM Python would die by default with its folders left. SIGINT is ignored in what a shell without job control
    started in the background (`make demo &` in a script), and servers without an end are worse than one end too many.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    wanted = (
        (signal.SIGTERM, signal.SIG_DFL, leave),
        (signal.SIGINT, signal.SIG_IGN, signal.default_int_handler),
    )
    taken = [(number, before, ours) for number, before, ours in wanted if signal.getsignal(number) is before]
    for number, _, ours in taken:
        signal.signal(number, ours)
    try:
        yield
    finally:
        for number, before, ours in taken:
            if signal.getsignal(number) is ours:
                signal.signal(number, before)
