"""What a sheet, a simulation or a replay asks to be registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kawamori.domain.registry import Limits

#: From when an undated statement holds, where nothing was registered before it.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    #: The fields that are meant; what is not among them is left as it is registered. None: those that say anything.
    given: frozenset[str] | None = None

    def gives(self, name: str) -> bool:
        """Whether the field is to be written."""
        if self.given is not None:
            return name in self.given
        value = getattr(self, name)
        return value is not None and value not in ((), {})

    def values(self, *names: str) -> dict[str, Any]:
        """Those of the fields that are to be written."""
        return {name: getattr(self, name) for name in names if self.gives(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPlan(_Plan):
    """A sensor to register, with the device that measures for it."""

    quantity: str
    device_id: str
    #: What the device reports, where that differs (`distance` for a `water_level` sensor).
    reports: str | None = None
    #: Since when the device stands there; None: where it stands already as registered, else the station's date or now.
    valid_from: datetime | None
    #: Exclusive.
    valid_to: datetime | None = None
    scale: float = 1.0
    shift: float = 0.0
    #: As in `domain.registry.Deployment`.
    nothing: Sequence[float] | None = None
    span_min: float | None = None
    span_max: float | None = None
    span_unit: str | None = None
    counter: bool = False
    #: The device's model.
    model: str | None = None
    report_every: timedelta = timedelta(minutes=10)
    report_every_low: timedelta | None = None
    limits: Limits = Limits()
    #: Of the limits those that are meant, as `given`.
    limits_given: frozenset[str] | None = None
    noise_m: float | None = None
    usual_delay: timedelta | None = None
    #: False: in service again. True: since the registration.
    retired: bool | datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPlan(_Plan):
    """A station to register, with everything on it; registering it again updates it."""

    station_id: str
    name_ja: str
    name_en: str
    river_id: str
    river_name_ja: str
    river_name_en: str
    #: Since when thresholds, marks and datum hold; None: those that change from the registration on.
    valid_from: datetime | None
    lon: float | None = None
    lat: float | None = None
    km: float | None = None
    ward_ja: str | None = None
    ward_en: str | None = None
    time_zone: str = "Asia/Tokyo"
    internal: bool = False
    gauge_zero_tp_m: float | None = None
    #: None: there is no such mark from then on.
    marks: Mapping[str, float | None] = field(default_factory=dict)
    #: Level 1-5 to metres above gauge zero: all there are. A level that is not among them ends.
    thresholds: Mapping[int, float] = field(default_factory=dict)
    #: By level `hysteresis_m`, `hold`, `consecutive` and `keep_firing` where they are that level's own.
    terms: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    #: Of every level; None: what the level rule says.
    hysteresis_m: float | None = None
    hold: timedelta | None = None
    sensors: tuple[SensorPlan, ...] = ()
    #: (lon, lat) from the source down; the last station registered with one gives the river its course.
    course: tuple[tuple[float, float], ...] = ()
    #: (metres from the left end, metres above gauge zero), left bank first looking downstream.
    cross_section: tuple[tuple[float, float], ...] = ()
    #: All its sensors at once.
    retired: bool | datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan(_Plan):
    """A model of device: the numbers it sends for "no measurement", and what it can measure."""

    model: str
    nothing: Sequence[float] | None = None
    span_min: float | None = None
    span_max: float | None = None
    span_unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan(_Plan):
    """What is said of a device itself, wherever it stands."""

    device_id: str
    model: str | None = None
    retired: bool | datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan(_Plan):
    """A gateway that is believed, or is no longer."""

    gateway_id: str
    retired: bool | datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that is asked for at once."""

    stations: tuple[StationPlan, ...] = ()
    models: tuple[ModelPlan, ...] = ()
    devices: tuple[DevicePlan, ...] = ()
    gateways: tuple[GatewayPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know of a registration, by the field it is about."""

    #: The station's id, or what else it is about.
    about: str
    field: str
    text: str
    #: Nothing is registered where one of these is.
    is_error: bool = False

    def __str__(self) -> str:
        return f"{self.about}: {self.field}: {self.text}"
