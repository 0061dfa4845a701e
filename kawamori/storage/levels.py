"""Read models of the water levels: the newest reading of each sensor, and the last hours of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kawamori.domain.reading import FLAGS, Flag, Reason, SensorId, failed
from kawamori.storage.database import Database

#: A trustworthy reading older than this says nothing of now.
_REACH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Latest:
    """A water level sensor's newest reading, and the newest trustworthy one where that failed."""

    sensor: SensorId
    observed_at: datetime | None
    value: float | None
    flag: Flag | None
    reasons: Reason
    trend_h: float | None
    #: Through which its readings last came, where that is known.
    gateway: str | None = None
    #: Time and value, where the newest reading failed.
    trusted: tuple[datetime, float] | None = None


async def latest_levels(database: Database, stations: Sequence[str] | None = None) -> tuple[list[Latest], int]:
    """The newest reading of every water level sensor, or of these stations', and the registry's version then."""
    rows = await database.fetch("latest_levels", {"stations": None if stations is None else list(stations)})
    before_failed = {row[0]: row[1] for row in rows if failed(row[3])}
    trusted = {}
    if before_failed:
        before = list(before_failed.values())
        found = await database.fetch(
            "trusted_before",
            {"sensors": list(before_failed), "before": before, "earliest": min(before) - _REACH, "latest": max(before)},
        )
        trusted = {sensor: (at, value) for sensor, at, value in found}
    latest = [
        Latest(sensor, at, value, flag and FLAGS[flag], Reason(reasons or 0), trend, gateway, trusted.get(sensor))
        for sensor, at, value, flag, reasons, trend, gateway, _ in rows
    ]
    return latest, rows[0][-1] if rows else 0


async def recent_levels(database: Database, start: datetime, end: datetime) -> list[tuple[SensorId, datetime, float]]:
    """Ten-minute means of every water level sensor: (sensor, start of the ten minutes, mean), in no order."""
    return [
        (SensorId(s), at, mean) for s, at, mean in await database.fetch("recent_levels", {"start": start, "end": end})
    ]


async def recent_rise(
    database: Database, sensors: Sequence[SensorId], start: datetime, end: datetime
) -> dict[SensorId, list[tuple[datetime, float]]]:
    """Readings of these sensors after `start` that have not failed, thinned to one in three minutes, oldest first."""
    found: dict[SensorId, list[tuple[datetime, float]]] = {}
    for sensor, at, value in await database.fetch(
        "recent_rise", {"sensors": list(sensors), "start": start, "end": end}
    ):
        found.setdefault(SensorId(sensor), []).append((at, value))
    return found
