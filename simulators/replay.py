"""Play a recorded flood from a CSV file through the broker, as its devices would have sent it; or take it off again."""

import asyncio
import csv
import difflib
import getpass
import gzip
import hashlib
import io
import os
import random
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kawamori.domain.quantity import Unit, convert
from kawamori.domain.registration.heights import check_height
from kawamori.errors import BrokerUnavailable, ConfigurationError
from kawamori.mqtt.publisher import Publisher
from kawamori.runtime import now
from kawamori.settings import Settings
from kawamori.storage import replays
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, load_registry
from kawamori.wire import device_topic
from simulators.cells import Refused, number
from simulators.publish import as_sent, payload
from simulators.recording import (
    Columns,
    Reading,
    Recording,
    Row,
    decoded,
    device_id,
    read_text,
    station_id,
    usual_step,
)
from simulators.sensor import Report

#: A file unpacks to no more than this: a recording of 30 stations over ten years is a tenth of it.
_LARGEST = 2_000_000_000
#: What a station's file says of how often it reports is believed between these.
_STEPS = (timedelta(seconds=10), timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read the file and how to play it."""

    file: Path
    station_column: str | None = None
    time_column: str | None = None
    value_column: str | None = None
    unit_column: str | None = None
    #: None: the file's unit column, else metres.
    unit: str | None = None
    quantity: str = "water_level"
    time_zone: str | None = None
    comma: Literal["decimal", "thousands"] | None = None
    repeated_hour: Literal["first", "second"] | None = None
    #: COLUMN=WORD
    only: str | None = None
    #: Times the speed of the recording; 0 as fast as it goes.
    speed: float = 0.0
    shift_to_now: bool = False
    #: CSV station,level,value_m
    thresholds: Path | None = None
    shuffle: int | None = None
    repeat_share: float = 0.0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was played."""

    stations: int
    sent: int
    #: Rows that could not be read, and rows that say there was no measurement.
    refused: int
    without_value: int
    seconds: float
    #: What was dropped, by line, and what a person should know.
    told: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was taken off."""

    readings: int
    #: Rows of the file where another value stands now, or none.
    left: int
    stations_gone: list[str]
    stations_kept: list[str]


def read(options: Options) -> Recording:
    """Read the file; raises ConfigurationError when a column, the time zone or the meaning of a comma is missing."""
    text, notes = decoded(_bytes(options.file), str(options.file))
    recording = read_text(
        text,
        Reading(
            columns=Columns(options.station_column, options.time_column, options.value_column, options.unit_column),
            unit=options.unit, time_zone=_zone(options.time_zone), comma=options.comma, twice=options.repeated_hour,
            only=_only(options.only), limit=options.limit,
        ),
        str(options.file),
    )  # fmt: skip
    recording.notes[:0] = notes
    return recording


def _bytes(file: Path) -> bytes:
    try:
        if file.suffix != ".gz":
            return file.read_bytes()
        with gzip.open(file) as packed:
            data = packed.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{file}: unpacks to more than {_LARGEST // 1_000_000} MB: play it in parts")
    return data


def _only(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    column, equals, word = text.partition("=")
    if not equals or not column:
        raise ConfigurationError(f"--only: must be COLUMN=WORD, not {text}")
    return column, word


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"--time-zone: {name} is not a time zone") from error


def read_thresholds(file: Path | None, stations: set[str]) -> dict[str, dict[int, float]]:
    """Thresholds (m) by recorded station, for these stations; raises ConfigurationError with one line a wrong field."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    if file is None:
        return found
    text, _ = decoded(_bytes(file), str(file))
    wrong: list[str] = []
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    table.fieldnames = [(name or "").strip() for name in table.fieldnames or []]
    if missing := {"station", "level", "value_m"} - set(table.fieldnames):
        raise ConfigurationError(
            f"{file}: needs the columns station,level,value_m; {', '.join(sorted(missing))} missing"
        )
    for row in table:
        try:
            name, level, value = _threshold(row, stations, found)
            found[name][level] = value
        except Refused as error:
            wrong.append(f"line {table.line_num}: {error}")
    for name, steps in found.items():
        for (low, below), (high, above) in pairwise(sorted(steps.items())):
            if below >= above:
                wrong.append(f"{name}: level {high} ({above:g} m) must lie above level {low} ({below:g} m)")
    if wrong:
        raise ConfigurationError("\n".join(f"{file}, {words}" for words in wrong))
    return found


def _threshold(
    row: dict[str, str | None], stations: set[str], known: Mapping[str, Mapping[int, float]]
) -> tuple[str, int, float]:
    """Station, level and height (m) of one line; raises Refused that names the field."""
    name = row["station"] or ""
    text = row["value_m"] or ""
    value, mark = number(text)
    if row["level"] not in ("1", "2", "3", "4", "5"):
        raise Refused("level: must be 1 to 5")
    try:
        check_height(value)
    except ValueError as error:
        raise Refused(f"value_m: {error}") from None
    if mark is not None or "," in text:
        raise Refused(f"value_m: {text} is not the height of a threshold in metres, such as 3.40")
    if name not in stations:
        near = difflib.get_close_matches(name.strip(), stations, n=1)
        raise Refused(f"station: {name!r} is not in the recording" + (f"; is {near[0]!r} meant?" if near else ""))
    level = int(row["level"])
    if level in known.get(name, {}):
        raise Refused(f"level: {level} of {name} is given twice")
    return name, level, value


def plans(rows: list[Row], options: Options) -> list[StationPlan]:
    """The recorded stations, ready to be registered since their first row."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        times[row.station].append(row.at)
    steps = read_thresholds(options.thresholds, set(times))
    return [
        StationPlan(
            station_id=station_id(name), name_ja=name, name_en=name, river_id="replay", river_name_ja="再生",
            river_name_en="Replay", valid_from=min(times[name]), time_zone=options.time_zone or "Asia/Tokyo",
            thresholds=steps.get(name, {}),
            sensors=(
                SensorPlan(
                    quantity=options.quantity, device_id=device_id(name), valid_from=min(times[name]),
                    report_every=_reports_every(times[name]),
                ),
            ),
        )
        for name in sorted(times)
    ]  # fmt: skip


def _reports_every(times: list[datetime]) -> timedelta:
    step = usual_step(sorted(times))
    return timedelta(minutes=10) if step is None else min(max(step, _STEPS[0]), _STEPS[1])


def shifted(rows: list[Row], by: timedelta) -> list[Row]:
    """The rows, each so much later."""
    return [row._replace(at=row.at + by) for row in rows] if by else rows


def shift_of(rows: list[Row], options: Options, moment: datetime) -> timedelta:
    """How far the times move: shifted to now, the first row is measured now (at a speed) or the last one is."""
    if not options.shift_to_now or not rows:
        return timedelta(0)
    return moment - (rows[0].at if options.speed else rows[-1].at)


def arrange(rows: list[Row], options: Options) -> list[Row]:
    """The rows in sending order, some of them twice where that was asked for."""
    rows = list(rows)
    chance = random.Random(options.shuffle)  # noqa: S311 - seeded
    if options.repeat_share:
        rows += chance.sample(rows, int(len(rows) * options.repeat_share))
    if options.shuffle is not None:
        chance.shuffle(rows)
    return rows


def _require_known_units(
    recording: Recording, options: Options, units: Mapping[str, Unit], quantities: Mapping[str, Unit]
) -> None:
    """Refuse rows whose unit is not one of the quantity's; raises ConfigurationError when the options name it."""
    if options.quantity not in quantities:
        raise ConfigurationError(f"--quantity: {options.quantity} is not one of {', '.join(sorted(quantities))}")
    dimension = quantities[options.quantity].dimension
    fitting = {symbol for symbol, unit in units.items() if unit.dimension == dimension}
    if options.unit is not None and options.unit not in fitting:
        raise ConfigurationError(f"--unit: must be one of {', '.join(sorted(fitting))}")
    wrong = [row for row in recording.rows if row.unit not in fitting]
    recording.rows = [row for row in recording.rows if row.unit in fitting]
    recording.refused += [
        f"line {row.line}: {row.unit or 'no word'} is not a unit of {options.quantity}" for row in wrong
    ]


def _require_in_window(recording: Recording, options: Options, settings: Settings, moment: datetime) -> None:
    """Refuse rows from the future; raises ConfigurationError when the recording is older than what ingest accepts."""
    if options.shift_to_now or not recording.rows:
        return
    oldest = moment - settings.ingest.oldest
    if recording.rows[0].at < oldest:
        raise ConfigurationError(
            f"the recording begins before {oldest:%Y-%m-%d}, the oldest accepted: use --shift-to-now,"
            " or raise KAWAMORI_INGEST__OLDEST for ingest and replay"
        )
    ahead = [row for row in recording.rows if row.at > moment + settings.ingest.ahead]
    recording.rows = recording.rows[: len(recording.rows) - len(ahead)]
    recording.refused += [f"line {row.line}: {row.at:%Y-%m-%d %H:%M} UTC lies ahead" for row in ahead]


def _digest(file: Path) -> bytes:
    return hashlib.sha256(_bytes(file)).digest()


async def replay(options: Options, settings: Settings, progress: Callable[[int, int, float], None]) -> Summary:
    """Register the recorded stations that are not yet there and play the rows. `progress` hears (sent, of, seconds).

    What cannot be read is left out and told by line. Raises ConfigurationError where the file as a whole cannot be
    read: then nothing is registered and nothing is sent.
    """
    recording = await asyncio.to_thread(read, options)
    moment = now()
    async with Database(settings.database(), "replay", size=1) as database:
        registry = await load_registry(database)
        _require_known_units(recording, options, registry.units, registry.quantities)
        _require_in_window(recording, options, settings, moment)
        if not recording.rows:
            words = "\n".join(recording.told())
            raise ConfigurationError(f"{options.file}: no row has a time and a value\n{words}".rstrip())
        by = shift_of(recording.rows, options, moment)
        moved = shifted(recording.rows, by)
        begun_as = await replays.begin(
            database, plans(moved, options), last={station_id(row.station): row.at for row in moved},
            digest=await asyncio.to_thread(_digest, options.file), file=options.file.name, shift=by, who=_who(),
        )  # fmt: skip
    notes = [*recording.notes, *(f"{name}: registered already; its registration stays as it is" for name in begun_as)]
    rows = arrange(moved, options)
    begun = time.monotonic()
    first = rows[0].at
    async with Publisher(settings.mqtt(), f"kawamori-replay-{os.getpid()}") as link:
        await link.wait_connected()
        for sent, row in enumerate(rows):
            if options.speed:
                due = begun + (row.at - first) / timedelta(seconds=1) / options.speed
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
            await _publish(link, device_topic(device_id(row.station), "reading"),
                           payload(Report(row.at, row.value), options.quantity, row.unit, row.mark))  # fmt: skip
            if sent % 500 == 0:
                progress(sent, len(rows), time.monotonic() - begun)
        await link.flush()
    return Summary(
        stations=len({row.station for row in rows}), sent=len(rows), refused=len(recording.refused),
        without_value=len(recording.without_value), seconds=time.monotonic() - begun, told=recording.told(),
        notes=notes,
    )  # fmt: skip


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


async def remove(options: Options, settings: Settings) -> Removed:
    """Take off what was last played from this file: its readings, and the stations that only it needed.

    Raises ConfigurationError when this file was not played, or was taken off already.
    """
    recording = await asyncio.to_thread(read, options)
    async with Database(settings.database(), "replay", size=1) as database:
        played = await replays.last_of(database, await asyncio.to_thread(_digest, options.file))
        if played is None:
            raise ConfigurationError(f"{options.file}: nothing of this file is there to be taken off")
        registry = await load_registry(database)
        _require_known_units(recording, options, registry.units, registry.quantities)
        stored = registry.quantities[options.quantity]
        rows: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
        for row in shifted(recording.rows, played.shift):
            value = convert(as_sent(row.value), registry.units[row.unit], stored)
            rows[station_id(row.station)].append((row.at, value))
        gone = await replays.remove(database, registry, played, rows, who=_who())
    return Removed(
        readings=gone.readings, left=sum(map(len, rows.values())) - gone.readings, stations_gone=gone.stations_gone,
        stations_kept=gone.stations_kept,
    )  # fmt: skip


async def _publish(link: Publisher, topic: str, message: bytes) -> None:
    """Publish with a bounded number of messages under way; waits while the broker is away."""
    while True:
        await link.room(1000)
        try:
            return link.publish(topic, message)
        except BrokerUnavailable:
            await asyncio.sleep(0.2)
