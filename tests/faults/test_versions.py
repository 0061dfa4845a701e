"""An old version on a schema that was migrated for the new one loses nothing: the new one stores what waited."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kawamori.storage.schema import migrations

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
#: The first step of the version that comes next; it takes away a column that ingest writes today.
NUMBER = 9998
TAKES_AWAY = "ALTER TABLE latest_reading DROP COLUMN trend_h;"


def next_version(folder: Path, says: str) -> Path:
    """A copy of the packages with one more migration, whose ingest no longer writes the column."""
    for package in ("kawamori", "gateway", "ingest", "alerts", "api", "simulators"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    storage = folder / "kawamori" / "storage"
    (storage / "migrations" / f"{NUMBER}_contract.sql").write_text(f"{says}\n{TAKES_AWAY}\n")
    queries = storage / "queries" / "readings.sql"
    before = queries.read_text("utf-8")
    after = before.replace("trend_h = n.trend_h, ", "")
    assert after != before
    queries.write_text(after, "utf-8")
    return folder


@pytest.mark.parametrize("says", ["", f"-- compatible from: {NUMBER}"], ids=["it does not say so", "it says so"])
def test_an_old_ingest_on_a_schema_that_lost_a_column_keeps_every_reading_at_the_gateway(
    says: str, site_of: Callable[..., Any], tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    chain = site.chain
    new = next_version(tmp_path / "next", says)
    names = site.register(20)
    environment = {**os.environ, **chain.environment, "PYTHONPATH": str(new)}
    with site.fleet(names, rate=50, bad_every=50) as fleet:
        site.talk(fleet, 50, 100)
        command = [sys.executable, "-m", "kawamori.cli", "db", "migrate"]
        migrated = subprocess.run(command, cwd=new, env=environment, capture_output=True, text=True)
        assert migrated.stdout == f"applied {NUMBER}_contract\n", migrated.stderr
        wait_until(
            lambda: not chain.ready("ingest"), 30, f"the old ingest says that it cannot work\n{chain.last_words()}"
        )
        before = chain.sql("SELECT count(*) FROM reading")
        site.talk(fleet, 100, 200)
        assert chain.processes["ingest"].poll() is None, "it waits, and does not end"
        assert chain.sql("SELECT count(*) FROM reading") == before
        blamed = "SELECT count(*) FROM quarantine WHERE reason LIKE 'database%' OR reason LIKE 'batch%'"
        assert chain.sql(blamed) == [(0,)]
        chain.processes["ingest"].terminate()
        chain.processes["ingest"].wait(15)
        chain.environment["PYTHONPATH"] = str(new)
        chain.start("ingest")
        site.stored_all(fleet, 60)
    site.check(fleet)
    assert chain.sql("SELECT max(number) FROM schema_migration") == [(NUMBER,)]
    assert NUMBER not in {step.number for step in migrations()}
