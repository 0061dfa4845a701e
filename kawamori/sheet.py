"""The registration sheet: stations with all that is on them, as a JSON list that people write."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kawamori.domain.registry import Limits
from kawamori.errors import ConfigurationError
from kawamori.storage.registry import SensorPlan, StationPlan

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Metres = Annotated[float, Field(ge=-10_000, le=10_000, allow_inf_nan=False)]
Mark = Literal["crest_left", "crest_right", "design_high_water", "observation_start", "observation_stop"]


def _across(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """A river bed goes from one bank to the other."""
    if points and len(points) < 3:
        raise ValueError("at least three points, each [metres from the left end, metres above gauge zero]")
    if any(after[0] < before[0] for before, after in pairwise(points)):
        raise ValueError("distances from the left end must not go back")
    return points


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsEntry(_Entry):
    """Quality limits of a sensor, where they differ from its quantity's."""

    range_min: float | None = None
    range_max: float | None = None
    max_step: float | None = None
    max_rate_h: float | None = None
    spike: float | None = None
    flat_after: timedelta | None = None
    flat_above: float | None = None


class SensorEntry(_Entry):
    """A sensor and the device that measures for it."""

    quantity: Name
    device_id: Id
    reports: Name | None = None
    valid_from: AwareDatetime | None = None
    scale: float = 1.0
    shift: float = 0.0
    report_every: timedelta = timedelta(minutes=10)
    limits: LimitsEntry = LimitsEntry()


class StationEntry(_Entry):
    """A station."""

    station_id: Id
    name_ja: Name
    name_en: Name
    river_id: Id
    river_name_ja: Name
    river_name_en: Name
    #: Since when all this holds.
    valid_from: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    km: float | None = None
    ward_ja: Name | None = None
    ward_en: Name | None = None
    time_zone: str = "Asia/Tokyo"
    gauge_zero_tp_m: float | None = None
    marks: dict[Mark, float] = {}
    thresholds: dict[Annotated[int, Field(ge=1, le=5)], float] = {}
    hysteresis_m: Annotated[float, Field(ge=0)] | None = None
    hold: timedelta = timedelta(0)
    sensors: tuple[SensorEntry, ...] = ()
    course: tuple[tuple[float, float], ...] = ()
    cross_section: Annotated[tuple[tuple[Metres, Metres], ...], AfterValidator(_across)] = ()

    def plan(self) -> StationPlan:
        """The same, as storage registers it."""
        return StationPlan(
            **{name: getattr(self, name) for name in type(self).model_fields if name not in ("sensors", "marks")},
            marks={str(kind): value for kind, value in self.marks.items()},
            sensors=tuple(
                SensorPlan(
                    quantity=s.quantity, device_id=s.device_id, reports=s.reports,
                    valid_from=s.valid_from or self.valid_from, scale=s.scale, shift=s.shift,
                    report_every=s.report_every, limits=Limits(**s.limits.model_dump()),
                )
                for s in self.sensors
            ),
        )  # fmt: skip


def read_sheet(file: Path) -> list[StationPlan]:
    """The stations in a sheet; raises ConfigurationError with one line a wrong field."""
    try:
        entries = TypeAdapter(list[StationEntry]).validate_python(json.loads(file.read_text("utf-8-sig")))
    except ValueError as error:
        if isinstance(error, ValidationError):
            lines = [f"{file}: station {'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()]
            raise ConfigurationError("\n".join(lines)) from None
        raise ConfigurationError(f"{file}: not a JSON file: {error}") from None
    return [entry.plan() for entry in entries]
