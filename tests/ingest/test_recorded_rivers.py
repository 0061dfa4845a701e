"""Quality control on recorded rivers: floods and tides are not faults."""

import csv
import gzip
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.series import QcWindow, append
from kawamori.domain.reading import Flag, Reading, SensorId
from kawamori.domain.registry import Limits

DATA = Path(__file__).parents[3] / "shared" / "data"
#: The limits that a water level has where its sensor has none of its own.
LIMITS = Limits(range_min=-15, range_max=40, max_step=0.5, max_rate_h=8, spike=0.10)


def recorded(name: str, station: str, time: str, suffix: str) -> dict[str, list[tuple[datetime, float]]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the recorded river {name} is not here")
    series = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row[time] + suffix).astimezone(UTC)
            series[row[station]].append((at, float(row["level_m"])))
    return series


def flags(points: list[tuple[datetime, float]]) -> list[Reading]:
    readings = [
        Reading(sensor=SensorId(1), observed_at=at, value=value, received_at=at) for at, value in sorted(points)
    ]
    tail, rows = QcWindow(), {}
    for r in readings:
        outcome = append(tail, [r], LIMITS, timedelta(minutes=30))
        tail = outcome.tail
        rows.update({row.observed_at: row for row in outcome.added})
        rows.update({after.observed_at: after for _, after in outcome.changed})
    return list(rows.values())


def test_gloria_is_a_flood_and_not_a_fault() -> None:
    failed, suspect, total = [], 0, 0
    for station, points in recorded("fr_hubeau_2020-01_gloria.csv.gz", "code_station", "time_utc", "").items():
        for row in flags(points):
            total += 1
            suspect += row.flag == Flag.SUSPECT
            if row.flag == Flag.FAIL:
                failed.append((station, row.observed_at, row.value))
    print(f"{total} readings, {suspect} suspect, {len(failed)} failed: {failed[:20]}")
    assert ("Y142202001", -4.147) in {(s, v) for s, _, v in failed}
    assert suspect <= 10
    assert len(failed) <= 60


def test_ordinary_tides_are_good() -> None:
    rivers = recorded("jp_kuji_naka_10min_2026-07_2026-08.csv.gz", "station", "time_jst", "+09:00")
    rows = [row for points in rivers.values() for row in flags(points)]
    bad = [row for row in rows if row.flag != Flag.GOOD]
    print(f"{len(rows)} readings, {len(bad)} not good: {[(r.observed_at, r.value, r.flag) for r in bad]}")
    assert len(bad) <= len(rows) // 10_000
