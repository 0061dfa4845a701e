"""Registry rows of one station, for display. The whole registry is loaded by `loading`, written by `registration`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.reading import StationId
from kawamori.domain.registration.plans import SensorPlan, StationPlan
from kawamori.storage.database import Database
from kawamori.storage.loading import load_registry, registry_version, rules_of
from kawamori.storage.registration import register

__all__ = [
    "CrossSection", "Datum", "Deployed", "SensorPlan", "StationPlan", "cross_section_of", "datums_of",
    "devices_of_station", "load_registry",
    "register", "registry_version", "rules_of", "zero_at",
]  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Datum:
    """A gauge's zero in metres T.P., since when it lies there."""

    valid_from: datetime
    gauge_zero_tp_m: float


def zero_at(datums: Sequence[Datum], at: datetime) -> float | None:
    """The gauge zero of that time, in metres T.P.; None before the first that is registered. Oldest first."""
    return next((d.gauge_zero_tp_m for d in reversed(datums) if d.valid_from <= at), None)


async def cross_section_of(database: Database, station: StationId) -> CrossSection | None:
    """The station's cross-section in force now, if one is registered."""
    rows = await database.fetch("cross_section_of", {"station": station})
    return CrossSection(*rows[0]) if rows else None


async def datums_of(database: Database, station: StationId) -> list[Datum]:
    """Every gauge zero of a station there was, is and will be, oldest first."""
    return [Datum(*row) for row in await database.fetch("datums_of", {"station": station})]


async def devices_of_station(database: Database, station: StationId) -> list[Deployed]:
    """What is deployed at a station, and what was; the newest first."""
    return [Deployed(*row) for row in await database.fetch("devices_of_station", {"station": station})]
