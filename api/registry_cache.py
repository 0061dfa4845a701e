"""The registry and the flood levels' names, kept in memory and read again when they change."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from api.single_flight import SingleFlight
from kawamori.domain.flood import Threshold
from kawamori.domain.reading import RiverId, StationId
from kawamori.domain.registry import Registry, Sensor, Station
from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import Clock
from kawamori.storage.database import Database
from kawamori.storage.registry import load_registry, registry_version

#: Dated facts come into force without any change of the registry: read it again this often.
REREAD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A flood level's name and colours in force."""

    level: int
    name: dict[str, str]
    colour: str
    text_colour: str
    valid_from: datetime | None = None


#: What a level is called and coloured where its row in the table is missing or cannot be used.
USUAL = {
    level: Level(level=level, name={"ja": ja, "en": en}, colour=colour, text_colour=text)
    for level, ja, en, colour, text in (
        (0, "平常", "normal", "#C8C8CB", "#000000"),
        (1, "水防団待機水位", "standby", "#FFFFFF", "#000000"),
        (2, "氾濫注意水位", "caution", "#F2E700", "#000000"),
        (3, "避難判断水位", "evacuation decision", "#FF2800", "#000000"),
        (4, "氾濫危険水位", "flood danger", "#AA00AA", "#FFFFFF"),
        (5, "氾濫開始水位", "overflow", "#0C000C", "#FFFFFF"),
    )
}
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}\Z")


def levels_in_force(rows: Iterable[tuple[int, str, str, str, str, datetime]]) -> dict[int, Level]:
    """The flood levels by number from rows (level, ja, en, colour, text colour, valid from), every one of 0 to 5.

    A name that is empty or a colour that is none is replaced by the usual one, with a warning: a slip in the table
    must not take the levels off the screens. Pure but for the log.
    """
    found = dict(USUAL)
    for level, ja, en, colour, text, valid_from in rows:
        if level not in USUAL:
            continue
        usual = USUAL[level]
        sound = bool(_COLOUR.match(colour) and _COLOUR.match(text))
        if not (sound and ja.strip() and en.strip()):
            log().warning("a flood level's name or colours cannot be used: the usual ones are shown", level=level)
        found[level] = Level(
            level=level,
            name={"ja": ja.strip() or usual.name["ja"], "en": en.strip() or usual.name["en"]},
            colour=colour if sound else usual.colour,
            text_colour=text if sound else usual.text_colour,
            valid_from=valid_from,
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class River:
    """A river and its course, (lon, lat) from the source down."""

    id: str
    name: dict[str, str]
    course: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Who is who, as of one version of the registry and one moment."""

    registry: Registry
    levels: Mapping[int, Level]
    #: Names and colours that do not hold yet, the next ones first.
    levels_to_come: tuple[Level, ...] = ()
    rivers: tuple[River, ...]
    #: By station and quantity.
    sensors: Mapping[tuple[StationId, str], Sensor] = field(default_factory=dict)
    sensors_at: Mapping[StationId, Sequence[Sensor]] = field(default_factory=dict)
    #: The stations of each river whose place along it is known, from the source down.
    along: Mapping[RiverId, Sequence[StationId]] = field(default_factory=dict)
    #: In force, lowest level first.
    thresholds: Mapping[StationId, tuple[Threshold, ...]] = field(default_factory=dict)
    #: What every answer about a station begins with, made once because a thousand are sent at a time.
    headings: Mapping[StationId, dict[str, Any]] = field(default_factory=dict)


class RegistryCache:
    """One Directory for all requests; a reader that saw a newer version asks for it."""

    def __init__(self, database: Database, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._steady = steady
        self._directory: Directory | None = None
        #: By the steady clock: one that is set back must not keep what is dated from coming into force.
        self._read_at: float | None = None
        self._forgotten = False
        self._turns = 0
        #: Why the newest registry is not the one in use, if so.
        self.trouble: str | None = None
        self._once: SingleFlight[Directory] = SingleFlight()

    async def get(self, version: int = 0) -> Directory:
        """The directory, at least of that version; raises StorageUnavailable."""
        if (current := self._current(version)) is not None:
            return current
        found = await self._once.do(self._renew)
        # what was being read already may have been of the version before
        return found if found.registry.version >= version else await self._once.do(self._renew)

    async def having(self, station_id: str, quantity: str | None = None) -> Directory:
        """The directory, read again before a station or its sensor is called unknown: it may have been registered a
        moment ago; raises StorageUnavailable.
        """
        directory = await self.get()
        station = StationId(station_id)
        if quantity is None:
            return directory if station in directory.registry.stations else await self.newest()
        return directory if (station, quantity) in directory.sensors else await self.newest()

    async def newest(self) -> Directory:
        """The directory as it is now, for whoever changes something by it; raises StorageUnavailable."""
        async with self._database.transaction() as connection:
            version = await registry_version(connection)
        return await self.get(version)

    async def _renew(self) -> Directory:
        while True:
            self._forgotten = False
            try:
                found = await self._read()
            except StorageUnavailable:
                raise
            except Exception as error:
                if self._directory is None:
                    raise
                return self._keep(self._directory, error)
            self.trouble = None
            if not self._forgotten:  # else what was committed meanwhile may not be in it
                break
        before, self._directory, self._read_at = self._directory, found, self._steady()
        if before is not None and before.registry.version == found.registry.version and before != found:
            self._turns += 1
        return found

    def _keep(self, standing: Directory, error: Exception) -> Directory:
        """Go on with the last good one, and say so: a registry that cannot be loaded hides no level."""
        if self.trouble is None:
            log().error("the registry cannot be loaded: the last good one is shown; report this with the log",
                        in_use=standing.registry.version, exc_info=error)  # fmt: skip
        self.trouble = f"cannot be loaded ({type(error).__name__}); version {standing.registry.version} stays in use"
        self._read_at = self._steady()
        return standing

    async def turns(self) -> int:
        """How often something dated has come into force, or out of it, at one version of the registry; raises
        StorageUnavailable.
        """
        if self._read_at is not None:
            await self.get()
        return self._turns

    def forget(self) -> None:
        """Read again at the next request."""
        self._read_at = None
        self._forgotten = True

    def _current(self, version: int) -> Directory | None:
        if self._directory is None or self._read_at is None or self._directory.registry.version < version:
            return None
        return self._directory if self._steady() - self._read_at < REREAD.total_seconds() else None

    async def _read(self) -> Directory:
        everything = await load_registry(self._database)
        registry = visible(everything)
        shown = {station.river for station in registry.stations.values()}
        internal = {station.river for station in everything.stations.values() if station.internal} - shown
        sensors_at: dict[StationId, list[Sensor]] = defaultdict(list)
        for sensor in registry.sensors.values():
            sensors_at[sensor.station].append(sensor)
        along: dict[RiverId, list[StationId]] = defaultdict(list)
        for station in registry.stations.values():  # the registry has them from the source down
            if station.km is not None:
                along[station.river].append(station.id)
        levels = await self._database.fetch("all_flood_levels")
        to_come = await self._database.fetch("flood_levels_to_come")
        rivers = await self._database.fetch("all_rivers")
        at = self._clock()
        return Directory(
            registry=registry,
            levels=levels_in_force(levels),
            levels_to_come=tuple(_flood_level(row) for row in to_come),
            rivers=tuple(
                River(id=i, name={"ja": ja, "en": en}, course=course)
                for i, ja, en, course in rivers
                if i not in internal
            ),
            sensors={(sensor.station, sensor.quantity): sensor for sensor in registry.sensors.values()},
            sensors_at=sensors_at,
            along=along,
            thresholds={id_: registry.thresholds_at(id_, at) for id_ in registry.stations},
            headings={station.id: _heading(station) for station in registry.stations.values()},
        )


def visible(registry: Registry) -> Registry:
    """The registry without what is the self-test's own: it is on no screen. Pure."""
    stations = {id_: station for id_, station in registry.stations.items() if not station.internal}
    sensors = {id_: sensor for id_, sensor in registry.sensors.items() if sensor.station in stations}
    return replace(registry, stations=stations, sensors=sensors)


def _flood_level(row: Sequence[Any]) -> Level:
    level, ja, en, colour, text, valid_from = row
    return Level(level=level, name={"ja": ja, "en": en}, colour=colour, text_colour=text, valid_from=valid_from)


def ward(station: Station) -> dict[str, str] | None:
    """The ward's name in both languages, where one is registered."""
    name = station.ward_ja or station.ward_en
    return {"ja": station.ward_ja or name, "en": station.ward_en or name} if name else None


def _heading(station: Station) -> dict[str, Any]:
    return {
        "station_id": station.id,
        "name": {"ja": station.name_ja, "en": station.name_en},
        "river": station.river,
        "river_name": {"ja": station.river_name_ja, "en": station.river_name_en},
        "ward": ward(station),
        "lon": station.lon,
        "lat": station.lat,
    }
