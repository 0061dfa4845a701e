"""The private servers are real, private, and gone afterwards, however their owner ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kawamori.errors import ConfigurationError
from kawamori.operate.servers import DatabaseServer, database, private_folder, run_folder
from kawamori.storage.database import queries
from kawamori.storage.migrate import migrate, migrations, status

pytestmark = pytest.mark.integration

OWNER = """
import time
from kawamori.operate.servers import private_broker, private_database
with private_database() as database, private_broker() as broker:
    print(database.pid, broker.pid, database.folder, broker.folder, flush=True)
    time.sleep(600)
"""


def _as_in_the_foreground() -> None:
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _as_in_the_background() -> None:
    """As a shell without job control starts `command &`."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("started", [_as_in_the_foreground, _as_in_the_background])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_owner(
    how: signal.Signals, started: Callable[[], None], wait_until: Callable[..., Any]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        preexec_fn=started,  # noqa: PLW1509 - it only sets signals
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        database, broker, *folders = owner.stdout.readline().decode().split()
        owner.send_signal(how)
        owner.wait(30)
    for pid in (database, broker):
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 15, f"process {pid} has ended")
    if how != signal.SIGKILL:  # after a SIGKILL the next start sweeps
        assert not any(Path(folder).exists() for folder in folders)


def test_a_folder_whose_owner_was_killed_is_swept_by_the_next() -> None:
    owner = (
        "import os, signal; from kawamori.operate.servers import private_folder as folder\n"
        "with folder('test-sweep') as path: print(path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = Path(done.stdout.strip())
    assert left.is_dir()
    with private_folder("test-sweep") as path:
        assert path.is_dir()
        assert not left.exists()
    assert not path.exists()


def test_a_database_that_is_interrupted_while_it_is_made_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "run_checked", interrupted)
    made: list[Path] = []
    keep = run_folder.RunFolder.__init__

    def remember(folder: Any, *arguments: Any) -> None:
        keep(folder, *arguments)
        made.append(folder.path)

    monkeypatch.setattr(run_folder.RunFolder, "__init__", remember)
    with pytest.raises(KeyboardInterrupt):
        DatabaseServer()
    assert len(made) == 1
    assert not made[0].exists()


def test_the_database_is_timescaledb_and_migrations_are_applied_once(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'").fetchone() == (1,)
        hypertables = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert hypertables == [("reading",)]
    assert migrate(database_url) == []
    assert [applied for _, applied in status(database_url)] == [True] * len(migrations())


def test_a_plain_postgresql_is_refused_with_what_to_do(tmp_path: Path) -> None:
    server = DatabaseServer()
    try:
        with (server.data_directory / "postgresql.auto.conf").open("a") as conf:
            conf.write("shared_preload_libraries = ''\n")
        server.start()
        with pytest.raises(ConfigurationError, match="shared_preload_libraries"):
            migrate(server.url)
    finally:
        server.close()


def test_every_named_query_is_understood_by_the_database(database_url: str) -> None:
    """Prepared, not run: a table or column that is missing shows here and not at 3 a.m."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, text in queries().items():
            if text.startswith("COPY") or "COPY reading" in text:
                continue
            cursor = psycopg.ClientCursor(connection)
            names = set(re.findall(r"%\((\w+)\)s", text))
            statement = cursor.mogrify(text, dict.fromkeys(names)).rstrip().rstrip(";")
            body = "\n".join(line for line in statement.splitlines() if not line.strip().startswith("--"))
            if not body.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                continue
            try:
                connection.execute(f"EXPLAIN {body}")  # type: ignore[arg-type]
            except psycopg.Error as error:
                pytest.fail(f"{name}: {error}")


def test_a_wrong_setting_prints_one_line_a_field_without_its_value() -> None:
    environment = {**os.environ, "KAWAMORI_GATEWAY__WINDOW": "secret-value", "KAWAMORI_API__PORT": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "gateway"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "KAWAMORI_GATEWAY__WINDOW" in done.stderr
    assert "KAWAMORI_API__PORT" in done.stderr
    assert "secret-value" not in done.stderr
