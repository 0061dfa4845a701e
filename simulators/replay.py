"""Play a recorded flood from a CSV file through the broker, as its devices would have sent it."""

import asyncio
import csv
import gzip
import os
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kawamori.errors import BrokerUnavailable, ConfigurationError
from kawamori.mqtt import Publisher
from kawamori.runtime import now
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register
from kawamori.wire import device_topic
from simulators.publish import payload
from simulators.sensor import Report

#: Column names that speak for themselves, most telling first.
_STATION = ("station", "code_station", "stationreference", "station_id", "site")
_TIME = ("time", "time_utc", "time_jst", "datetime", "timestamp", "date")
_VALUE = ("level_m", "value", "level", "stage", "water_level")
_ZONES = {"time_utc": "UTC", "time_jst": "Asia/Tokyo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read the file and how to play it."""

    file: Path
    station_column: str | None = None
    time_column: str | None = None
    value_column: str | None = None
    unit: str = "m"
    quantity: str = "water_level"
    time_zone: str | None = None
    #: Times the speed of the recording; 0 as fast as it goes.
    speed: float = 0.0
    shift_to_now: bool = False
    #: CSV station,level,value_m
    thresholds: Path | None = None
    shuffle: int | None = None
    repeat_share: float = 0.0
    limit: int | None = None


@dataclass(slots=True)
class Recording:
    """A file's rows in order of time, and those that hold no value, by line."""

    rows: list[tuple[str, Report]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """What was played."""

    stations: int
    sent: int
    refused: int
    seconds: float


def read(options: Options) -> Recording:
    """Read the file; raises ConfigurationError when a column or the time zone is missing."""
    with _text(options.file) as lines:
        table = csv.DictReader(lines)
        names = list(table.fieldnames or [])
        station = _column("station", options.station_column, _STATION, names)
        at = _column("time", options.time_column, _TIME, names)
        value = _column("value", options.value_column, _VALUE, names)
        zone = _zone(options.time_zone or _ZONES.get(at.lower()))
        recording = Recording()
        for line, row in enumerate(table, start=2):
            try:
                when = datetime.fromisoformat(row[at])
                if when.tzinfo is None:
                    if zone is None:
                        raise ConfigurationError(
                            f"{options.file}, line {line}: the time has no offset; say which zone with --time-zone"
                        )
                    when = when.replace(tzinfo=zone)
                recording.rows.append((row[station], Report(when.astimezone(UTC), float(row[value]))))
            except (TypeError, ValueError) as error:
                recording.refused.append(f"line {line}: {error}")
            if options.limit and len(recording.rows) >= options.limit:
                break
    recording.rows.sort(key=lambda r: r[1].at)
    return recording


@contextmanager
def _text(file: Path) -> Iterator[Iterator[str]]:
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rt", encoding="utf-8-sig", newline="") as lines:
                yield lines
        else:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                yield lines
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error


def _column(what: str, wanted: str | None, known: tuple[str, ...], names: list[str]) -> str:
    if wanted is not None:
        if wanted in names:
            return wanted
    else:
        by_lower = {name.lower(): name for name in names}
        for name in known:
            if name in by_lower:
                return by_lower[name]
    raise ConfigurationError(
        f"no {what} column{f' {wanted}' if wanted else ''} among {', '.join(names)}; name it with --{what}-column"
    )


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"--time-zone: {name} is not a time zone") from error


def station_id(name: str) -> str:
    """The recorded name as a station's id."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:64] or "station"


def device_id(name: str) -> str:
    """The id of the device that the replay plays for a station."""
    return f"replay-{station_id(name)}"[:64]


def read_thresholds(file: Path | None) -> dict[str, dict[int, float]]:
    """Thresholds by station; raises ConfigurationError."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    if file is not None:
        with _text(file) as lines:
            for line, row in enumerate(csv.DictReader(lines), start=2):
                try:
                    found[row["station"]][int(row["level"])] = float(row["value_m"])
                except (KeyError, TypeError, ValueError) as error:
                    raise ConfigurationError(f"{file}, line {line}: needs station,level,value_m: {error}") from None
    return found


def plans(recording: Recording, options: Options) -> list[StationPlan]:
    """The recorded stations, ready to be registered since their first row."""
    since = min((report.at for _, report in recording.rows), default=now())
    steps = read_thresholds(options.thresholds)
    return [
        StationPlan(
            station_id=station_id(name), name_ja=name, name_en=name, river_id="replay", river_name_ja="再生",
            river_name_en="Replay", valid_from=since, time_zone=options.time_zone or "Asia/Tokyo",
            thresholds=steps.get(name, {}),
            sensors=(SensorPlan(quantity=options.quantity, device_id=device_id(name), valid_from=since),),
        )
        for name in sorted({name for name, _ in recording.rows})
    ]  # fmt: skip


def arrange(recording: Recording, options: Options, moment: datetime) -> list[tuple[str, Report]]:
    """The rows in sending order. Shifted to now, the first row is measured now (at a speed) or the last one is."""
    rows = list(recording.rows)
    if options.shift_to_now and rows:
        by = moment - (rows[0][1].at if options.speed else rows[-1][1].at)
        rows = [(name, Report(report.at + by, report.value)) for name, report in rows]
    chance = random.Random(options.shuffle)  # noqa: S311 - seeded
    if options.repeat_share:
        rows += chance.sample(rows, int(len(rows) * options.repeat_share))
    if options.shuffle is not None:
        chance.shuffle(rows)
    return rows


async def replay(options: Options, settings: Settings, progress: Callable[[int, int, float], None]) -> Summary:
    """Register the recorded stations and play the rows. `progress` hears (sent, of, seconds)."""
    recording = await asyncio.to_thread(read, options)
    if not recording.rows:
        raise ConfigurationError(f"{options.file}: no row has a time and a value ({len(recording.refused)} refused)")
    rows = arrange(recording, options, now())
    oldest = now() - settings.ingest.oldest
    if rows[0][1].at < oldest and not options.shift_to_now:
        raise ConfigurationError(
            f"the recording begins before {oldest:%Y-%m-%d}, the oldest accepted: use --shift-to-now,"
            " or raise KAWAMORI_INGEST__OLDEST for ingest and replay"
        )
    registered = arrange(Recording(recording.rows), Options(file=options.file, shift_to_now=options.shift_to_now,
                         speed=options.speed), now())  # fmt: skip
    async with Database(settings.database(), "replay", size=1) as database:
        await register(database, plans(Recording(registered), options))
    begun = time.monotonic()
    first = rows[0][1].at
    async with Publisher(settings.mqtt(), f"kawamori-replay-{os.getpid()}") as link:
        await link.wait_connected()
        for sent, (name, report) in enumerate(rows):
            if options.speed:
                due = begun + (report.at - first) / timedelta(seconds=1) / options.speed
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
            await _publish(link, device_topic(device_id(name), "reading"),
                           payload(report, options.quantity, options.unit))  # fmt: skip
            if sent % 500 == 0:
                progress(sent, len(rows), time.monotonic() - begun)
        await link.flush()
    return Summary(len({n for n, _ in rows}), len(rows), len(recording.refused), time.monotonic() - begun)


async def _publish(link: Publisher, topic: str, message: bytes) -> None:
    """Publish with a bounded number of messages under way; waits while the broker is away."""
    while True:
        await link.room(1000)
        try:
            return link.publish(topic, message)
        except BrokerUnavailable:
            await asyncio.sleep(0.2)
