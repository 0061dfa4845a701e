"""The registration sheet: stations with all that is on them, as JSON that people write."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kawamori.domain.registration.doubts import steps
from kawamori.domain.registration.heights import HIGHEST_M, check_height
from kawamori.domain.registration.names import check_name
from kawamori.domain.registration.plans import (
    DevicePlan,
    GatewayPlan,
    ModelPlan,
    Remark,
    SensorPlan,
    Sheet,
    StationPlan,
)
from kawamori.domain.registry import Limits
from kawamori.errors import ConfigurationError


def _number(value: object) -> object:
    """JSON's numbers only: neither text nor true is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic's way
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _zone(name: str) -> str:
    if name != "UTC" and ("/" not in name or name not in available_timezones()):
        raise ValueError("no time zone of this name: it must be one like Asia/Tokyo, or UTC")
    return name


def _latitude(value: float) -> float:
    if not -90 <= value <= 90:
        raise ValueError(f"{value:g} must be -90 to 90: are lon and lat swapped?")
    return value


def _duration(value: object) -> object:
    """ISO 8601 only: a bare number does not say of what."""
    if not isinstance(value, str) or not value.startswith("P"):
        raise ValueError("must be an ISO 8601 duration such as PT10M or P1D")
    return value


def _factor(value: float) -> float:
    if value == 0:
        raise ValueError("must not be 0: every reading would be the same")
    return value


def _none_twice(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(values)) < len(values):
        raise ValueError("holds a number twice")
    return values


def _across(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """A river bed goes from one bank to the other."""
    if points and len(points) < 3:
        raise ValueError("at least three points, each [metres from the left end, metres above gauge zero]")
    if any(after[0] < before[0] for before, after in pairwise(points)):
        raise ValueError("distances from the left end must not go back")
    return points


def _level(value: object) -> object:
    """A level is written one way: `2` and `02` would be two heights of one level, and one of them lost."""
    if isinstance(value, str) and (not value.isascii() or not value.isdigit() or value.startswith("0")):
        raise ValueError("a level is 1 to 5, written as one digit")
    return value


def _by_value(value: object) -> object:
    """A threshold may be its height alone."""
    return value if isinstance(value, Mapping) else {"value_m": value}


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_. :/+-]{1,64}$")]
GatewayName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[str, AfterValidator(check_name)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
Number = Annotated[float, BeforeValidator(_number)]
Height = Annotated[Number, AfterValidator(check_height)]
Metres = Annotated[Number, Field(ge=-10_000, le=10_000)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Interval = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(seconds=1), le=timedelta(days=366))]
Mark = Literal["crest_left", "crest_right", "design_high_water", "observation_start", "observation_stop"]
Retired = bool | AwareDatetime
Numbers = Annotated[tuple[Number, ...], Field(max_length=50), AfterValidator(_none_twice)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def given(self) -> frozenset[str]:
        """The fields that are in the sheet; the others stay as they are registered."""
        return frozenset(self.model_fields_set)


class LimitsEntry(_Entry):
    """Quality limits of a sensor, where they differ from what its registration says of it."""

    range_min: Number | None = None
    range_max: Number | None = None
    max_step: Annotated[Number, Field(gt=0)] | None = None
    max_rate_h: Annotated[Number, Field(gt=0)] | None = None
    spike: Annotated[Number, Field(gt=0)] | None = None
    flat_after: Interval | None = None
    flat_above: Number | None = None


class SpanEntry(_Entry):
    """What a device can report at all, both ends included."""

    min: Number | None = None
    max: Number | None = None
    unit: Annotated[str, Field(min_length=1, max_length=16)]

    @property
    def fields(self) -> dict[str, Any]:
        """As plans have it."""
        return {"span_min": self.min, "span_max": self.max, "span_unit": self.unit}


def _span(value: SpanEntry) -> SpanEntry:
    if value.min is not None and value.max is not None and value.min >= value.max:
        raise ValueError("min must be less than max")
    return value


Span = Annotated[SpanEntry, AfterValidator(_span)]


class SensorEntry(_Entry):
    """A sensor and the device that measures for it."""

    quantity: Word
    device_id: Id
    reports: Word | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    scale: Annotated[Number, AfterValidator(_factor)] = 1.0
    shift: Number = 0.0
    model: ModelName | None = None
    nothing: Numbers | None = None
    span: Span | None = None
    counter: bool = False
    report_every: Interval = timedelta(minutes=10)
    report_every_low: Interval | None = None
    noise_m: Annotated[Number, Field(ge=0, le=10)] | None = None
    usual_delay: Annotated[Duration, Field(le=timedelta(days=31))] = timedelta(0)
    limits: LimitsEntry = LimitsEntry()
    retired: Retired | None = None

    def plan(self) -> SensorPlan:
        """The same, as it is registered."""
        span = {} if self.span is None else self.span.fields
        spans = frozenset({"span_min", "span_max", "span_unit"} if "span" in self.given else ())
        names = ("quantity", "device_id", "reports", "valid_from", "valid_to", "scale", "shift", "model", "nothing",
                 "counter", "report_every", "report_every_low", "noise_m", "usual_delay", "retired")  # fmt: skip
        return SensorPlan(
            **{name: getattr(self, name) for name in names}, **span, given=self.given | spans,
            limits=Limits(**self.limits.model_dump()), limits_given=self.limits.given,
        )  # fmt: skip


class ThresholdEntry(_Entry):
    """A level's height, and how its crossing is judged where that is its own."""

    value_m: Height
    hysteresis_m: Annotated[Number, Field(ge=0, le=100)] | None = None
    hold: Annotated[Duration, Field(le=timedelta(days=1))] | None = None
    consecutive: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    keep_firing: Annotated[Duration, Field(le=timedelta(days=1))] | None = None


class StationEntry(_Entry):
    """A station."""

    station_id: Id
    name_ja: Name
    name_en: Name
    river_id: Id
    river_name_ja: Name
    river_name_en: Name
    #: Since when thresholds, marks, datum and cross-section hold.
    valid_from: AwareDatetime | None = None
    lon: Annotated[Number, Field(ge=-180, le=180)] | None = None
    lat: Annotated[Number, AfterValidator(_latitude)] | None = None
    km: Annotated[Number, Field(ge=-100, le=10_000)] | None = None
    ward_ja: Name | None = None
    ward_en: Name | None = None
    time_zone: Annotated[str, AfterValidator(_zone)] = "Asia/Tokyo"
    gauge_zero_tp_m: Height | None = None
    marks: dict[Mark, Height | None] = {}
    thresholds: dict[
        Annotated[int, BeforeValidator(_level), Field(ge=1, le=5)],
        Annotated[ThresholdEntry, BeforeValidator(_by_value)]
    ] = {}  # fmt: skip
    hysteresis_m: Annotated[Number, Field(ge=0, le=100)] | None = None
    hold: Annotated[Duration, Field(le=timedelta(days=1))] | None = None
    sensors: tuple[SensorEntry, ...] = ()
    course: tuple[tuple[Number, Number], ...] = ()
    cross_section: Annotated[tuple[tuple[Metres, Metres], ...], AfterValidator(_across)] = ()
    retired: Retired | None = None

    def plan(self) -> StationPlan:
        """The same, as it is registered."""
        same = set(type(self).model_fields) - {"sensors", "marks", "thresholds"}
        return StationPlan(
            **{name: getattr(self, name) for name in same}, given=self.given,
            marks={str(kind): value for kind, value in self.marks.items()},
            thresholds={level: entry.value_m for level, entry in self.thresholds.items()},
            terms={
                level: {name: getattr(entry, name) for name in entry.given - {"value_m"}}
                for level, entry in self.thresholds.items()
            },
            sensors=tuple(sensor.plan() for sensor in self.sensors),
        )  # fmt: skip


class ModelEntry(_Entry):
    """A model of device."""

    model: ModelName
    nothing: Numbers | None = None
    span: Span | None = None

    def plan(self) -> ModelPlan:
        """The same, as it is registered."""
        spans = frozenset({"span_min", "span_max", "span_unit"} if "span" in self.given else ())
        span = {} if self.span is None else self.span.fields
        return ModelPlan(model=self.model, nothing=self.nothing, **span, given=self.given | spans)


class DeviceEntry(_Entry):
    """A device, wherever it stands."""

    device_id: Id
    model: ModelName | None = None
    retired: Retired | None = None

    def plan(self) -> DevicePlan:
        """The same, as it is registered."""
        return DevicePlan(device_id=self.device_id, model=self.model, retired=self.retired, given=self.given)


class GatewayEntry(_Entry):
    """A gateway that is believed."""

    gateway_id: GatewayName
    retired: Retired | None = None


def _named(value: object) -> object:
    """A gateway may be its name alone."""
    return {"gateway_id": value} if isinstance(value, str) else value


class SheetEntry(_Entry):
    """The whole sheet."""

    stations: tuple[StationEntry, ...] = ()
    gateways: tuple[Annotated[GatewayEntry, BeforeValidator(_named)], ...] = ()
    models: tuple[ModelEntry, ...] = ()
    devices: tuple[DeviceEntry, ...] = ()

    def plan(self) -> Sheet:
        """The same, as it is registered."""
        return Sheet(
            stations=tuple(entry.plan() for entry in self.stations),
            models=tuple(entry.plan() for entry in self.models),
            devices=tuple(entry.plan() for entry in self.devices),
            gateways=tuple(GatewayPlan(gateway_id=e.gateway_id, retired=e.retired) for e in self.gateways),
        )


def read_sheet(file: Path) -> Sheet:
    """What a sheet asks for; raises ConfigurationError with one line a wrong field, the station's id in it."""
    try:
        found = json.loads(file.read_text("utf-8-sig"), object_pairs_hook=_object)
    except RecursionError:
        raise ConfigurationError(f"{file}: not a sheet: nested too deeply") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{file}: not a JSON file: {error}") from None
    whole = {"stations": found} if isinstance(found, list) else found
    try:
        return SheetEntry.model_validate(whole).plan()
    except ValidationError as error:
        lines = [f"{file}: {_where(tuple(e['loc']), whole)}: {_words(e)}" for e in error.errors()]
        lines += [f"{file}: {remark}" for remark in _steps(whole)]
        raise ConfigurationError("\n".join(dict.fromkeys(lines))) from None


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names come once: of two thresholds of one level the second would win in silence."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is given twice in one object")
        found[name] = value
    return found


#: What names one of a list.
_IDS = {"stations": "station_id", "gateways": "gateway_id", "models": "model", "devices": "device_id"}


def _where(loc: tuple[int | str, ...], whole: Any) -> str:
    """`shiomi: thresholds.3`, `gateway gw-1: retired`; by its place in the list where the id itself is wrong."""
    if len(loc) < 2 or loc[0] not in _IDS or not isinstance(loc[1], int):
        return ".".join(str(part) for part in loc) or "the sheet"
    kind, place, *rest = loc
    entry = whole[kind][place]
    id_ = entry.get(_IDS[str(kind)]) if isinstance(entry, Mapping) else entry
    known = isinstance(id_, str) and id_.isascii() and id_.isprintable() and 0 < len(id_) <= 64
    field = ".".join(str(part) for part in rest if part != "[key]")
    if rest[:1] == ["thresholds"] and rest[-1:] == ["value_m"] and _is_plain(entry, rest[1]):
        field = field.removesuffix(".value_m")
    about = str(id_) if known and kind == "stations" else f"{str(kind).removesuffix('s')} {id_ if known else place}"
    return f"{about}: {field}" if field else about


def _steps(whole: Any) -> Iterator[Remark]:
    """Of a sheet that is wrong elsewhere, levels out of order: they are named in the same run."""
    stations = whole.get("stations") if isinstance(whole, Mapping) else None
    for place, entry in enumerate(stations if isinstance(stations, list) else ()):
        given = entry.get("thresholds") if isinstance(entry, Mapping) else None
        heights = {}
        for level, value in given.items() if isinstance(given, Mapping) else ():
            found = value.get("value_m") if isinstance(value, Mapping) else value
            if level in ("1", "2", "3", "4", "5") and isinstance(found, (int, float)) and abs(found) < HIGHEST_M:
                heights[int(level)] = float(found)
        yield from steps(_where(("stations", place), whole), heights)


def _is_plain(entry: Any, level: int | str) -> bool:
    return not isinstance(entry["thresholds"].get(str(level)), Mapping)


def _words(error: Any) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    return text if error["type"] != "extra_forbidden" else "is no field of a sheet"
