"""Recorded floods through the whole chain: every row once, summaries and crossings as an oracle has them."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DATA = Path(__file__).parents[3] / "shared" / "data"
HYSTERESIS = 0.05
#: Official where known (attention, evacuation, danger, overflow); elsewhere quantiles of the record, in metres.
OFFICIAL = {"tomioka-bashi": (2.50, 2.90, 3.50, 4.60), "nakagawa-ohashi": (3.50, 4.10, 4.50, 5.80)}
QUANTILES = (0.80, 0.90, 0.95, 0.98, 0.995)


@dataclass(frozen=True)
class Flood:
    """A recorded flood: rows (station, at, level), unique by station and time."""

    name: str
    rows: pd.DataFrame
    zone: str
    thresholds: dict[str, dict[int, float]]

    def plans(self) -> list[StationPlan]:
        since = self.rows["at"].min().to_pydatetime()
        return [
            StationPlan(
                station_id=s, name_ja=s, name_en=s, river_id=self.name, river_name_ja=self.name,
                river_name_en=self.name, valid_from=since, time_zone=self.zone, thresholds=self.thresholds[s],
                hysteresis_m=HYSTERESIS,
                sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{s}", valid_from=since),),
            )
            for s in sorted(self.thresholds)
        ]  # fmt: skip


def load(name: str, station: str, at: str, zone: str) -> Flood:
    files = {"gloria": "fr_hubeau_2020-01_gloria.csv.gz", "kuji-naka": "jp_kuji_naka_10min_2026-07_2026-08.csv.gz"}
    path = DATA / files[name]
    if not path.exists():
        pytest.skip(f"the recorded river {path.name} is not here")
    frame = pd.read_csv(path, dtype={station: str})
    times = pd.to_datetime(frame[at])
    times = times.dt.tz_localize(zone) if times.dt.tz is None else times
    rows = pd.DataFrame({"station": frame[station], "at": times.dt.tz_convert("UTC"), "level": frame["level_m"]})
    assert not rows.duplicated(["station", "at"]).any()
    thresholds = {}
    for name_, group in rows.groupby("station"):
        if name_ in OFFICIAL:
            thresholds[str(name_)] = dict(enumerate(OFFICIAL[str(name_)], start=2))
        else:
            levels = sorted({round(float(group["level"].quantile(q)), 2) for q in QUANTILES})
            thresholds[str(name_)] = dict(enumerate(levels, start=1))
    return Flood(name, rows, zone, thresholds)


def crossings(flood: Flood, flags: pd.DataFrame) -> set[tuple[str, int, datetime, datetime | None]]:
    """The oracle: whole columns at once, no state machine. A stay begins where the level is first at or above the
    threshold after it was last below the lower edge, and ends where it is next below the lower edge.
    """
    found = set()
    good = flags[~flags["flag"].isin([4, 9])]
    for station, group in good.sort_values("at").groupby("station"):
        for level, value in flood.thresholds[str(station)].items():
            side = pd.Series(float("nan"), index=group.index)
            side[group["value"] >= value] = 1.0
            side[group["value"] < value - HYSTERESIS] = 0.0
            state = side.ffill().fillna(0.0)
            change = state.diff().fillna(state)
            starts = [t.to_pydatetime() for t in group.loc[change == 1.0, "at"]]
            ends: list[datetime | None] = [t.to_pydatetime() for t in group.loc[change == -1.0, "at"]]
            ends += [None] * (len(starts) - len(ends))
            found |= {(str(station), level, a, b) for a, b in zip(starts, ends, strict=True)}
    return found


def stored(chain: Any, sql: str, columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(chain.sql(sql), columns=columns)
    for column in ("at", "bucket"):
        if column in frame:
            frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame


def check_tables(chain: Any, flood: Flood) -> pd.DataFrame:
    """Every row of the file once; latest and summaries as recomputed from the raw rows. Returns the stored rows."""
    rows = stored(
        chain, "SELECT station_id, observed_at, value, flag FROM reading JOIN sensor USING (sensor_id)",
        ["station", "at", "value", "flag"],
    )  # fmt: skip
    both = rows.merge(flood.rows, on=["station", "at"], how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    assert len(rows) == len(flood.rows)
    assert ((both["value"] - both["level"]).abs() < 1e-9).all()
    assert chain.sql("SELECT count(*) FROM quarantine") == [(0,)]
    latest = stored(
        chain, "SELECT station_id, observed_at, value FROM latest_reading JOIN sensor USING (sensor_id)",
        ["station", "at", "value"],
    ).sort_values("station")  # fmt: skip
    last = rows.sort_values("at").groupby("station").tail(1).sort_values("station")[["station", "at", "value"]]
    assert latest.reset_index(drop=True).equals(last.reset_index(drop=True))
    counted = rows[~rows["flag"].isin([4, 9])]
    for table, bucket in (
        ("reading_hour", counted["at"].dt.floor("h")),
        ("reading_day", counted["at"].dt.tz_convert(flood.zone).dt.normalize().dt.tz_convert("UTC")),
    ):
        micro = (counted["value"] * 1_000_000).round().astype("int64")
        raw = counted.assign(bucket=bucket, micro=micro).groupby(["station", "bucket"])
        expected = raw.agg(n=("value", "size"), sum=("micro", "sum"), min=("value", "min"), max=("value", "max"))
        found = stored(
            chain, f"SELECT station_id, bucket, n, sum_micro, min, max FROM {table} JOIN sensor USING (sensor_id)",
            ["station", "bucket", "n", "sum", "min", "max"],
        ).set_index(["station", "bucket"]).sort_index()  # fmt: skip
        pd.testing.assert_frame_equal(found, expected.sort_index(), check_dtype=False, check_index_type=False)
    return rows


def check_alerts(chain: Any, flood: Flood, rows: pd.DataFrame) -> None:
    """The recorded crossings equal the oracle's, and none of these old ones was paged."""
    expected = crossings(flood, rows)

    def recorded() -> set[tuple[str, int, datetime, datetime | None]]:
        return {
            (s, level, a.astimezone(UTC), b and b.astimezone(UTC))
            for s, level, a, b in chain.sql(
                "SELECT station_id, flood_level, started_at, ended_at FROM alert"
                " WHERE kind = 'level' AND state <> 'withdrawn'"
            )
        }

    found = recorded()
    assert (sorted(found - expected, key=str), sorted(expected - found, key=str)) == ([], [])
    late = "FROM alert WHERE kind = 'level' AND (NOT retroactive OR paged_at IS NOT NULL)"
    assert chain.sql(f"SELECT count(*) {late}") == [(0,)]
    assert chain.sql("SELECT count(*) FROM notification JOIN alert USING (alert_id) WHERE kind = 'level'") == [(0,)]


def caught_up(chain: Any) -> bool:
    return bool(
        chain.sql(
            "SELECT NOT EXISTS (SELECT 1 FROM ingest_batch b WHERE (b.xid, b.batch_id) > (SELECT xid, batch_id"
            " FROM feed_cursor WHERE follower = 'alerts')) AND EXISTS (SELECT 1 FROM feed_cursor)"
        )[0][0]
    )


def messages_of(rows: pd.DataFrame, payload: Callable[..., bytes]) -> list[tuple[str, bytes]]:
    times = rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [(f"dev-{s}", payload(t, float(v))) for s, t, v in zip(rows["station"], times, rows["level"], strict=True)]


FLOODS = [("gloria", "code_station", "time_utc", "Europe/Paris"), ("kuji-naka", "station", "time_jst", "Asia/Tokyo")]


KILLING = "shuffled, a third twice, services killed"
CASES = [
    pytest.param(flood, order, id=f"{flood[0]}, {order}",
                 marks=pytest.mark.slow if (flood[0], order) == ("gloria", KILLING) else ())
    for order in ("as recorded", KILLING) for flood in FLOODS
]  # fmt: skip


@pytest.mark.parametrize(("which", "order"), CASES)
def test_a_recorded_flood_is_stored_exactly(
    which: tuple[str, str, str, str], order: str, fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes],
    wait_until: Callable[..., Any],
) -> None:  # fmt: skip
    flood = load(*which)
    chain = fresh_chain_of()
    chain.register(flood.plans())
    chain.start("gateway", "ingest", "alerts", "api")
    messages = messages_of(flood.rows, payload)
    killing = order == KILLING
    if killing:
        chance = random.Random(14)
        messages += chance.sample(messages, len(messages) // 3)
        chance.shuffle(messages)
    begun = time.monotonic()
    if killing:
        share = len(messages) // 5
        for i, victim in enumerate(("gateway", "ingest", "alerts", "api")):
            chain.publish(messages[i * share : (i + 1) * share])
            chain.kill(victim)
            chain.start(victim)
        chain.publish(messages[4 * share :])
    else:
        chain.publish(messages)
    published = time.monotonic() - begun
    total = len(flood.rows)
    wait_until(lambda: chain.sql("SELECT count(*) FROM reading")[0][0] >= total, 300, f"all {total} rows are stored")
    stored_after = time.monotonic() - begun
    wait_until(lambda: caught_up(chain), 120, "alerts has followed the feed to its end")
    print(
        f"\n{flood.name}, {order}: {len(messages)} messages, published in {published:.1f} s, stored in "
        f"{stored_after:.1f} s ({len(messages) / stored_after:.0f}/s), alerts after {time.monotonic() - begun:.1f} s, "
        f"memory {chain.memory_mb()}"
    )
    rows = check_tables(chain, flood)
    check_alerts(chain, flood, rows)
