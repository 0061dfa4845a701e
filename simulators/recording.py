"""Read a recorded flood from a CSV file as people write them: what a row says, or by line why it says nothing. Pure.

A row is read or refused, never bent: a number that could be two numbers, a time that came twice or never, and a unit
or a zone that is not named are refused with their line and the option that settles them.
"""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from kawamori.domain.registration.names import check_name
from kawamori.errors import ConfigurationError
from simulators.cells import NO_MEASUREMENT, Refused, comma_means, number, wall_clock
from simulators.units import known_unit, unit_in_name, unit_of

#: Column names that speak for themselves, most telling first.
STATION = ("station", "code_station", "stationreference", "station_id", "site", "観測所", "観測所名", "地点")
TIME = ("time", "time_utc", "time_jst", "datetime", "timestamp", "date", "日時", "時刻", "観測日時")
VALUE = ("level_m", "value", "level", "stage", "water_level", "水位")
UNIT = ("unit", "units", "unitname", "単位")
#: A column of these that holds more than one word says that the file mixes quantities.
KIND = ("parameter", "quantity", "variable", "項目")
_ZONES = {"time_utc": "UTC", "time_jst": "Asia/Tokyo"}

#: Seconds by which a local clock may be ambiguous or missing at most (Lord Howe: half an hour; Antarctica: two hours).
_WIDEST_CHANGE = timedelta(hours=3)
_MOST_TOLD = 20


class Row(NamedTuple):
    """One measurement of the file."""

    station: str
    at: datetime
    value: float
    unit: str
    #: What stands beside the number: it is estimated, or only a bound.
    mark: str | None = None
    #: The line of the file it stands in.
    line: int = 0


class Columns(NamedTuple):
    """Names of the columns, where the file's own do not speak for themselves."""

    station: str | None = None
    time: str | None = None
    value: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read a file; what is None is taken from the file or asked for."""

    columns: Columns = Columns()
    #: Of the values; None: the file's unit column, else metres.
    unit: str | None = None
    #: Of times without an offset.
    time_zone: ZoneInfo | None = None
    comma: Literal["decimal", "thousands"] | None = None
    #: Which pass is meant where the file holds a local hour that comes twice only once.
    twice: Literal["first", "second"] | None = None
    #: Column and word: rows with another word there are not read, and not refused.
    only: tuple[str, str] | None = None
    limit: int | None = None


@dataclass(slots=True)
class Recording:
    """A file's rows in order of time; what was refused, by line; and lines that say there was no measurement."""

    rows: list[Row] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    without_value: list[tuple[int, str]] = field(default_factory=list)
    #: Things that a person should know and that cost no row.
    notes: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """How many lines gave no row."""
        return len(self.refused) + len(self.without_value)

    def told(self) -> list[str]:
        """What was dropped, by line, at most about twenty lines of it."""
        lines = self.refused[:_MOST_TOLD]
        if len(self.refused) > _MOST_TOLD:
            lines.append(f"… and {len(self.refused) - _MOST_TOLD} more lines refused")
        by_word: dict[str, list[int]] = defaultdict(list)
        for line, word in self.without_value:
            by_word[word].append(line)
        for word, where in sorted(by_word.items(), key=lambda pair: pair[1][0])[:_MOST_TOLD]:
            named = ", ".join(map(str, where[:10])) + (f" and {len(where) - 10} more" if len(where) > 10 else "")
            lines.append(f"no measurement ({word or 'empty'}): line{'s' if len(where) > 1 else ''} {named}")
        return lines


class _Raw(NamedTuple):
    line: int
    station: str
    time: str
    value: str
    unit: str | None


def decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """The text of a file and what a person should know of how it was read; raises ConfigurationError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16"), [f"{name}: read as UTF-16"]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp932"), [f"{name}: not UTF-8; read as Shift_JIS (cp932)"]
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name}: cannot be read: neither UTF-8 nor Shift_JIS ({error})") from None


def read_text(text: str, how: Reading, name: str = "the file") -> Recording:
    """Read the text of a CSV file; raises ConfigurationError where the whole file cannot be understood."""
    recording = Recording()
    raw, zone_column, named = _table(text, how, name, recording)
    unit = how.unit or named or "m"
    has_units = any(row.unit for row in raw)
    zone = how.time_zone or (ZoneInfo(_ZONES[zone_column]) if zone_column in _ZONES else None)
    comma = how.comma or comma_means([r.value for r in raw], [r.line for r in raw], name)
    kept: list[tuple[_Raw, datetime, float, str | None]] = []
    for row in raw:
        word = unicodedata.normalize("NFKC", row.value).strip()
        if word.lower().strip("[]()") in NO_MEASUREMENT:
            recording.without_value.append((row.line, word))
            continue
        try:
            value, mark = number(word, comma)
            row, mark = _with_unit(row, mark, has_units=has_units)
            when = wall_clock(row.time)
            if when.tzinfo is None and zone is None:
                raise ConfigurationError(
                    f"{name}, line {row.line}: the time has no offset; say which zone with --time-zone"
                )
            kept.append((row, when, value, mark))
        except Refused as error:
            recording.refused.append(f"line {row.line}: {error}")
    times = _moments([(r, when) for r, when, _, _ in kept], zone, how.twice)
    seen: dict[tuple[str, datetime], tuple[int, float]] = {}
    for (row, _, value, mark), at in zip(kept, times, strict=True):
        if isinstance(at, str):
            recording.refused.append(f"line {row.line}: {at}")
            continue
        first = seen.setdefault((row.station, at), (row.line, value))
        if first[0] != row.line and _is_a_day(row.time):
            recording.refused.append(f"line {row.line}: the day of line {first[0]} again, without an hour")
            continue
        if first[0] != row.line and first[1] != value:
            recording.refused.append(
                f"line {row.line}: {row.station} has another value for the same moment in line {first[0]}"
            )
            continue
        recording.rows.append(Row(row.station, at, value, row.unit or unit, mark, row.line))
        if how.limit and len(recording.rows) >= how.limit:
            break
    recording.rows.sort(key=lambda r: r.at)
    recording.refused.sort(key=_line_of)
    return recording


def _is_a_day(time: str) -> bool:
    """Whether a cell holds a date alone."""
    return ":" not in time and "T" not in time.upper()


def _with_unit(row: _Raw, mark: str | None, *, has_units: bool) -> tuple[_Raw, str | None]:
    """A unit written beside the number is the row's unit, not a mark; raises Refused where another one is named."""
    unit = None if mark is None else known_unit(mark.rstrip("."))
    if unit is None and row.unit == "" and has_units:
        raise Refused("the unit is empty")
    if unit is None:
        return row, mark
    if row.unit not in (None, "", unit):
        raise Refused(f"the number says {unit}, the column says {row.unit}")
    return row._replace(unit=unit), None


def _line_of(text: str) -> int:
    return int(re.findall(r"\d+", text)[0])


def _table(text: str, how: Reading, name: str, recording: Recording) -> tuple[list[_Raw], str, str | None]:
    """The cells that matter, the time column's name and the unit in the value column's name; raises
    ConfigurationError without the columns.
    """
    delimiter = _delimiter(text, how.columns)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [cell.strip() for cell in next(rows, [])]
        station = _column("station", how.columns.station, STATION, names)
        at = _column("time", how.columns.time, TIME, names)
        value = _column("value", how.columns.value, VALUE, names)
        unit = _unit_column(how, names, name)
        named = unit_in_name(names[value])
        if unit is None and named is not None and how.unit != named and known_unit(how.unit or ""):
            raise ConfigurationError(f"{name}: the column `{names[value]}` says {named}, --unit says {how.unit}")
        only = None if how.only is None else (_column("filter", how.only[0], (), names), how.only[1])
        kind = next((i for i, n in enumerate(names) if n.lower() in KIND), None)
        kinds: set[str] = set()
        found: list[_Raw] = []
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            line = rows.line_num
            if len(cells) != len(names):
                more = ": is there a comma within a number?" if len(cells) > len(names) and delimiter == "," else ""
                recording.refused.append(f"line {line}: {len(cells)} fields where the header has {len(names)}{more}")
                continue
            if only is not None and cells[only[0]].strip() != only[1]:
                continue
            if kind is not None:
                kinds.add(cells[kind].strip())
            try:
                who = _station(cells[station])
            except Refused as error:
                recording.refused.append(f"line {line}: {error}")
                continue
            found.append(_Raw(line, who, cells[at], cells[value], None if unit is None else unit_of(cells[unit])))
    except csv.Error as error:
        raise ConfigurationError(f"{name}, line {rows.line_num}: {error}") from None
    if kind is not None and len(kinds) > 1:
        words = ", ".join(sorted(kinds)[:6])
        raise ConfigurationError(
            f"{name}: the column {names[kind]} holds several quantities ({words}):"
            f" choose with --only {names[kind]}=WORD"
        )
    return found, names[at].lower(), named


def _station(cell: str) -> str:
    """A station's name; raises Refused where it is empty, or holds what nobody sees or what ends a line."""
    name = unicodedata.normalize("NFC", cell.strip())
    if not name:
        raise Refused("the station is empty")
    try:
        return check_name(name)
    except ValueError as error:
        raise Refused(f"the station's name: {error}") from None


def _unit_column(how: Reading, names: Sequence[str], name: str) -> int | None:
    if how.columns.unit is None and not {n.lower() for n in names} & set(UNIT):
        return None
    column = _column("unit", how.columns.unit, UNIT, names)
    if how.unit is not None:
        raise ConfigurationError(f"{name}: there is a column `{names[column]}`; --unit is for files without one")
    return column


def _delimiter(text: str, columns: Columns) -> str:
    """Comma, semicolon or tab: whichever splits the header into the most known names."""
    header = text.split("\n", 1)[0]
    wanted = {n.lower() for n in (*STATION, *TIME, *VALUE, *(c for c in columns if c))}
    scores = {d: len(wanted & {c.strip().strip('"').lower() for c in header.split(d)}) for d in (",", ";", "\t")}
    return max(scores, key=lambda d: scores[d])


def _column(what: str, wanted: str | None, known: tuple[str, ...], names: Sequence[str]) -> int:
    if wanted is not None:
        if wanted in names:
            return _only_one(names, list(names).index(wanted))
    else:
        by_lower = {name.lower(): i for i, name in reversed(list(enumerate(names)))}
        for name in known:
            if name in by_lower:
                return _only_one(names, by_lower[name])
    raise ConfigurationError(
        f"no {what} column{f' {wanted}' if wanted else ''} among {', '.join(names)}; name it with --{what}-column"
    )


def _only_one(names: Sequence[str], place: int) -> int:
    """The place of a column whose name no other has; raises ConfigurationError."""
    if sum(name.lower() == names[place].lower() for name in names) > 1:
        raise ConfigurationError(f"two columns are called {names[place]}: which one is meant?")
    return place


def _moments(
    rows: Sequence[tuple[_Raw, datetime]], zone: ZoneInfo | None, twice: Literal["first", "second"] | None
) -> list[datetime | str]:
    """When each row was measured, in UTC, or why that is not known.

    A local time that comes twice is told by the order of the station's rows where both passes are there: time goes back
    once within the hour that is repeated.
    """
    moments: list[datetime | str] = [""] * len(rows)
    doubtful: dict[str, list[int]] = defaultdict(list)
    for i, (row, when) in enumerate(rows):
        try:
            if when.tzinfo is not None:
                moments[i] = when.astimezone(UTC)
                continue
            assert zone is not None
            early, late = (when.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        except (OverflowError, ValueError):
            moments[i] = "the time is outside what a calendar holds"
            continue
        if early == late:
            moments[i] = early
        elif early < late:
            doubtful[row.station].append(i)
        else:
            moments[i] = f"{when:%H:%M} did not exist on {when:%Y-%m-%d} in {zone.key}: the clocks went forward"
    for places in doubtful.values():
        for group in _apart(places, rows):
            _tell_apart(group, rows, zone, twice, moments)
    return moments


def _apart(places: list[int], rows: Sequence[tuple[_Raw, datetime]]) -> Iterator[list[int]]:
    """The doubtful rows of one station, one list for each change of the clocks."""
    days: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in places:
        when = rows[i][1] - _WIDEST_CHANGE
        days[when.year, when.timetuple().tm_yday].append(i)
    yield from days.values()


def _tell_apart(
    group: list[int], rows: Sequence[tuple[_Raw, datetime]], zone: ZoneInfo | None,
    twice: Literal["first", "second"] | None, moments: list[datetime | str],
) -> None:  # fmt: skip
    """Give each row of a repeated hour its pass, or say that it could be either."""
    local = [rows[i][1] for i in group]
    steps = [(b - a) / timedelta(seconds=1) for a, b in pairwise(local)]
    forward = sum(step > 0 for step in steps) >= sum(step < 0 for step in steps)
    turns = [k for k, step in enumerate(steps, start=1) if (step <= 0 if forward else step >= 0)]
    if len(turns) == 1:
        folds = [int((k >= turns[0]) is forward) for k in range(len(group))]
    elif not turns and twice is not None:
        folds = [int(twice == "second")] * len(group)
    else:
        for i in group:
            when = rows[i][1]
            moments[i] = (
                f"{when:%H:%M} comes twice on {when:%Y-%m-%d} in {zone.key if zone else ''}:"
                " give offsets, or say --repeated-hour first or second"
            )
        return
    for i, fold in zip(group, folds, strict=True):
        moments[i] = rows[i][1].replace(tzinfo=zone, fold=fold).astimezone(UTC)


def station_id(name: str) -> str:
    """The id of a recorded station: its name where that is one, else what is left of it and a digest of the name."""
    if re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", name):
        return name
    digest = blake2b(unicodedata.normalize("NFC", name).encode(), digest_size=5).hexdigest()
    kept = re.sub(r"[^A-Za-z0-9_.-]+", "-", unicodedata.normalize("NFKC", name)).strip("-.")[:50]
    return f"{kept or 'station'}-{digest}"


def device_id(name: str) -> str:
    """The id of the device that the replay plays for a station."""
    id_ = f"replay-{station_id(name)}"
    return id_ if len(id_) <= 64 else f"{id_[:53]}-{blake2b(id_.encode(), digest_size=5).hexdigest()}"


def usual_step(times: Sequence[datetime]) -> timedelta | None:
    """How often a station reports: the middle of the steps between its rows, oldest first; None for under three."""
    steps = sorted(b - a for a, b in pairwise(times) if b > a)
    return steps[len(steps) // 2] if len(steps) >= 2 else None
