"""Reading the registry: everything registered, as of one version. A row that cannot be used costs itself alone.

Such a row is left out, or what is wrong in it counts as not set, and it is named in `Registry.problems`. Where readings
cannot be stored without it, `Registry.unusable` says why: they go to quarantine, from where they can be replayed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple, TypeVar

import msgspec
import psycopg

from kawamori.domain.flood import Threshold
from kawamori.domain.people import check_time_zone
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, RiverId, SensorId, StationId
from kawamori.domain.registry import Deployment, Limits, Problem, Registry, Sensor, Station
from kawamori.domain.rules import KINDS, DatedRule, rule_for
from kawamori.domain.rules.level import LevelRule
from kawamori.storage.database import Connection, Database, query

T = TypeVar("T")

#: Waves and the resolution of common gauges; noisier sensors take three times their noise.
LEAST_HYSTERESIS_M = 0.05
#: Time zone of a station whose own is not a known one: only for display, nothing is stored by it.
_SHOWN_IN = "Asia/Tokyo"


class _NotUsable(Exception):
    """Why a row cannot be used; names the field."""


async def registry_version(connection: Connection) -> int:
    """The number that rises with every change of the registry."""
    row = await (await connection.execute(query("registry_version"))).fetchone()
    return int(row[0]) if row else 0


async def registry_state(connection: Connection) -> tuple[int, datetime]:
    """The registry's version, and the time by the database's clock."""
    ((version, at),) = await (await connection.execute(query("registry_state"))).fetchall()
    return int(version), at


async def load_registry(database: Database, *, with_rules: bool = True) -> Registry:
    """Everything registered, read at one instant.

    Without rules, what a threshold leaves open is the level rule's default: enough to store readings.
    """
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        load = _Loading(connection)
        version = await registry_version(connection)
        units = await load.all("all_units", "unit", _unit)
        quantities = {r[0]: units[r[1]] for r in await load.rows("all_quantities", "quantity") if r[1] in units}
        stations = await load.all("all_stations", "station", load.station)
        sensors = await load.all("all_sensors", "sensor", lambda r: load.sensor(r, stations, quantities))
        deployments, unusable = await load.deployments(units, quantities, sensors)
        rules: list[DatedRule] = []
        if with_rules:
            found, wrong = await rules_and_problems(connection)
            rules = [rule for rule in found if rule.rule.kind == "level"]
            load.problems += wrong
        kept = await load.rows("kept_from", "retention")
        return Registry(
            version=version,
            units={symbol: unit for symbol, unit in units.items() if not _odd(unit)},
            quantities=quantities,
            stations=stations,
            sensors=sensors,
            devices=frozenset(DeviceId(r[0]) for r in await load.rows("all_devices", "device")),
            gateways=frozenset(r[0] for r in await load.rows("registered_gateways", "gateway")),
            deployments=deployments,
            thresholds=await load.thresholds(stations, sensors, rules),
            problems=tuple(sorted(set(load.problems))),
            unusable=unusable,
            kept_from=kept[0][0] if kept else None,
        )


def _unit(r: Sequence[Any]) -> tuple[str, Unit]:
    return r[0], Unit(symbol=r[0], dimension=r[1], scale=r[2], shift=r[3])


class _Loading:
    """One reading of the registry, and what was wrong in it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.problems: list[Problem] = []
        #: Why nothing can be stored for a station's sensors, and for a sensor.
        self._zoneless: dict[StationId, str] = {}
        self._unfit: dict[SensorId, str] = {}

    async def rows(self, name: str, what: str) -> list[Any]:
        """All rows of a query; one that the driver cannot turn into values of ours is left out."""
        cursor = await self._connection.execute(query(name))
        try:
            return await cursor.fetchall()
        except (psycopg.DataError, ValueError, OverflowError):
            pass
        found = []
        for place in range(cursor.rowcount):
            await cursor.scroll(place, mode="absolute")
            try:
                found.append(await cursor.fetchone())
            except (psycopg.DataError, ValueError, OverflowError) as error:
                key = cursor.pgresult.get_value(place, 0) if cursor.pgresult else None
                self._left_out(what, (key or b"").decode("utf-8", "replace"), str(error))
        return found

    async def all(self, name: str, what: str, build: Callable[[Any], tuple[Any, T]]) -> dict[Any, T]:
        """What is built of each row, by its key."""
        found = {}
        for row in await self.rows(name, what):
            try:
                key, one = build(row)
            except (_NotUsable, KeyError, TypeError, ValueError, OverflowError) as error:
                self._left_out(what, str(row[0]), str(error))
            else:
                found[key] = one
        return found

    def _left_out(self, what: str, key: str, why: str) -> None:
        self.problems.append(Problem(f"{what} {key}"[:200], f"left out: {why}"[:200]))

    def _finite(self, subject: str, thing: T) -> T:
        """The same without numbers that are none; each is a problem."""
        odd = _odd(thing)
        self.problems += [Problem(subject, f"{name}: not a finite number, taken as not set") for name in odd]
        return replace(thing, **dict.fromkeys(odd)) if odd else thing  # type: ignore[type-var]

    def station(self, r: Sequence[Any]) -> tuple[StationId, Station]:
        """A row of all_stations."""
        id_, zone = StationId(r[0]), r[9]
        try:
            check_time_zone(zone)
        except ValueError as error:
            self.problems.append(Problem(f"station {id_}", f"{error}; its readings cannot be stored"[:200]))
            zone = _SHOWN_IN
        station = Station(
            id=id_, name_ja=r[1], name_en=r[2], river=RiverId(r[3]), river_name_ja=r[4], river_name_en=r[5],
            lon=r[6], lat=r[7], km=r[8], time_zone=zone, gauge_zero_tp_m=r[10], crest_left_m=r[11],
            crest_right_m=r[12], design_high_water_m=r[13], observation_start_m=r[14], internal=r[15],
            ward_ja=r[16], ward_en=r[17],
        )  # fmt: skip
        if zone != r[9]:
            self._zoneless[id_] = f"station: time_zone {r[9]!r} is unknown"
        return id_, self._finite(f"station {id_}", station)

    def sensor(
        self, r: Sequence[Any], stations: dict[StationId, Station], quantities: dict[str, Unit]
    ) -> tuple[SensorId, Sensor]:
        """A row of all_sensors; one with odd limits is kept, and nothing is stored for it until they are mended."""
        id_, station = SensorId(r[0]), StationId(r[1])
        subject = f"sensor {station} {r[2]}"
        limits = Limits(
            range_min=r[5], range_max=r[6], max_step=r[7], max_rate_h=r[8], spike=r[9], flat_after=r[10],
            flat_above=r[11],
        )  # fmt: skip
        if odd := _odd(limits):
            self._unfit[id_] = f"{odd[0]}: not a finite number"
        if (why := self._zoneless.get(station)) is not None:
            self._unfit[id_] = why
        sensor = Sensor(
            id=id_, station=station, quantity=r[2], unit=quantities[r[2]], time_zone=stations[station].time_zone,
            report_every=r[3], report_every_low=r[4], limits=self._finite(subject, limits), noise_m=r[12],
            usual_delay=r[13], retired_at=r[14], is_amount=r[15],
        )  # fmt: skip
        return id_, self._finite(subject, sensor)

    async def deployments(
        self, units: dict[str, Unit], quantities: dict[str, Unit], sensors: dict[SensorId, Sensor]
    ) -> tuple[dict[tuple[str, str], tuple[Deployment, ...]], dict[tuple[str, str], str]]:
        """Those that readings can be stored by, oldest first, and why it is not possible by others."""
        found: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
        unusable: dict[tuple[str, str], str] = {}
        for r in await self.rows("all_deployments", "deployment of"):
            try:
                deployment = self._deployment(r, units, quantities, sensors)
            except (_NotUsable, KeyError, TypeError, ValueError, OverflowError) as error:
                why = str(error) if isinstance(error, _NotUsable) else f"{type(error).__name__} {error}"
                unusable[r[0], r[1]] = why[:200]
                self.problems.append(Problem(f"device {r[0]} {r[1]}", f"its readings cannot be stored: {why}"[:200]))
            else:
                found[r[0], r[1]].append(deployment)
        return {key: tuple(line) for key, line in found.items()}, unusable

    def _deployment(
        self, r: Sequence[Any], units: dict[str, Unit], quantities: dict[str, Unit], sensors: dict[SensorId, Sensor]
    ) -> Deployment:
        """A row of all_deployments; raises where readings cannot be stored by it."""
        if (why := self._unfit.get(SensorId(r[2]))) is not None:
            raise _NotUsable(why)
        deployment = Deployment(
            device=DeviceId(r[0]), quantity=r[1], unit=quantities[r[1]], sensor=sensors[SensorId(r[2])],
            valid_from=r[3], valid_to=r[4], scale=r[5], shift=r[6], nothing=None if r[7] is None else frozenset(r[7]),
            span_min=r[8], span_max=r[9], span_unit=None if r[10] is None else units[r[10]], counter=r[11],
        )  # fmt: skip
        if odd := _odd(deployment) + _odd(deployment.unit) + _odd(deployment.sensor.unit):
            raise _NotUsable(f"{odd[0]}: not a finite number")
        return deployment

    async def thresholds(
        self, stations: dict[StationId, Station], sensors: dict[SensorId, Sensor], rules: Sequence[DatedRule]
    ) -> dict[StationId, tuple[Threshold, ...]]:
        """Of each station, with what they leave open."""
        noise = {s.station: s.noise_m for s in sensors.values() if s.quantity == "water_level"}
        found: dict[StationId, list[Threshold]] = defaultdict(list)
        for r in await self.rows("all_thresholds", "threshold of station"):
            open_ = Open(*r)
            subject = f"station {open_.station} threshold {open_.level}"
            if not isfinite(open_.value_m):  # never reached, whatever the water does
                self.problems.append(Problem(subject, "value_m: not a finite number, nobody is told by it"))
                continue
            if (station := stations.get(StationId(open_.station))) is None:
                continue
            if open_.hysteresis_m is not None and not isfinite(open_.hysteresis_m):
                self.problems.append(Problem(subject, "hysteresis_m: not a finite number, taken as not set"))
                open_ = open_._replace(hysteresis_m=None)
            found[station.id] += resolved(open_, rules, station, noise.get(station.id))
        return {key: tuple(line) for key, line in found.items()}


def _odd(thing: Any) -> list[str]:
    """The fields of a dataclass that hold a number which is none."""
    return [f.name for f in fields(thing) if isinstance(value := getattr(thing, f.name), float) and not isfinite(value)]


class Open(NamedTuple):
    """A threshold as it is stored: what is None is the level rule's."""

    station: str
    level: int
    value_m: float
    hysteresis_m: float | None
    hold: timedelta | None
    consecutive: int | None
    keep_firing: timedelta | None
    valid_from: datetime
    valid_to: datetime | None


def resolved(found: Open, rules: Sequence[DatedRule], station: Station, noise_m: float | None) -> list[Threshold]:
    """A threshold with what it left open, cut where a rule that fills it in changes. Pure."""
    end = found.valid_to
    cuts = {found.valid_from} | {
        at for rule in rules for at in (rule.valid_from, rule.valid_to)
        if at is not None and found.valid_from < at and (end is None or at < end)
    }  # fmt: skip
    starts = sorted(cuts)
    parts: list[Threshold] = []
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        dated = rule_for(rules, "level", station, start)
        rule = dated.rule if dated is not None and isinstance(dated.rule, LevelRule) else LevelRule()
        hysteresis = found.hysteresis_m if found.hysteresis_m is not None else rule.hysteresis_m
        part = Threshold(
            station=station.id, level=found.level, value_m=found.value_m,
            hysteresis_m=max(LEAST_HYSTERESIS_M, 3 * (noise_m or 0)) if hysteresis is None else hysteresis,
            hold=rule.hold if found.hold is None else found.hold,
            consecutive=found.consecutive or rule.consecutive,
            keep_firing=rule.keep_firing if found.keep_firing is None else found.keep_firing,
            valid_from=start, valid_to=stop,
        )  # fmt: skip
        if parts and replace(parts[-1], valid_from=start, valid_to=stop) == part:
            parts[-1] = replace(parts[-1], valid_to=stop)
        else:
            parts.append(part)
    return parts


async def rules_and_problems(connection: Connection) -> tuple[list[DatedRule], list[Problem]]:
    """Every alert rule of every date that this version understands, the oldest first, and why not the others."""
    load = _Loading(connection)
    rules = []
    for r in await load.rows("all_alert_rules", "rule"):
        try:
            rules.append(
                DatedRule(
                    id=r[0], rule=msgspec.convert(r[6], KINDS[r[1]], strict=False), station=r[2], river=r[3],
                    enabled=r[4], status=r[5], valid_from=r[7], valid_to=r[8],
                )
            )  # fmt: skip
        except KeyError:
            load.problems.append(Problem(f"rule {r[0]}", f"kind: {r[1]!r} is not known to this version"[:200]))
        except (TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
            load.problems.append(Problem(f"rule {r[0]}", f"parameters: {error}"[:200]))
    return rules, load.problems


async def rules_of(connection: Connection) -> list[DatedRule]:
    """Every alert rule of every date that this version understands, the oldest first."""
    rules, _ = await rules_and_problems(connection)
    return rules
