"""Recorded rivers through quality control and the rules: every true rise raises, and no fault of a gauge does."""

import csv
import gzip
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from ingest.series import QcWindow, append
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, SensorId, StationId
from kawamori.domain.registry import Limits
from kawamori.domain.rules import Episode
from kawamori.domain.rules.forecast import ForecastRule
from kawamori.domain.rules.level import episodes
from kawamori.domain.rules.rise import RiseRule
from kawamori.domain.rules.unfit import UnfitRule, contradictions

DATA = Path(__file__).parents[3] / "shared" / "data"
#: The limits that a water level has where its sensor has none of its own.
LIMITS = Limits(range_min=-15, range_max=40, max_step=0.5, max_rate_h=8, spike=0.10)
HYSTERESIS = 0.05
#: Official where known (attention, evacuation, danger, overflow); elsewhere quantiles of the record, in metres.
OFFICIAL = {"tomioka-bashi": (2.50, 2.90, 3.50, 4.60), "nakagawa-ohashi": (3.50, 4.10, 4.50, 5.80)}
QUANTILES = (0.80, 0.90, 0.95, 0.98, 0.995)
FILES = {
    "gloria": ("fr_hubeau_2020-01_gloria.csv.gz", "code_station", "time_utc", "level_m", ""),
    "kuji-naka": ("jp_kuji_naka_10min_2026-07_2026-08.csv.gz", "station", "time_jst", "level_m", "+09:00"),
    "england": ("uk_ea_all_stations_2021-05-07.csv.gz", "stationReference", "dateTime", "value", ""),
}
MARSEILLETTE = "Y142202001"

River = dict[str, list[Reading]]


def recorded(name: str) -> River:
    """A recorded river's stations after quality control, as ingest would store them; oldest first."""
    file, station, time, value, suffix = FILES[name]
    path = DATA / file
    if not path.exists():
        pytest.skip(f"the recorded river {file} is not here")
    points: dict[str, dict[datetime, float]] = defaultdict(dict)
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            if name == "england":
                if row["parameter"] != "level" or not row[value] or "|" in row[value]:
                    continue
                row[station] += f" {row['qualifier']} {row['unitName']}"
            at = datetime.fromisoformat(row[time].replace("Z", "+00:00") + suffix).astimezone(UTC)
            points[row[station]][at] = float(row[value])
    return {s: judged(series) for s, series in sorted(points.items())}


def judged(series: dict[datetime, float]) -> list[Reading]:
    tail, rows = QcWindow(), {}
    for at, value in sorted(series.items()):
        outcome = append(tail, [Reading(SensorId(1), at, value, at)], LIMITS, timedelta(minutes=30))
        tail = outcome.tail
        rows.update({row.observed_at: row for row in outcome.added})
        rows.update({after.observed_at: after for _, after in outcome.changed})
    return [row for _, row in sorted(rows.items())]


@pytest.fixture(scope="module", params=sorted(FILES))
def river(request: pytest.FixtureRequest) -> tuple[str, River]:
    return request.param, recorded(request.param)


@pytest.fixture(scope="module")
def gloria() -> River:
    return recorded("gloria")


def levels_of(station: str, line: list[Reading]) -> dict[int, float]:
    if station in OFFICIAL:
        return dict(enumerate(OFFICIAL[station], start=2))
    values = pd.Series([r.value for r in line if r.flag is not Flag.FAIL])
    return dict(enumerate(sorted({round(float(values.quantile(q)), 2) for q in QUANTILES}), start=1))


def thresholds_of(station: str, line: list[Reading]) -> list[Threshold]:
    since = line[0].observed_at
    return [
        Threshold(station=StationId(station), level=n, value_m=v, hysteresis_m=HYSTERESIS, valid_from=since)
        for n, v in levels_of(station, line).items()
    ]


def oracle(line: list[Reading], value: float) -> list[tuple[datetime, datetime | None]]:
    """Whole columns at once, no state machine: the stays between the last time at or above the threshold was entered
    from below the lower edge, and the next time below it."""
    frame = pd.DataFrame(
        {"at": [r.observed_at for r in line], "v": [r.value for r in line], "f": [r.flag for r in line]}
    )
    frame = frame[~frame["f"].isin([4, 9])]
    side = pd.Series(float("nan"), index=frame.index)
    side[frame["v"] >= value] = 1.0
    side[frame["v"] < value - HYSTERESIS] = 0.0
    state = side.ffill().fillna(0.0)
    change = state.diff().fillna(state)
    starts = [t.to_pydatetime() for t in frame.loc[change == 1.0, "at"]]
    ends: list[datetime | None] = [t.to_pydatetime() for t in frame.loc[change == -1.0, "at"]]
    return list(zip(starts, ends + [None] * (len(starts) - len(ends)), strict=True))


def test_crossings_are_the_oracles_and_none_is_flapping_in_the_record(river: tuple[str, River]) -> None:
    name, stations = river
    total, unverified, fate = 0, 0, Counter[str]()
    for station, line in stations.items():
        found = episodes(line, thresholds_of(station, line))
        for level, value in levels_of(station, line).items():
            mine = [(e.started_at, e.ended_at) for e in found if e.level == level]
            assert mine == oracle(line, value), (station, level)
        total += len(found)
        for episode in found:
            first = next(r for r in line if r.observed_at == episode.started_at)
            if first.flag is Flag.SUSPECT:
                unverified += 1
                fate["confirmed" if episode.verified else "withdrawn" if episode.ended_at else "still open"] += 1
    print(f"\n{name}: {len(stations)} stations, {total} crossings as the oracle has them; {unverified} began"
          f" unverified, of which {dict(fate)}")  # fmt: skip
    assert total > 0


def test_not_one_true_rise_of_gloria_is_suppressed(gloria: River) -> None:
    """Whatever quality control thought of it: every station whose water rose past a threshold has its alert, with the
    time of the first reading that reached it."""
    risen, alerts, delays = 0, 0, 0
    for station, line in gloria.items():
        raw = [r._replace(flag=Flag.GOOD, reasons=0) for r in line]
        for threshold in thresholds_of(station, line):
            true = [
                (start, end) for start, end in oracle(raw, threshold.value_m)
                if sum(start <= r.observed_at and (end is None or r.observed_at < end) and r.value >= threshold.value_m
                       for r in raw) >= 5
            ]  # fmt: skip
            found = episodes(line, [threshold])
            for start, end in true:
                risen += 1
                match = [e for e in found if e.overlaps(start, end)]
                assert match, (station, threshold.level, start)
                assert all(e.verified for e in match)
                alerts += len(match)
                delays += match[0].started_at != start
    print(f"\ngloria: {risen} stays of five readings or more above a threshold in the raw record, {alerts} alerts for"
          f" them, {delays} with another beginning than the raw record's")  # fmt: skip
    assert risen > 300
    assert delays == 0


def test_each_rise_is_raised_at_the_very_reading_that_reached_it_as_it_arrives(gloria: River) -> None:
    """Live: flags as they are when the reading comes, before its neighbours are known. No rise waits for a filter."""
    crossings, at_once, unverified, withdrawn = 0, 0, 0, 0
    for station, line in gloria.items():
        thresholds = thresholds_of(station, line)
        if not thresholds:
            continue
        top = max(thresholds, key=lambda t: t.level)
        settled = episodes(line, [top])
        arriving: list[Reading] = []
        tail = QcWindow()
        for row in line:
            outcome = append(tail, [Reading(SensorId(1), row.observed_at, row.value, row.observed_at)], LIMITS,
                             timedelta(minutes=30))  # fmt: skip
            tail = outcome.tail
            arriving += outcome.added
        live = episodes(arriving, [top])
        for episode in settled:
            crossings += 1
            match = [e for e in live if e.started_at == episode.started_at]
            at_once += bool(match)
        unverified += sum(r.flag is Flag.SUSPECT for e in live for r in arriving if r.observed_at == e.started_at)
        withdrawn += sum(not any(e.overlaps(s.started_at, s.ended_at) for s in settled) for e in live)
    print(f"\ngloria, highest thresholds, live: {crossings} crossings, {at_once} raised at their own reading;"
          f" {unverified} unverified at first, {withdrawn} taken back when the spike had returned")  # fmt: skip
    assert at_once == crossings


def test_marseillettes_minus_four_metres_raise_no_flood_alert(gloria: River) -> None:
    line = gloria[MARSEILLETTE]
    (fault,) = [r for r in line if r.value == -4.147]
    assert fault.flag is Flag.FAIL
    thresholds = thresholds_of(MARSEILLETTE, line)
    near = timedelta(hours=6)
    without = [r for r in line if r is not fault]
    found = episodes(line, thresholds)
    assert found == episodes(without, thresholds)
    for rule in (RiseRule(), ForecastRule(min_level=1)):
        assert all_of(rule, line, thresholds) == all_of(rule, without, thresholds)
    # nor would it while it is only suspect, or had it never been recognised
    for flag in (Flag.SUSPECT, Flag.GOOD):
        doubtful = [r if r is not fault else r._replace(flag=flag) for r in line]
        now = all_of(RiseRule(), doubtful, thresholds)
        assert [e for e in now if abs(e.started_at - fault.observed_at) < near] == [
            e for e in all_of(RiseRule(), without, thresholds) if abs(e.started_at - fault.observed_at) < near
        ]
        raised = {(e.level, e.started_at) for e in episodes(doubtful, thresholds)}
        expected = {(e.level, e.started_at) for e in found}
        print(f"\nMarseillette, the fault taken for {flag.name}: {len(raised - expected)} more alerts")


def all_of(rule: RiseRule | ForecastRule, line: list[Reading], thresholds: list[Threshold]) -> list[Episode]:
    watch = rule.watch(tuple(thresholds))
    found = [e for r in line for e in watch.feed(r)] + list(watch.lasting())
    return sorted(found, key=lambda e: (e.started_at, e.level))


def test_no_gauge_of_a_recorded_river_contradicts_itself(river: tuple[str, River]) -> None:
    name, stations = river
    most = 0
    for station, line in stations.items():
        jumps = contradictions([(r.observed_at, r.value) for r in line])
        for n, at in enumerate(jumps):
            within = sum(at <= other <= at + timedelta(hours=1) for other in jumps[n:])
            most = max(most, within)
            assert within < UnfitRule().at_least, (station, at)
    print(f"\n{name}: at most {most} jumps up and down within an hour")


def test_rapid_rises_are_floods_and_not_tides(river: tuple[str, River]) -> None:
    name, stations = river
    rises = {s: all_of(RiseRule(), line, []) for s, line in stations.items()}
    some = {s: len(found) for s, found in rises.items() if found}
    fastest = max((e.detail["rate_m_per_h"] for found in rises.values() for e in found), default=0.0)
    print(f"\n{name}: {sum(some.values())} rises of 0.5 m in 30 min at {len(some)} of {len(stations)} stations;"
          f" the fastest {fastest} m/h at its beginning")  # fmt: skip
    if name == "kuji-naka":
        assert not some


def test_foreseen_arrivals_are_about_right_in_gloria(gloria: River) -> None:
    foreseen, came, errors, inside = 0, 0, [], 0
    crossings = 0
    for station, line in gloria.items():
        thresholds = [t for t in thresholds_of(station, line) if t.level >= 3]
        reached = episodes(line, thresholds)
        crossings += len(reached)
        for one in all_of(ForecastRule(), line, thresholds):
            foreseen += 1
            arrival = next(
                (e.started_at for e in reached
                 if e.level == one.level and timedelta(0) <= e.started_at - one.started_at <= timedelta(hours=6)), None,
            )  # fmt: skip
            if arrival is None:
                continue
            came += 1
            earliest, likely, latest = (datetime.fromisoformat(one.detail[k]) for k in ("earliest", "likely", "latest"))
            errors.append((arrival - likely) / timedelta(minutes=1))
            inside += earliest <= arrival <= latest
    errors.sort()
    print(f"\ngloria, levels 3–5: {crossings} crossings; {foreseen} foreseen, {came} came within six hours;"
          f" median error {errors[len(errors) // 2]:.0f} min, middle half {errors[len(errors) // 4]:.0f} to"
          f" {errors[3 * len(errors) // 4]:.0f} min, {inside} within the interval of the slope")  # fmt: skip
    assert came >= foreseen / 2
