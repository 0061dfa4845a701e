"""The fault tests' site, and the devices that live at it."""

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.databases import migrated_database

from kawamori.operate.servers import BrokerServer, private_broker


def _module(name: str) -> ModuleType:
    """A file beside this one; tests are no package."""
    spec = importlib.util.spec_from_file_location(f"faults_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


devices, checker, site, listener, lag, proxy = map(_module, ("devices", "checker", "site", "listener", "lag", "proxy"))


@pytest.fixture(scope="session")
def fleet_of() -> Callable[..., Any]:
    """Make devices: `with fleet_of(broker_url, names, seed=…) as fleet:`."""
    return devices.Fleet  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def check() -> Callable[..., tuple[int, int]]:
    """Hold a chain's tables against a ledger: `check(chain.sql, ledger)`."""
    return checker.check  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def listener_on() -> Callable[..., Any]:
    """A client of the live stream: `with listener_on(api_url) as screen:`."""
    return listener.Listener  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def delays_of() -> Callable[..., Any]:
    """How long each reading of some devices took from measurement to commit."""
    return lag.delays  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def proxy_to() -> Callable[..., Any]:
    """A bad line: `with proxy_to(port) as line:`."""
    return proxy.Proxy  # type: ignore[no-any-return]


@pytest.fixture
def busy_machine() -> Iterator[Callable[[bool], None]]:
    """Other programs that would take all cores: `busy_machine(True)` starts them, and the test's end ends them."""
    others: list[subprocess.Popen[bytes]] = []

    def make(wanted: bool) -> None:
        if wanted:
            others.extend(
                subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
            )

    yield make
    for process in others:
        process.kill()
        process.wait()


@pytest.fixture
def seed() -> int:
    """KAWAMORI_SEED, else another one every time; printed, so that a failure can be had again."""
    number = int(os.environ.get("KAWAMORI_SEED") or random.SystemRandom().randrange(2**32))
    print(f"\nKAWAMORI_SEED={number}")
    return number


@pytest.fixture
def site_of(
    tmp_path: Path, wait_until: Any, fresh_chain_on: Callable[..., Any], seed: int
) -> Iterator[Callable[..., Any]]:
    """Make a site with servers of its own: `site_of("gateway", "ingest", KAWAMORI_…="…")` starts these services."""
    with ExitStack() as stack:

        def make(*names: str, broker: BrokerServer | None = None, **extra: str) -> Any:
            database = stack.enter_context(migrated_database())
            broker = broker or stack.enter_context(private_broker())
            folder = Path(tempfile.mkdtemp(prefix="site-", dir=tmp_path))  # a journal of its own
            chain = fresh_chain_on(stack, broker, database, folder, **extra)
            chain.start(*names)
            return site.Site(broker, database, chain, devices.Fleet, checker.check, wait_until, seed)

        yield make
