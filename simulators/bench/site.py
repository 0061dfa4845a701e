"""A site of the bench's own: broker, database, services as processes, and a thousand registered stations."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from kawamori.errors import KawamoriError
from kawamori.operate.servers import (
    BrokerServer,
    DatabaseServer,
    free_port,
    postgres_programs,
    private_broker,
    private_database,
)
from kawamori.storage.migrate import migrate
from simulators.bench.meter import Usage, busy_s, cpu_s, family_mib, peak_mib
from simulators.load import THRESHOLDS_M, Board, Load, Spec

_GATEWAY = "INSERT INTO gateway (gateway_id) VALUES ('bench-{name}');"
_STATIONS = """
INSERT INTO river VALUES ('bench', '計測川', 'Bench river', NULL);
INSERT INTO station (station_id, name_ja, name_en, river_id, lon, lat)
    SELECT to_char(n, '"bench-"FM0000'), '計測橋', 'Bench bridge', 'bench', 140 + n / 1e4, 36 FROM generate_series(0, {last}) n;
INSERT INTO threshold (station_id, level, valid_from, value_m)
    SELECT station_id, level, '2016-01-01Z', value FROM station, unnest(ARRAY[{thresholds}]) WITH ORDINALITY t(value, level);
INSERT INTO mark SELECT station_id, 'crest_left', '2016-01-01Z', 6 FROM station;
INSERT INTO sensor (station_id, quantity) SELECT station_id, 'water_level' FROM station ORDER BY station_id;
INSERT INTO device (device_id) SELECT station_id FROM station;
INSERT INTO deployment (device_id, quantity, sensor_id, valid_from)
    SELECT station_id, 'water_level', sensor_id, '2016-01-01Z' FROM sensor;
ANALYZE;
"""  # noqa: E501 - SQL reads best unbroken


class BenchFailed(KawamoriError):
    """The bench could not measure; the text says what did not happen."""


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def wait_until(condition: Callable[[], bool], within: float, what: str) -> None:
    """Wait for a condition; raises BenchFailed when it does not come true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise BenchFailed(f"within {within:g} s: {what}")
        time.sleep(0.02)


class Psql:
    """The server's own client, connected once."""

    def __init__(self, url: str) -> None:
        command = [str(postgres_programs() / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url]
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/"
        )

    def __call__(self, statements: str) -> list[str]:
        """Run SQL; the values come one row a line, columns separated by `|`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{statements}\n\\echo -- done\n")
        self._process.stdin.flush()
        found: list[str] = []
        for line in self._process.stdout:
            if line == "-- done\n":
                return found
            found.append(line.rstrip("\n"))
        raise BenchFailed("psql ended: see its message above")

    def number(self, statement: str) -> float:
        """The one number that a statement gives."""
        return float(self(statement)[0])

    def timed_ms(self, statement: str) -> float:
        """How long the statement took, by psql's own clock."""
        self("\\timing on\n\\o /dev/null")
        answer = self(f"{statement};")
        self("\\timing off\n\\o")
        return sum(float(line.split()[1]) for line in answer if line.startswith("Time:"))

    def close(self) -> None:
        """Leave the server."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Site:
    """One part's site: a database of its own on the run's servers, and the services that it starts."""

    def __init__(self, broker: BrokerServer, server: DatabaseServer, name: str, stations: int = 1000) -> None:
        self.broker, self.server, self.name = broker, server, name
        self.folder = Path(tempfile.mkdtemp(prefix=f"kawamori-bench-{name}-", dir="/var/tmp"))
        server.psql(f"CREATE DATABASE {name}")
        self.database_url = server.url_of(name)
        migrate(self.database_url)
        self.psql = Psql(self.database_url)
        self.psql(_GATEWAY.format(name=name))
        self.psql(_STATIONS.format(last=stations - 1, thresholds=", ".join(str(v) for v in THRESHOLDS_M)))
        self.health = {service: free_port() for service in ("gateway", "ingest", "alerts")}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KAWAMORI_")},
            **{f"KAWAMORI_{service.upper()}__HEALTH_PORT": str(port) for service, port in self.health.items()},
            "KAWAMORI_DATABASE_URL": self.database_url,
            "KAWAMORI_MQTT_URL": broker.url,
            "KAWAMORI_GATEWAY__ID": f"bench-{name}",
            "KAWAMORI_GATEWAY__JOURNAL": str(self.folder / "journal.db"),
            "KAWAMORI_ALERTS__LOG": str(self.folder / "notifications.log"),
            "KAWAMORI_ALERTS__SELF_TEST_EVERY": "PT0S",  # whose readings nobody sent
            "KAWAMORI_API__PORT": str(free_port()),
            "KAWAMORI_DEMO_URL_FILE": str(self.folder / "api-url"),
            "KAWAMORI_LOG_LEVEL": "warning",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = (self.folder / "services.log").open("ab")

    def start(self, *services: str) -> None:
        """Start services and wait until they can work."""
        if "api" in services:
            (self.folder / "api-url").unlink(missing_ok=True)  # an earlier one's
        for service in services:
            self.run(service, ["-m", "kawamori.cli", service])
        for service in services:
            wait_until(lambda service=service: self._ready(service), 30, f"{service} is ready\n{self.last_words()}")  # type: ignore[misc]

    def run(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a Python process that ends with the site."""
        self.processes[name] = subprocess.Popen(  # noqa: S603
            [sys.executable, *words], env=self.environment, stdout=self._log, stderr=self._log,
            cwd=Path(__file__).parents[2], start_new_session=True,
        )  # fmt: skip
        return self.processes[name]

    def _ready(self, service: str) -> bool:
        self.check_alive()
        if service == "api":
            return (self.folder / "api-url").exists()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health[service]}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def wait(self, condition: Callable[[], bool], within: float, what: str) -> None:
        """Wait for a condition while every process lives."""

        def holds() -> bool:
            self.check_alive()
            return condition()

        wait_until(holds, within, what)

    def last_words(self) -> str:
        """The end of the services' log."""
        return (self.folder / "services.log").read_text(errors="replace")[-2000:]

    def check_alive(self) -> None:
        """Raise BenchFailed when a process has died."""
        for name, process in self.processes.items():
            if process.poll() not in (None, 0):
                raise BenchFailed(f"{name} ended with status {process.returncode}:\n{self.last_words()}")

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return (self.folder / "api-url").read_text().strip()

    def generator(self, load: Load, name: str = "generator") -> tuple[Board, Path]:
        """Start the generator; returns its board once every packet is encoded, and the file of its send times."""
        board_file, sent_at = self.folder / f"{name}.board", self.folder / f"{name}.npy"
        board_file.unlink(missing_ok=True)
        board = Board(board_file)
        address = urlsplit(self.broker.url)
        spec = Spec(load=load, host=str(address.hostname), port=int(address.port or 1883), board=board_file,
                    sent_at=sent_at)  # fmt: skip
        spec.write(self.folder / f"{name}.json")
        self.run(name, ["-m", "simulators.load", str(self.folder / f"{name}.json")])
        self.wait(lambda: bool(board["ready"]), 120, "the generator is ready")
        return board, sent_at

    def usage(self) -> Usage:
        """Processor time of every process until now."""
        pids = {name: process.pid for name, process in self.processes.items() if process.poll() is None}
        pids |= {"broker": self.broker.pid, "database": self.server.pid}
        found = {name: cpu_s(pid) for name, pid in pids.items()} | {"bench": time.process_time()}
        return Usage(time.monotonic(), found, busy_s() - sum(found.values()))

    def metric(self, service: str, name: str) -> float:
        """A number that the service counts."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health[service]}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def memory(self) -> dict[str, float]:
        """Peak MiB of each process; of the database, what it has now."""
        found = {name: peak_mib(process.pid) for name, process in self.processes.items() if process.poll() is None}
        return found | {"broker": peak_mib(self.broker.pid), "database": family_mib(self.server.pid)}

    def stored(self) -> int:
        """Readings in the table now, counted."""
        return int(self.psql.number("SELECT count(*) FROM reading;"))

    def committed(self) -> int:
        """About how many readings are committed: cheap enough to ask often."""
        return int(self.psql.number("SELECT coalesce(sum(readings), 0) FROM ingest_batch;"))

    def alerts_caught_up(self) -> bool:
        """Whether alerts has followed the feed to its end."""
        behind = "SELECT count(*) FROM ingest_batch b, feed_cursor c WHERE c.follower = 'alerts' AND (b.xid, b.batch_id) > (c.xid, c.batch_id)"  # noqa: E501
        return self.psql.number(f"{behind};") == 0

    def end(self, name: str) -> None:
        """Stop one process and wait for it."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop what was started, and remove the part's database."""
        for process in self.processes.values():
            process.terminate()
        for name in list(self.processes):
            self.end(name)
        self.psql.close()
        self._log.close()
        self.server.psql(f"DROP DATABASE {self.name} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)


class Bench:
    """The run's servers, and whether it is to be quick."""

    def __init__(self, stack: ExitStack, *, quick: bool) -> None:
        self.quick = quick
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand clients, and the API that serves them
        say("starting a private TimescaleDB")
        self.server = stack.enter_context(private_database(durable=True))

    @contextmanager
    def site(self, name: str, stations: int = 1000) -> Iterator[Site]:
        """A fresh site, on a broker and a database of its own."""
        with private_broker() as broker:
            site = Site(broker, self.server, name, stations)
            try:
                yield site
            finally:
                site.close()
