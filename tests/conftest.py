"""Real servers for tests: a private TimescaleDB and Mosquitto, and the services as processes."""

import asyncio
import gzip
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from email import message_from_bytes
from email.policy import default
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import psycopg
import pytest
from aiosmtpd.controller import Controller
from paho.mqtt.enums import CallbackAPIVersion
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from support.databases import fresh_database, migrated_database

from kawamori.operate.servers import BrokerServer, DatabaseServer, free_port, private_broker
from kawamori.storage.database import Database
from kawamori.storage.migrate import migrate
from kawamori.storage.registry import StationPlan, register

ROOT = Path(__file__).parents[1]
ARTEFACTS = ROOT / "tests" / "artefacts"


def wait_until(condition: Callable[[], Any], within: float, what: str) -> Any:
    """Poll until the condition holds and return its value; fails naming what did not happen."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"within {within:g} s: {what}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    with migrated_database() as server:
        with psycopg.connect(server.url) as connection:  # it is our own server, and no other
            (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        assert Path(folder) == server.data_directory
        yield server


@pytest.fixture(scope="session")
def broker() -> Iterator[BrokerServer]:
    with private_broker() as server:
        yield server


@pytest.fixture(scope="module")
def database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A fresh, migrated database of this test module."""
    with fresh_database(database_server) as url:
        yield url


class Inbox:
    """A mail server's inbox: (time of arrival, Message-ID, subject, text) of each mail."""

    def __init__(self) -> None:
        self.mails: list[tuple[float, str, str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=default)
        self.mails.append((time.time(), str(mail["Message-ID"]), str(mail["Subject"]), mail.get_content()))
        return "250 OK"

    def about(self, words: str) -> list[tuple[float, str, str, str]]:
        """Mails whose text matches."""
        return [mail for mail in self.mails if re.search(words, mail[3])]


@pytest.fixture(scope="session")
def inbox_on() -> Callable[[int], AbstractContextManager[Inbox]]:
    """A mail server: `with inbox_on(port) as inbox:`."""

    @contextmanager
    def serve(port: int) -> Iterator[Inbox]:
        inbox = Inbox()
        controller = Controller(inbox, hostname="127.0.0.1", port=port)
        controller.start()
        try:
            yield inbox
        finally:
            controller.stop()

    return serve


@pytest.fixture
def fresh_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A fresh, migrated database of this test alone."""
    with fresh_database(database_server) as url:
        yield url


class Chain:
    """The services of one site as processes, on a broker and a database of their own."""

    def __init__(self, broker_url: str, database_url: str, folder: Path, **extra: str) -> None:
        self.broker_url, self.database_url, self.folder = broker_url, database_url, folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KAWAMORI_")},
            "KAWAMORI_DATABASE_URL": database_url,
            "KAWAMORI_MQTT_URL": broker_url,
            "KAWAMORI_GATEWAY__JOURNAL": str(folder / "journal.db"),
            "KAWAMORI_ALERTS__LOG": str(folder / "notifications.log"),
            "KAWAMORI_ALERTS__SELF_TEST_EVERY": "PT0S",
            "KAWAMORI_GATEWAY__RESEND_AFTER": "PT1S",
            **extra,
        }
        self.health: dict[str, int] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log = (folder / "services.log").open("ab")

    def start(self, *names: str, **extra: str) -> "Chain":
        """Start services and wait until they are ready; `ingest-2` is one more worker."""
        self.launch(*names, **extra)
        for name in names:
            if name in self.health:
                wait_until(lambda name=name: self.ready(name), 60, f"{name} is ready\n{self.last_words()}")
        return self

    def register_gateway(self, *names: str) -> None:
        """Register these gateways: what others forward is not believed."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(
                "INSERT INTO gateway (gateway_id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (list(names),)
            )

    def launch(self, *names: str, **extra: str) -> "Chain":
        """Start services without waiting for them, with `extra` in their environment."""
        for name in names:
            service = name.partition("-")[0]
            environment = {**self.environment, **extra}
            if service in ("gateway", "ingest", "alerts"):
                port = self.health.setdefault(name, free_port())
                environment[f"KAWAMORI_{service.upper()}__HEALTH_PORT"] = str(port)
            elif "KAWAMORI_API__PORT" not in environment:  # the same one at every start
                environment["KAWAMORI_API__PORT"] = str(self.health.setdefault(name, free_port()))
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "kawamori.cli", service], env=environment, stdout=self.log, stderr=self.log,
                cwd=self.folder,
            )  # fmt: skip
        return self

    def url(self, name: str) -> str:
        """Where a service answers over HTTP."""
        return f"http://127.0.0.1:{self.health[name]}"

    def ready(self, name: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url(name)}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def last_words(self, length: int = 2000) -> str:
        return (self.folder / "services.log").read_text(errors="replace")[-length:]

    def kill(self, name: str) -> None:
        """kill -9, as the machine would."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def freeze(self, name: str) -> None:
        """SIGSTOP: the process is there and does nothing."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def wait_dead(self, name: str, within: float) -> None:
        """Wait until the service has died of a fail point."""
        wait_until(lambda: self.processes[name].poll() is not None, within, f"{name} dies\n{self.last_words()}")
        assert self.processes[name].returncode == -signal.SIGKILL, f"{name} ended otherwise\n{self.last_words()}"

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each service that runs."""
        found = {}
        for name, process in self.processes.items():
            if process.poll() is not None:
                continue
            status = Path(f"/proc/{process.pid}/status").read_text()
            found[name] = int(status.split("VmRSS:")[1].split()[0]) / 1024
        return found

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
            process.send_signal(signal.SIGCONT)
        for name, process in self.processes.items():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                pytest.fail(f"{name} did not stop within 15 s of SIGTERM")
        self.log.close()

    def sql(self, text: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(text, parameters or None).fetchall()

    def register(self, plans: list[StationPlan]) -> None:
        async def write() -> None:
            async with Database(self.database_url, "test", size=1) as database:
                await register(database, plans)

        # a thread of its own: the browser's library keeps an event loop running in this one
        with ThreadPoolExecutor(1) as own:
            own.submit(lambda: asyncio.run(write())).result()

    def client(self) -> paho.Client:
        """A connected device-side client; disconnect it yourself."""
        parts = urlsplit(self.broker_url)
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(0)
        client.connect(str(parts.hostname), parts.port or 1883)
        client.loop_start()
        wait_until(client.is_connected, 10, "the test's client connects")
        return client

    def publish(self, messages: list[tuple[str, bytes]]) -> None:
        """Publish (device, payload) pairs as devices do, QoS 1, and wait for the broker to have them all."""
        client = self.client()
        outstanding: list[paho.MQTTMessageInfo] = []
        for device, payload in messages:
            outstanding.append(client.publish(f"kawamori/v1/device/{device}/reading", payload, qos=1))
            if len(outstanding) >= 2000:
                for info in outstanding[:1000]:
                    info.wait_for_publish(60)
                del outstanding[:1000]
        for info in outstanding:
            info.wait_for_publish(60)
        client.disconnect()
        client.loop_stop()


@pytest.fixture(scope="session")
def fresh_chain_on() -> Callable[..., Chain]:
    """Make a chain on servers that the caller holds: `fresh_chain_on(stack, broker, database, folder, KAWAMORI_…)`."""

    def make(
        stack: ExitStack, broker: BrokerServer, database: DatabaseServer, folder: Path, **extra: str
    ) -> Chain:  # fmt: skip
        migrate(database.url)
        extra.setdefault("KAWAMORI_GATEWAY__ID", f"g{os.urandom(4).hex()}")
        chain = Chain(broker.url, database.url, folder, **extra)
        chain.register_gateway(extra["KAWAMORI_GATEWAY__ID"])
        stack.callback(chain.close)
        return chain

    return make


def _chains(broker: BrokerServer, database_url: str, folder: Path, stack: ExitStack) -> Callable[..., Chain]:
    def make(*names: str, **extra: str) -> Chain:
        extra.setdefault("KAWAMORI_GATEWAY__ID", f"g{os.urandom(4).hex()}")
        chain = Chain(broker.url, database_url, folder, **extra)
        chain.register_gateway(extra["KAWAMORI_GATEWAY__ID"])
        stack.callback(chain.close)
        return chain.start(*names)

    return make


@pytest.fixture
def chain_of(broker: BrokerServer, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Chain]]:
    """Make a chain on the module's database: `chain_of("gateway", "ingest", KAWAMORI_…="…")`."""
    with ExitStack() as stack:
        yield _chains(broker, database_url, tmp_path, stack)


@pytest.fixture
def fresh_chain_of(database_server: DatabaseServer, tmp_path: Path) -> Iterator[Callable[..., Chain]]:
    """Make a chain on a database and a broker of its own."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(database_server))
        yield _chains(stack.enter_context(private_broker()), url, tmp_path, stack)


def payload(time_text: str, value: Any, unit: str = "m", quantity: str = "water_level", **more: Any) -> bytes:
    """A device's message."""
    return json.dumps({"time": time_text, "quantity": quantity, "value": value, "unit": unit, **more}).encode()


@pytest.fixture(scope="session", name="payload")
def payload_fixture() -> Callable[..., bytes]:
    return payload


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    return wait_until


def _message(*fields: tuple[int, Any]) -> bytes:
    """A protocol buffer: integers, texts, and lists of integers as packed ones."""

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    whole = b""
    for tag, value in fields:
        if isinstance(value, int):
            whole += varint(tag << 3) + varint(value)
            continue
        body = value.encode() if isinstance(value, str) else value
        body = b"".join(map(varint, body)) if isinstance(body, list) else body
        whole += varint(tag << 3 | 2) + varint(len(body)) + body
    return whole


def _vector_tile(layer: str, corners: list[tuple[float, float]], zoom: int, x: int, y: int) -> bytes:
    """One area, its corners as longitude and latitude, in a tile's own coordinates (Mapbox Vector Tile 2.1)."""
    geometry, at = [], (0, 0)
    for n, (lon, lat) in enumerate(corners):
        across = (lon + 180) / 360 * 2**zoom - x
        down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom - y
        to = (round(across * 4096), round(down * 4096))
        geometry += [9] if n == 0 else [(len(corners) - 1) << 3 | 2] if n == 1 else []
        geometry += [(d << 1) ^ (d >> 63) for d in (to[0] - at[0], to[1] - at[1])]
        at = to
    feature = _message((3, 3), (4, [*geometry, 15]))
    return _message((3, _message((15, 2), (1, layer), (2, feature), (5, 4096))))


@pytest.fixture(scope="session")
def pmtiles_of() -> Callable[..., Path]:
    """Write PMTiles with one area in one layer: `pmtiles_of(path, "water", corners)`; or one picture in each tile."""

    def place(lon: float, lat: float, zoom: int) -> tuple[int, int]:
        down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        return int((lon + 180) / 360 * 2**zoom), int(down * 2**zoom)

    def make(
        path: Path, layer: str, corners: list[tuple[float, float]], *, zooms: range = range(8, 13),
        picture: bytes | None = None, attribution: str = "",
    ) -> Path:  # fmt: skip
        west, east = (f(lon for lon, _ in corners) for f in (min, max))
        south, north = (f(lat for _, lat in corners) for f in (min, max))
        tiles = {}
        for zoom in zooms:
            (left, top), (right, bottom) = place(west, north, zoom), place(east, south, zoom)
            for x, y in product(range(left, right + 1), range(top, bottom + 1)):
                drawn = picture or gzip.compress(_vector_tile(layer, corners, zoom, x, y))
                tiles[zxy_to_tileid(zoom, x, y)] = drawn
        edges = {"min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north}
        header = {
            "tile_type": TileType.PNG if picture else TileType.MVT,
            "tile_compression": Compression.NONE if picture else Compression.GZIP,
            "min_zoom": zooms[0], "max_zoom": zooms[-1], "center_zoom": zooms[0], "center_lon_e7": 0,
            "center_lat_e7": 0, **{name: round(edge * 1e7) for name, edge in edges.items()},
        }  # fmt: skip
        with path.open("wb") as opened:
            writer = Writer(opened)
            for number in sorted(tiles):
                writer.write_tile(number, tiles[number])
            writer.finalize(header, {"attribution": attribution})
        return path

    return make
