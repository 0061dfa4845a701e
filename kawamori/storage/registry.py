"""Reading and writing the registry: rivers, stations, sensors, devices, deployments, thresholds."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from kawamori.domain.flood import Threshold
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, RiverId, SensorId, StationId
from kawamori.domain.registry import Deployment, Limits, Registry, Sensor, Station
from kawamori.domain.rules import KINDS, DatedRule, rule_for
from kawamori.domain.rules.level import LevelRule
from kawamori.errors import ConfigurationError
from kawamori.storage.database import Connection, Database, query

#: Waves and the resolution of common gauges; noisier sensors take three times their noise.
LEAST_HYSTERESIS_M = 0.05


async def registry_version(connection: Connection) -> int:
    """The number that rises with every change of the registry."""
    row = await (await connection.execute(query("registry_version"))).fetchone()
    return int(row[0]) if row else 0


async def load_registry(database: Database) -> Registry:
    """Everything registered, read at one instant."""
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        async def rows(name: str) -> list[Any]:
            return await (await connection.execute(query(name))).fetchall()

        version = await registry_version(connection)
        units = {r[0]: Unit(symbol=r[0], dimension=r[1], scale=r[2], shift=r[3]) for r in await rows("all_units")}
        quantities = {r[0]: units[r[1]] for r in await rows("all_quantities")}
        stations = {
            StationId(r[0]): Station(
                id=StationId(r[0]),
                name_ja=r[1],
                name_en=r[2],
                river=RiverId(r[3]),
                river_name_ja=r[4],
                river_name_en=r[5],
                lon=r[6],
                lat=r[7],
                km=r[8],
                time_zone=r[9],
                gauge_zero_tp_m=r[10],
                crest_left_m=r[11],
                crest_right_m=r[12],
                design_high_water_m=r[13],
                observation_start_m=r[14],
                internal=r[15],
                ward_ja=r[16],
                ward_en=r[17],
            )
            for r in await rows("all_stations")
        }
        sensors = {
            SensorId(r[0]): Sensor(
                id=SensorId(r[0]),
                station=StationId(r[1]),
                quantity=r[2],
                unit=quantities[r[2]],
                time_zone=stations[StationId(r[1])].time_zone,
                report_every=r[3],
                report_every_low=r[4],
                limits=Limits(
                    range_min=r[5],
                    range_max=r[6],
                    max_step=r[7],
                    max_rate_h=r[8],
                    spike=r[9],
                    flat_after=r[10],
                    flat_above=r[11],
                ),
                noise_m=r[12],
                usual_delay=r[13],
                retired_at=r[14],
                is_amount=r[15],
            )
            for r in await rows("all_sensors")
        }
        devices = frozenset(DeviceId(r[0]) for r in await rows("all_devices"))
        deployments: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
        for r in await rows("all_deployments"):
            deployments[r[0], r[1]].append(
                Deployment(
                    device=DeviceId(r[0]),
                    quantity=r[1],
                    unit=quantities[r[1]],
                    sensor=sensors[SensorId(r[2])],
                    valid_from=r[3],
                    valid_to=r[4],
                    scale=r[5],
                    shift=r[6],
                    nothing=None if r[7] is None else frozenset(r[7]),
                    span_min=r[8],
                    span_max=r[9],
                    span_unit=None if r[10] is None else units[r[10]],
                    counter=r[11],
                )
            )
        noise = {s.station: s.noise_m for s in sensors.values() if s.quantity == "water_level"}
        rules = [rule for rule in await rules_of(connection) if rule.rule.kind == "level"]
        thresholds: dict[StationId, list[Threshold]] = defaultdict(list)
        for r in await rows("all_thresholds"):
            station = stations[StationId(r[0])]
            thresholds[station.id] += resolved(Open(*r), rules, station, noise.get(station.id))
        kept = await rows("kept_from")
        gateways = frozenset(r[0] for r in await rows("registered_gateways"))
    return Registry(
        version=version,
        units=units,
        quantities=quantities,
        stations=stations,
        sensors=sensors,
        devices=devices,
        gateways=gateways,
        deployments={key: tuple(found) for key, found in deployments.items()},
        thresholds={key: tuple(found) for key, found in thresholds.items()},
        kept_from=kept[0][0] if kept else None,
    )


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


async def rules_of(connection: Connection) -> list[DatedRule]:
    """Every alert rule of every date, the oldest first; raises ConfigurationError for one nobody could have stored."""
    rows = await (await connection.execute(query("all_alert_rules"))).fetchall()
    try:
        return [
            DatedRule(
                id=r[0], rule=msgspec.convert(r[6], KINDS[r[1]], strict=False), station=r[2], river=r[3],
                enabled=r[4], status=r[5], valid_from=r[7], valid_to=r[8],
            )
            for r in rows
        ]  # fmt: skip
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"a stored alert rule is not understood: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPlan:
    """A sensor to register, with the device that measures for it."""

    quantity: str
    device_id: str
    #: What the device reports, where that differs (`distance` for a `water_level` sensor).
    reports: str | None = None
    valid_from: datetime
    scale: float = 1.0
    shift: float = 0.0
    report_every: timedelta = timedelta(minutes=10)
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPlan:
    """A station to register, with everything on it; registering it again updates it."""

    station_id: str
    name_ja: str
    name_en: str
    river_id: str
    river_name_ja: str
    river_name_en: str
    valid_from: datetime
    lon: float | None = None
    lat: float | None = None
    km: float | None = None
    ward_ja: str | None = None
    ward_en: str | None = None
    time_zone: str = "Asia/Tokyo"
    internal: bool = False
    gauge_zero_tp_m: float | None = None
    marks: dict[str, float] = field(default_factory=dict)
    #: Level 1–5 to metres above gauge zero.
    thresholds: dict[int, float] = field(default_factory=dict)
    #: None: what the level rule says.
    hysteresis_m: float | None = None
    hold: timedelta | None = None
    sensors: tuple[SensorPlan, ...] = ()
    #: (lon, lat) from the source down; the last station registered with one gives the river its course.
    course: tuple[tuple[float, float], ...] = ()
    #: (metres from the left end, metres above gauge zero), left bank first looking downstream.
    cross_section: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Deployed:
    """A device where it measures, or measured."""

    device: str
    kind: str
    #: What the device reports, and what its number becomes.
    quantity: str
    sensor_quantity: str
    valid_from: datetime
    valid_to: datetime | None
    #: Of this deployment; what the device said of itself elsewhere is none of it.
    status: Mapping[str, Any] | None
    status_at: datetime | None
    #: When the sensor's newest reading was heard, if it is of this deployment.
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class CrossSection:
    """The river bed across the stream, since when it is known so."""

    valid_from: datetime
    #: (metres from the left end, metres above gauge zero), left bank first looking downstream.
    points: Sequence[tuple[float, float]]


async def cross_section_of(database: Database, station: StationId) -> CrossSection | None:
    """The station's cross-section in force now, if one is registered."""
    rows = await database.fetch("cross_section_of", {"station": station})
    return CrossSection(*rows[0]) if rows else None


async def devices_of_station(database: Database, station: StationId) -> list[Deployed]:
    """What is deployed at a station, and what was; the newest first."""
    return [Deployed(*row) for row in await database.fetch("devices_of_station", {"station": station})]


async def register(database: Database, plans: list[StationPlan]) -> None:
    """Write the plans in one transaction: all of them or none."""
    async with database.transaction() as connection:
        for plan in plans:
            await register_in(connection, plan)


async def register_in(connection: Connection, plan: StationPlan) -> None:
    """Register one station with everything on it, in the caller's transaction."""
    course = json.dumps(plan.course) if plan.course else None
    await connection.execute(
        query("put_river"),
        {"river_id": plan.river_id, "ja": plan.river_name_ja, "en": plan.river_name_en, "course": course},
    )
    await connection.execute(
        query("put_station"),
        {
            "station_id": plan.station_id,
            "ja": plan.name_ja,
            "en": plan.name_en,
            "river_id": plan.river_id,
            "lon": plan.lon,
            "lat": plan.lat,
            "km": plan.km,
            "time_zone": plan.time_zone,
            "internal": plan.internal,
            "ward_ja": plan.ward_ja,
            "ward_en": plan.ward_en,
        },
    )
    where = {"station_id": plan.station_id, "valid_from": plan.valid_from}
    if plan.gauge_zero_tp_m is not None:
        await connection.execute(query("put_datum"), {**where, "value": plan.gauge_zero_tp_m})
    if plan.cross_section:
        await connection.execute(query("put_cross_section"), {**where, "points": json.dumps(plan.cross_section)})
    for kind, value in plan.marks.items():
        await connection.execute(query("put_mark"), {**where, "kind": kind, "value": value})
    for level, value in plan.thresholds.items():
        await connection.execute(query("end_threshold"), {**where, "level": level})
        await connection.execute(
            query("put_threshold"),
            {**where, "level": level, "value": value, "hysteresis": plan.hysteresis_m, "hold": plan.hold},
        )
    for sensor in plan.sensors:
        limits = sensor.limits
        cursor = await connection.execute(
            query("put_sensor"),
            {
                "station_id": plan.station_id,
                "quantity": sensor.quantity,
                "report_every": sensor.report_every,
                "range_min": limits.range_min,
                "range_max": limits.range_max,
                "max_step": limits.max_step,
                "max_rate_h": limits.max_rate_h,
                "spike": limits.spike,
                "flat_after": limits.flat_after,
                "flat_above": limits.flat_above,
            },
        )
        row = await cursor.fetchone()
        await connection.execute(query("put_device"), {"device_id": sensor.device_id})
        deployed = {
            "device_id": sensor.device_id,
            "quantity": sensor.reports or sensor.quantity,
            "valid_from": sensor.valid_from,
        }
        await connection.execute(query("end_deployment"), deployed)
        await connection.execute(
            query("put_deployment"),
            {**deployed, "sensor_id": row[0] if row else None, "scale": sensor.scale, "shift": sensor.shift},
        )
