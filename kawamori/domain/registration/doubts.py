"""What is wrong or doubtful about a sheet, by its fields: no alarm that can never sound is registered in silence."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations, pairwise
from math import inf

from kawamori.domain.quantity import Unit, convert
from kawamori.domain.registration import delays
from kawamori.domain.registration.deploy import day
from kawamori.domain.registration.names import same_to_a_reader
from kawamori.domain.registration.plans import ModelPlan, Remark, SensorPlan, Sheet, StationPlan
from kawamori.domain.registration.standing import Registered, Row, Rows, covers, newest

#: A threshold so far above the crest is a height of another system: no water stands so high above a levee.
_OTHER_SYSTEM_M = 20.0
#: So far above what was measured lately nothing rises; the floods of record on Japan's rivers stay below it.
_FAR_ABOVE_M = 30.0
#: A device hangs under a bridge or at a wall, at most so far above the highest threshold.
_HANGS_AT_MOST_M = 100.0
#: Below it a gauge zero cannot be told from the gauge's own heights.
_TELLING_ZERO_M = 20.0
#: What turns one unit of length into another.
_OF_UNITS = frozenset({0.001, 0.01, 0.1, 0.3048, 10.0, 100.0, 1000.0})
#: West, south, east, north of Japan with its islands.
_JAPAN = (122.0, 20.0, 154.5, 46.0)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KnownQuantity:
    """A quantity that sensors may have."""

    unit: str
    is_amount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a sheet may refer to, and what is to be compared with it."""

    units: Mapping[str, Unit]
    quantities: Mapping[str, KnownQuantity]
    #: The names of other stations.
    others: Mapping[str, str] = field(default_factory=dict)
    #: Lowest and highest of the last days by station and quantity.
    recent: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    #: Taken from a database; else what is registered already is not known.
    asked: bool = True


def _unit(symbol: str, dimension: str, scale: float, shift: float = 0.0) -> Unit:
    return Unit(symbol=symbol, dimension=dimension, scale=scale, shift=shift)


#: What every database of ours holds: the fall-back where none can be asked. A test holds it against the migrations.
BUILT_IN = Known(
    units={
        unit.symbol: unit for unit in (
            _unit("m", "length", 1), _unit("cm", "length", 0.01), _unit("mm", "length", 0.001),
            _unit("ft", "length", 0.3048), _unit("Pa", "pressure", 1), _unit("hPa", "pressure", 100),
            _unit("kPa", "pressure", 1000), _unit("°C", "temperature", 1), _unit("Cel", "temperature", 1),
            _unit("K", "temperature", 1, -273.15), _unit("V", "voltage", 1), _unit("mV", "voltage", 0.001),
            _unit("m3/s", "discharge", 1), _unit("%", "ratio", 1),
        )
    },
    quantities={
        "water_level": KnownQuantity("m"), "distance": KnownQuantity("m"), "flood_depth": KnownQuantity("m"),
        "pressure": KnownQuantity("kPa"), "rainfall": KnownQuantity("mm", is_amount=True),
        "discharge": KnownQuantity("m3/s"), "temperature": KnownQuantity("°C"), "self_test": KnownQuantity("m"),
    },
    asked=False,
)  # fmt: skip


def of_sheet(sheet: Sheet, known: Known, before: Registered) -> list[Remark]:
    """What can be said of a sheet before anything is registered."""
    found = [*_twice(sheet), *_names(sheet, known), *_rivers(sheet, before)]
    models = {plan.model for plan in sheet.models} | {key[0] for key in before["device_model"]}
    for model in sheet.models:
        found += _span("models", model.model, model, None, known)
    for device in sheet.devices:
        found += _model("devices", device.device_id, device.model, models, known)
    for station in sheet.stations:
        found += steps(station.station_id, station.thresholds)
        found += _lies_where(station)
        found += delays.of_station(station)
        for place, sensor in enumerate(station.sensors):
            at = f"sensors.{place}"
            found += _model(station.station_id, at, sensor.model, models, known)
            found += _measured(station.station_id, at, sensor, known)
    return found


def of_outcome(sheet: Sheet, known: Known, after: Registered, now: datetime) -> list[Remark]:
    """What can be said of the stations of a sheet as they are once it is registered."""
    found: list[Remark] = []
    at_station = _by_station(after, {plan.station_id for plan in sheet.stations})
    for plan in sheet.stations:
        found += _Looked(plan, known, at_station[plan.station_id], after["device"], after["device_model"], now).all()
    return found


def _by_station(after: Registered, wanted: set[str]) -> dict[str, Registered]:
    found: dict[str, Registered] = {id_: defaultdict(dict) for id_ in wanted}
    for subject in ("datum", "mark", "threshold", "sensor"):
        for key, row in after[subject].items():
            if key[0] in found:
                found[key[0]][subject][key] = row
    for key, row in after["deployment"].items():
        if row["station_id"] in found:
            found[row["station_id"]]["deployment"][key] = row
    return found


def _twice(sheet: Sheet) -> Iterator[Remark]:
    """What one sheet says twice, so that it cannot mean both."""
    seen: set[str] = set()
    for plan in sheet.stations:
        if plan.station_id in seen:
            yield Remark(plan.station_id, "station_id", "is in the sheet twice", is_error=True)
        seen.add(plan.station_id)
        for (_, one), (place, other) in combinations(enumerate(plan.sensors), 2):
            if one.quantity == other.quantity and _overlap(one, other):
                text = (
                    f"{other.quantity} is given twice: a second one is another station, or begins when the first ends"
                )
                yield Remark(plan.station_id, f"sensors.{place}.quantity", text, is_error=True)
    placed: defaultdict[tuple[str, str], list[tuple[str, SensorPlan]]] = defaultdict(list)
    for plan in sheet.stations:
        for place, sensor in enumerate(plan.sensors):
            device = placed[sensor.device_id, sensor.reports or sensor.quantity]
            for elsewhere, other in device:
                if (elsewhere, other.quantity) != (plan.station_id, sensor.quantity) and _overlap(sensor, other):
                    what = sensor.reports or sensor.quantity
                    text = f"{sensor.device_id} measures {what} at {elsewhere} at that time too"
                    yield Remark(plan.station_id, f"sensors.{place}.device_id", text, is_error=True)
            device.append((plan.station_id, sensor))


def _overlap(one: SensorPlan, other: SensorPlan) -> bool:
    starts = [plan.valid_from or _EARLIEST for plan in (one, other)]
    ends = [plan.valid_to or _LATEST for plan in (one, other)]
    return max(starts) < min(ends)


def _names(sheet: Sheet, known: Known) -> Iterator[Remark]:
    """Two stations with names that a reader cannot tell apart."""
    by_sight: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for id_, name in known.others.items():
        by_sight[same_to_a_reader(name)].append((id_, name))
    here: set[str] = set()
    for plan in sheet.stations:
        found = by_sight[same_to_a_reader(plan.name_ja)]
        for id_, name in found:
            if id_ != plan.station_id:
                how = "is" if name == plan.name_ja else "differs only by width, case or spaces from"
                text = f"{plan.name_ja} {how} the name of {id_} ({name})"
                is_error = name != plan.name_ja and id_ in here
                yield Remark(plan.station_id, "name_ja", text, is_error=is_error)
        found.append((plan.station_id, plan.name_ja))
        here.add(plan.station_id)


def _rivers(sheet: Sheet, before: Registered) -> Iterator[Remark]:
    """A river that is called otherwise than before, or otherwise twice."""
    called = {key[0]: row["name_ja"] for key, row in before["river"].items()}
    for plan in sheet.stations:
        name = called.get(plan.river_id)
        if name is not None and name != plan.river_name_ja:
            text = f"the river {plan.river_id} was called {name}: it is renamed for all its stations"
            yield Remark(plan.station_id, "river_name_ja", text)
        called[plan.river_id] = plan.river_name_ja


def steps(about: str, thresholds: Mapping[int, float]) -> Iterator[Remark]:
    """Levels that do not rise from one to the next."""
    for (low, lower), (high, upper) in pairwise(sorted(thresholds.items())):
        if lower >= upper:
            text = f"{upper:g} m must lie above level {low} ({lower:g} m)"
            yield Remark(about, f"thresholds.{high}", text, is_error=True)


def _lies_where(plan: StationPlan) -> Iterator[Remark]:
    lon, lat = plan.lon, plan.lat
    if (lon is None) != (lat is None):
        yield Remark(plan.station_id, "lon" if lon is None else "lat", "is missing: the station is on no map")
    if lon is None or lat is None or plan.time_zone != "Asia/Tokyo":
        return
    west, south, east, north = _JAPAN
    if not (west <= lon <= east and south <= lat <= north):
        swapped = west <= lat <= east and south <= lon <= north
        text = f"{lon:g}, {lat:g} is not in Japan: {'are lon and lat swapped?' if swapped else 'is it right?'}"
        yield Remark(plan.station_id, "lon", text)


def _model(about: str, at: str, model: str | None, models: set[str], known: Known) -> Iterator[Remark]:
    if model is not None and model not in models and known.asked:
        text = f"no device model {model!r} is registered: describe it under `models`"
        yield Remark(about, f"{at}.model", text, is_error=True)


def _measured(id_: str, at: str, sensor: SensorPlan, known: Known) -> Iterator[Remark]:
    wrong = False
    for name, quantity in (("quantity", sensor.quantity), ("reports", sensor.reports)):
        if quantity is not None and quantity not in known.quantities:
            wrong = True
            text = f"{quantity!r} is no quantity; known are {', '.join(sorted(known.quantities))}"
            yield Remark(id_, f"{at}.{name}", text, is_error=True)
    if wrong:
        return
    reports = known.quantities[sensor.reports or sensor.quantity]
    yield from _span(id_, at, sensor, reports, known)
    if sensor.counter and not known.quantities[sensor.quantity].is_amount:
        text = f"is for amounts such as rainfall: {sensor.quantity} would become the steps between its readings"
        yield Remark(id_, f"{at}.counter", text)
    if abs(sensor.scale) in _OF_UNITS and sensor.reports in (None, sensor.quantity, "distance"):
        text = f"{sensor.scale:g} looks like a change of units, which the unit in each message makes already"
        yield Remark(id_, f"{at}.scale", text)
    if sensor.reports == "distance" and sensor.quantity == "water_level" and sensor.scale > 0:
        yield Remark(id_, f"{at}.scale", "a distance that shrinks means rising water: should it be -1?")
    if sensor.retired is None and sensor.valid_to is not None and sensor.valid_from is None:
        yield Remark(id_, f"{at}.valid_to", f"ends on {day(sensor.valid_to)}, and `valid_from` is not given")


def _span(
    about: str, at: str, plan: SensorPlan | ModelPlan, reports: KnownQuantity | None, known: Known
) -> Iterator[Remark]:  # fmt: skip
    if plan.span_unit is None:
        return
    unit = known.units.get(plan.span_unit)
    if unit is None:
        text = f"{plan.span_unit!r} is no unit; known are {', '.join(sorted(known.units))}"
        yield Remark(about, f"{at}.span.unit", text, is_error=True)
    elif reports is not None and unit.dimension != known.units[reports.unit].dimension:
        text = f"{plan.span_unit} is a unit of {unit.dimension}, which the device does not report"
        yield Remark(about, f"{at}.span.unit", text, is_error=True)


class _Looked:
    """One station as it is once the sheet is registered."""

    def __init__(
        self, plan: StationPlan, known: Known, rows: Registered, devices: Rows, models: Rows, now: datetime
    ) -> None:  # fmt: skip
        self._plan, self._known, self._rows, self._devices, self._models = plan, known, rows, devices, models
        self._now, self._at = now, max(now, plan.valid_from or now)
        self._id = plan.station_id
        self._levels = self._thresholds()
        self._recent = known.recent.get((self._id, "water_level"))
        datum = newest(rows["datum"], (self._id,), self._at)
        self._zero: float | None = None if datum is None else datum["gauge_zero_tp_m"]
        crests = [self._mark("crest_left"), self._mark("crest_right")]
        self._crest: float | None = min((crest for crest in crests if crest is not None), default=None)

    def _mark(self, kind: str) -> float | None:
        row = newest(self._rows["mark"], (self._id, kind), self._at)
        return None if row is None else row["value_m"]

    def all(self) -> Iterator[Remark]:
        places: dict[str, str] = {
            sensor.quantity: f"sensors.{place}" for place, sensor in enumerate(self._plan.sensors)
        }
        if self._at > self._now and (self._plan.thresholds or self._plan.marks):
            text = f"lies ahead: until {day(self._at)} thresholds and marks of this sheet do not hold"
            yield Remark(self._id, "valid_from", text)
        for level, value in sorted(self._levels.items()):
            yield from self._height(level, value)
        for (low, lower), (high, upper) in pairwise(sorted(self._levels.items())):
            if upper - lower > _OTHER_SYSTEM_M:
                text = f"{upper:g} m lies {upper - lower:g} m above level {low}: is it in metres, or not defined?"
                yield Remark(self._id, f"thresholds.{high}", text)
        yield from self._reach()
        for (_, quantity), sensor in self._rows["sensor"].items():
            at = places.get(quantity) or str(quantity)
            if sensor["retired_at"] is None or sensor["retired_at"] > self._at:
                yield from self._limits(at, quantity, sensor)
                if quantity == "water_level":
                    yield from self._alarming(at, sensor)

    def _thresholds(self) -> dict[int, float]:
        """Those of the sheet, else those that are registered."""
        if self._plan.gives("thresholds"):
            return dict(self._plan.thresholds)
        rows = self._rows["threshold"].items()
        return {key[1]: row["value_m"] for key, row in rows if covers(key[-1], row, self._at)}

    def _height(self, level: int, value: float) -> Iterator[Remark]:
        """A threshold beside the levee's crest and the gauge's zero."""
        zero = self._zero or 0.0
        tp = zero >= _TELLING_ZERO_M and value - zero >= -_OTHER_SYSTEM_M
        asked = "is it right?"
        if tp:
            asked = f"is it a T.P. height (gauge zero {zero:g}, so {value - zero:.2f} m above it)?"
        field_ = f"thresholds.{level}"
        if self._crest is not None and value > self._crest:
            text = f"{value:g} m lies above the levee's crest ({self._crest:g} m): {asked}"
            other = tp and value > self._crest + _OTHER_SYSTEM_M >= value - zero
            measured = self._recent is not None and self._recent[1] > value - _FAR_ABOVE_M
            yield Remark(self._id, field_, text, is_error=other and not measured)
        elif self._recent is not None and value > self._recent[1] + _FAR_ABOVE_M:
            text = f"{value:g} m lies far above what was measured lately (at most {self._recent[1]:g} m): {asked}"
            yield Remark(self._id, field_, text)
        elif self._crest is None and tp and self._recent is None:
            yield Remark(self._id, field_, f"{value:g} m: {asked}")

    def _reach(self) -> Iterator[Remark]:
        if self._levels and self._recent is not None:
            lowest = min(self._levels)
            if self._levels[lowest] < self._recent[0]:
                text = f"the water has stood above {self._levels[lowest]:g} m all week (at least {self._recent[0]:g} m)"
                yield Remark(self._id, f"thresholds.{lowest}", text)
        start = self._mark("observation_start")
        if self._levels and start is not None:
            first = self._levels[min(self._levels)]
            if start > first:
                text = f"{start:g} m lies above level {min(self._levels)} ({first:g} m), heard of late then"
                yield Remark(self._id, "marks.observation_start", text)

    def _limits(self, at: str, quantity: str, sensor: Row) -> Iterator[Remark]:
        """Limits of its own, beside its thresholds and what it measured."""
        low, high = sensor["range_min"], sensor["range_max"]
        recent = self._known.recent.get((self._id, quantity))
        if low is not None and high is not None and low >= high:
            text = f"{high:g} must be more than range_min ({low:g})"
            yield Remark(self._id, f"{at}.limits.range_max", text, is_error=True)
        if high is not None and recent is not None and recent[1] > high:
            text = f"{high:g} would fail what was measured in the last days (up to {recent[1]:g})"
            yield Remark(self._id, f"{at}.limits.range_max", text)
        if low is not None and recent is not None and recent[0] < low:
            text = f"{low:g} would fail what was measured in the last days (down to {recent[0]:g})"
            yield Remark(self._id, f"{at}.limits.range_min", text)
        if quantity != "water_level":
            return
        for level, value in sorted(self._levels.items()):
            if high is not None and value > high:
                text = f"{value:g} m lies above range_max ({high:g} m): a reading that reaches it would fail"
                yield Remark(self._id, f"thresholds.{level}", text)
            if low is not None and value < low:
                text = f"{value:g} m lies below range_min ({low:g} m): readings around it would fail"
                yield Remark(self._id, f"thresholds.{level}", text)

    def _alarming(self, at: str, sensor: Row) -> Iterator[Remark]:
        if not self._levels:
            yield Remark(self._id, "thresholds", "there are none: no water level of this station will ever alarm")
        if sensor["report_every_low"] is not None and self._mark("observation_start") is None:
            text = "does nothing without the mark `observation_start`, below which the sensor reports so seldom"
            yield Remark(self._id, f"{at}.report_every_low", text)
        deployed = [(k, r) for k, r in self._rows["deployment"].items() if r["sensor"] == "water_level"]
        if deployed and not any(covers(key[-1], row, self._now) for key, row in deployed):
            text = f"no device measures here now ({day(self._now)}): its readings are refused"
            yield Remark(self._id, f"{at}.valid_from", text)
        for key, row in deployed:
            if covers(key[-1], row, self._at):
                bottom, top = self._reachable(key, row)
                yield from self._within_reach(key[0], bottom, top)
                if key[1] == "distance" and top is not None and top > self._highest + _HANGS_AT_MOST_M:
                    text = f"hangs {top:g} m above zero, far above the highest threshold: is it in metres?"
                    yield Remark(self._id, f"{at}.shift", text)

    @property
    def _highest(self) -> float:
        """The highest threshold in metres; infinite where there is none."""
        return max(self._levels.values(), default=inf)

    def _within_reach(self, device: str, bottom: float | None, top: float | None) -> Iterator[Remark]:
        """The thresholds beside what a device can measure, in metres."""
        for level, value in sorted(self._levels.items()):
            if top is not None and value > top:
                text = f"{value:g} m lies above what {device} can measure (up to {top:g} m)"
                yield Remark(self._id, f"thresholds.{level}", text)
            elif bottom is not None and value < bottom:
                text = (
                    f"{value:g} m lies below what {device} can measure (from {bottom:g} m): water there is no reading"
                )
                yield Remark(self._id, f"thresholds.{level}", text)

    def _reachable(self, key: tuple[str, ...], row: Row) -> tuple[float | None, float | None]:
        """The lowest and the highest level that a deployed device can report, in the sensor's unit.

        A device that reports the distance down to the water hangs above it: without a span, no water is higher than it.
        """
        span = row
        if row["span_min"] is None and row["span_max"] is None:
            device = self._devices.get((key[0],), {})
            span = self._models.get((device.get("model"),), {})
        reports = self._known.quantities.get(key[1])
        ends = [span.get("span_min"), span.get("span_max")]
        if reports is None:
            return None, None
        if ends[0] is None and key[1] == "distance":
            ends[0] = 0.0
        target = self._known.units[reports.unit]
        source = self._known.units.get(span.get("span_unit") or reports.unit)
        if source is None or source.dimension != target.dimension:
            return None, None
        first, last = (
            None if end is None else float(round(convert(end, source, target) * row["scale"] + row["shift"], 6))
            for end in ends
        )
        return (first, last) if row["scale"] > 0 else (last, first)


def told_once(remarks: Iterable[Remark]) -> list[Remark]:
    """The remarks in their order, none twice."""
    return list(dict.fromkeys(remarks))
