"""Writing the registry: rivers, stations, sensors, devices, deployments, thresholds. It is read in `loading`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.reading import StationId
from kawamori.domain.registry import Limits
from kawamori.storage.database import Connection, Database, query
from kawamori.storage.loading import load_registry, registry_version, rules_of

__all__ = [
    "CrossSection", "Deployed", "SensorPlan", "StationPlan", "cross_section_of", "devices_of_station", "load_registry",
    "register", "registry_version", "rules_of",
]  # fmt: skip


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
            await _register_one(connection, plan)


async def _register_one(connection: Connection, plan: StationPlan) -> None:
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
