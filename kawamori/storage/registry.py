"""Reading and writing the registry: rivers, stations, sensors, devices, deployments, thresholds."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kawamori.domain.flood import Threshold
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, RiverId, SensorId, StationId
from kawamori.domain.registry import Deployment, Limits, Registry, Sensor, Station
from kawamori.storage.database import Connection, Database, query


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
                crest_m=r[11],
                design_high_water_m=r[12],
                observation_start_m=r[13],
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
                )
            )
        thresholds: dict[StationId, list[Threshold]] = defaultdict(list)
        for r in await rows("all_thresholds"):
            thresholds[StationId(r[0])].append(
                Threshold(
                    station=StationId(r[0]),
                    level=r[1],
                    value_m=r[2],
                    hysteresis_m=r[3],
                    hold=r[4],
                    valid_from=r[5],
                    valid_to=r[6],
                )
            )
        kept = await rows("kept_from")
    return Registry(
        version=version,
        units=units,
        quantities=quantities,
        stations=stations,
        sensors=sensors,
        devices=devices,
        deployments={key: tuple(found) for key, found in deployments.items()},
        thresholds={key: tuple(found) for key, found in thresholds.items()},
        kept_from=kept[0][0] if kept else None,
    )


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
    time_zone: str = "Asia/Tokyo"
    gauge_zero_tp_m: float | None = None
    marks: dict[str, float] = field(default_factory=dict)
    #: Level 1–5 to metres above gauge zero.
    thresholds: dict[int, float] = field(default_factory=dict)
    hysteresis_m: float = 0.05
    hold: timedelta = timedelta(0)
    sensors: tuple[SensorPlan, ...] = ()
    #: (lon, lat) from the source down; the last station registered with one gives the river its course.
    course: tuple[tuple[float, float], ...] = ()


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
        },
    )
    where = {"station_id": plan.station_id, "valid_from": plan.valid_from}
    if plan.gauge_zero_tp_m is not None:
        await connection.execute(query("put_datum"), {**where, "value": plan.gauge_zero_tp_m})
    for kind, value in plan.marks.items():
        await connection.execute(query("put_mark"), {**where, "kind": kind, "value": value})
    for level, value in plan.thresholds.items():
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
        await connection.execute(
            query("put_deployment"),
            {
                "device_id": sensor.device_id,
                "quantity": sensor.reports or sensor.quantity,
                "sensor_id": row[0] if row else None,
                "valid_from": sensor.valid_from,
                "scale": sensor.scale,
                "shift": sensor.shift,
            },
        )
