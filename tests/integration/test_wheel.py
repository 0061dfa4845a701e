"""The wheel, installed into an empty virtual environment, holds the page and the SQL."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from kawamori.operate.servers import BrokerServer, DatabaseServer

pytestmark = pytest.mark.integration

CLONE = Path(__file__).parents[2]
PAGE = "from api.pages.console import find_page, page_version as v; p = find_page(); print(p); print(v(p))"


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and "KAWAMORI" not in name}
    done = subprocess.run(command, cwd=cwd, env={**kept, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with this clone's wheel; the libraries are those of the tests, the clone is not."""
    folder = tmp_path_factory.mktemp("wheel")
    home = folder / "venv"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, CLONE, cwd=folder)
    (wheel,) = folder.glob("kawamori-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=folder)
    run(*pip, "--python", home / "bin" / "python", "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = home.glob("lib/python3.*/site-packages")
    # A path file of a path file is not read: the tests' editable installation of the clone stays out of sight.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def test_the_wheel_holds_the_page(installed: Path) -> None:
    folder, version = run(installed / "bin" / "python", "-c", PAGE, cwd=installed).split()
    assert Path(folder).is_relative_to(installed)
    assert version == json.loads((CLONE / "dashboard" / "dist" / "version.json").read_text())["version"]


def test_the_wheel_migrates_an_empty_database_and_checks_it(
    installed: Path, database_server: DatabaseServer, broker: BrokerServer
) -> None:
    name = "installed_from_the_wheel"
    with psycopg.connect(database_server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(database_server.url)._replace(path=f"/{name}"))
    command = installed / "bin" / "kawamori"
    env = {"KAWAMORI_DATABASE_URL": url, "KAWAMORI_MQTT_URL": broker.url}
    run(command, "db", "migrate", cwd=installed, **env)
    assert "schema up to date" in run(command, "check", cwd=installed, **env)
