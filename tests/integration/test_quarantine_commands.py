"""What an operator types to have what was refused tried again, and to register gateways."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def test_what_was_refused_is_listed_tried_and_stored_by_command(
    fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = fresh_chain_of("gateway", "ingest")

    def kawamori(*words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "kawamori.cli", *words], env={**os.environ, **chain.environment},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    assert kawamori("quarantine", "replay") == "nothing to replay\n"
    start = datetime.now(UTC) - timedelta(minutes=30)
    chain.publish(
        [("late-comer", payload((start + timedelta(minutes=n)).isoformat(), 1.0 + n / 100)) for n in range(20)]
    )
    wait_until(lambda: chain.sql("SELECT count(*) FROM quarantine") == [(20,)], 30, "all are in quarantine")
    assert "20  late-comer" in kawamori("quarantine", "list")
    assert kawamori("quarantine", "replay", "--dry-run").startswith("would be accepted: 0; refused again: 20\n")
    refused = kawamori("quarantine", "replay", "--device", "late-comer", "--limit", "5")
    assert refused.startswith("stored: 0; refused again: 5\n")
    assert "device: not registered" in refused
    sensor = SensorPlan(quantity="water_level", device_id="late-comer", valid_from=SINCE)
    chain.register([
        StationPlan(station_id="s", name_ja="橋", name_en="s", river_id="r", river_name_ja="川", river_name_en="River",
                    valid_from=SINCE, sensors=(sensor,)),
    ])  # fmt: skip
    assert kawamori("quarantine", "replay", "--dry-run").startswith("would be accepted: 20; refused again: 0\n")
    assert chain.sql("SELECT count(*) FROM reading") == [(0,)]
    assert kawamori("quarantine", "replay", "--reason", "device:") == "stored: 20; refused again: 0\n"
    assert chain.sql("SELECT count(*) FROM reading") == [(20,)]
    assert kawamori("quarantine", "replay") == "nothing to replay\n"
    own = chain.environment["KAWAMORI_GATEWAY__ID"]
    assert kawamori("gateways", "add", "new-one") == "registered new-one\n"
    assert kawamori("gateways", "retire", "new-one") == "retired new-one\n"
    assert "NAME: no gateway" in kawamori("gateways", "retire", "nobody", status=2)
    assert "NAME: must be" in kawamori("gateways", "add", "two words", status=2)
    listed = [line.split()[:2] for line in kawamori("gateways", "list").splitlines()]
    assert ["registered", own] in listed
    assert ["retired", "new-one"] in listed
