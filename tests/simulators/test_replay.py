"""A replay through the whole chain: beside what is registered, without losing a row, and taken off again."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kawamori.domain.registry import Limits
from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = pytest.mark.integration

SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def kawamori(chain: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kawamori.cli", *arguments], env=chain.environment, cwd=chain.folder, text=True,
        capture_output=True, timeout=120,
    )  # fmt: skip


def readings(chain: Any, station: str) -> list[tuple[datetime, float]]:
    found = chain.sql(
        "SELECT observed_at, value FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s ORDER BY 1", station
    )
    return [(at.astimezone(UTC), value) for at, value in found]


@pytest.fixture
def site(fresh_chain_of: Callable[..., Any]) -> Any:
    return fresh_chain_of("gateway", "ingest", "alerts", KAWAMORI_GATEWAY__ID="gateway-1")


def csv_of(folder: Path, name: str, lines: list[str]) -> str:
    (folder / name).write_text("\n".join(["station,time,level_m", *lines]) + "\n")
    return str(folder / name)


def test_a_replay_leaves_what_is_registered_and_can_be_taken_off_again(
    site: Any, tmp_path: Path, payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    plan = StationPlan(
        station_id="weir", name_ja="堰", name_en="Weir", river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, km=3.2, lon=140.5, thresholds={2: 4.0},
        sensors=(SensorPlan(quantity="water_level", device_id="radar", valid_from=SINCE,
                            report_every=timedelta(hours=1), limits=Limits(range_max=9.0)),),
    )  # fmt: skip
    site.register([plan])
    own = datetime(2025, 9, 5, 0, 30, tzinfo=UTC)
    site.publish([("radar", payload(own.isoformat(), 1.5))])
    wait_until(lambda: len(readings(site, "weir")) == 1, 20, "the station's own reading is stored")
    registered = "SELECT s.*, x.report_every, x.range_max FROM station s JOIN sensor x USING (station_id)"
    before = site.sql(f"{registered} WHERE station_id = 'weir'")
    lines = [f"{name},2025-09-05T{h:02}:00Z,{h + 1}" for h in range(6) for name in ("weir", "太田橋")]
    file = csv_of(tmp_path, "flood.csv", lines)
    (tmp_path / "thresholds.csv").write_text("station,level,value_m\n太田橋,1,3.5\n")
    done = kawamori(site, "replay", file, "--thresholds", str(tmp_path / "thresholds.csv"))
    assert done.returncode == 0, done.stderr
    assert "weir: registered already" in done.stderr
    made = site.sql("SELECT station_id FROM station WHERE name_ja = '太田橋'")[0][0]
    wait_until(lambda: len(readings(site, "weir")) == 7 and len(readings(site, made)) == 6, 20, "all rows are stored")
    assert site.sql(f"{registered} WHERE station_id = 'weir'") == before
    assert site.sql("SELECT value_m FROM threshold WHERE station_id = 'weir' AND valid_to IS NULL") == [(4.0,)]
    assert site.sql("SELECT count(*) FROM quarantine") == [(0,)]
    wait_until(lambda: site.sql("SELECT 1 FROM alert WHERE station_id = %s", made), 20, "its crossing is recorded")

    gone = json.loads(kawamori(site, "replay", file, "--remove", "--json").stdout)
    assert (gone["readings"], gone["left"], gone["stations_gone"], gone["stations_kept"]) == (12, 0, [made], [])
    assert readings(site, "weir") == [(own, 1.5)]
    latest = site.sql(
        "SELECT observed_at, value FROM latest_reading JOIN sensor USING (sensor_id) WHERE station_id = 'weir'"
    )
    assert latest == [(own, 1.5)]
    hours = "SELECT bucket, n, sum_micro FROM reading_hour JOIN sensor USING (sensor_id) WHERE station_id = 'weir'"
    assert site.sql(hours) == [(own.replace(minute=0), 1, 1_500_000)]
    assert site.sql("SELECT count(*) FROM station WHERE station_id = %s", made) == [(0,)]
    assert site.sql("SELECT count(*) FROM alert WHERE kind = 'level'") == [(0,)]
    again = kawamori(site, "replay", file, "--remove")
    assert again.returncode == 2
    assert "nothing of this file is there" in again.stderr


def test_shifted_to_now_no_row_is_lost_in_any_order(site: Any, tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    lines = [f"s,2024-01-01T{m // 60:02}:{m % 60:02}Z,{1 + m / 100}" for m in range(0, 600, 5)]
    file = csv_of(tmp_path, "shift.csv", lines)
    done = kawamori(site, "replay", file, "--shift-to-now", "--shuffle", "7", "--repeat-share", "0.2", "--json")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(readings(site, "s")) == 120, 20, "every row is stored")
    assert site.sql("SELECT count(*) FROM quarantine") == [(0,)]
    assert site.sql("SELECT report_every FROM sensor WHERE station_id = 's'") == [(timedelta(minutes=5),)]


def test_what_is_dropped_is_named_by_line_and_makes_the_status_one(
    site: Any, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    file = csv_of(
        tmp_path, "odd.csv", ["o,2025-09-05T01:00Z,1.0", "o,2025-09-05T01:10Z,Ice", "o,2025-09-05T01:20Z,1|2"]
    )
    done = kawamori(site, "replay", file, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["refused"] == 1
    assert "line 4: '1|2' is not a number" in done.stderr
    assert "no measurement (Ice): line 3" in done.stderr
    assert kawamori(site, "replay", file, "--allow-refused").returncode == 0
    wait_until(lambda: len(readings(site, "o")) == 1, 20, "the sound row is stored")
    unknown = kawamori(site, "replay", file, "--unit", "furlong")
    assert unknown.returncode == 2
    assert "--unit: must be one of cm, ft, m, mm" in unknown.stderr
