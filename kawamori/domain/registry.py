"""The registry: stations, sensors, devices and deployments, dated, with units, scales and limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kawamori.domain.flood import Threshold
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, RiverId, SensorId, StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What quality control holds against a sensor's values; None switches a check off. Stored units."""

    range_min: float | None = None
    range_max: float | None = None
    #: A step between neighbours larger than this and faster than `max_rate_h` an hour is suspect.
    max_step: float | None = None
    max_rate_h: float | None = None
    #: A few samples that leave the settled value by more than this, and come back, are no water.
    spike: float | None = None
    #: A value that has not changed for so long while above `flat_above` is suspect.
    flat_after: timedelta | None = None
    flat_above: float | None = None
    #: The lowest and the highest height that is registered for the station: thresholds, crests, marks.
    lowest: float | None = None
    highest: float | None = None
    #: Stored values that stand for the ends of what the devices can measure (`domain.limits.edges_of`).
    edges: tuple[float, ...] = ()
    #: It is a level of water: what no water on land reaches has failed, whatever is registered.
    is_level: bool = False
    #: Its values are amounts that no counter gives: a run that never falls is suspect.
    is_amount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One quantity at a station: the series."""

    id: SensorId
    station: StationId
    quantity: str
    unit: Unit
    time_zone: str
    report_every: timedelta
    report_every_low: timedelta | None = None
    limits: Limits = Limits()
    #: Standard deviation in quiet water.
    noise_m: float | None = None
    #: From measurement to arrival, where that is usually longer than a message takes.
    usual_delay: timedelta = timedelta(0)
    #: Silent from then on without alarming.
    retired_at: datetime | None = None
    #: Its values are amounts over the period that ends at `observed_at` (rain), not states at that moment.
    is_amount: bool = False

    def is_retired(self, at: datetime) -> bool:
        """Whether it is out of service: silent without alarming, and in no list of levels."""
        return self.retired_at is not None and self.retired_at <= at


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A device measuring for a sensor between two dates: stored value = value x scale + shift."""

    device: DeviceId
    #: What the device reports; `distance` may serve a `water_level` sensor.
    quantity: str
    #: The unit `scale` and `shift` work in.
    unit: Unit
    sensor: Sensor
    valid_from: datetime
    valid_to: datetime | None = None
    scale: float = 1.0
    shift: float = 0.0
    #: Numbers that stand for no measurement, as the device sends them; None: the usual ones (`domain.quantity`).
    nothing: frozenset[float] | None = None
    #: What the device can report at all, in `span_unit`, both ends inclusive; judged before `scale` and `shift`.
    span_min: float | None = None
    span_max: float | None = None
    span_unit: Unit | None = None
    #: It reports a running total; the increments are the readings.
    counter: bool = False

    def in_force(self, at: datetime) -> bool:
        """Whether the device stood there at that time."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A place on a river."""

    id: StationId
    name_ja: str
    name_en: str
    river: RiverId
    river_name_ja: str
    river_name_en: str
    lon: float | None = None
    lat: float | None = None
    km: float | None = None
    time_zone: str = "Asia/Tokyo"
    gauge_zero_tp_m: float | None = None
    ward_ja: str | None = None
    ward_en: str | None = None
    #: Levee crests looking downstream, above gauge zero.
    crest_left_m: float | None = None
    crest_right_m: float | None = None
    design_high_water_m: float | None = None
    observation_start_m: float | None = None
    #: The self-test's own station: on no screen.
    internal: bool = False

    @property
    def crest_m(self) -> float | None:
        """The lower of the two levee crests, above gauge zero."""
        known = [crest for crest in (self.crest_left_m, self.crest_right_m) if crest is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A row of the registry that cannot be used as it stands; a person has to mend it."""

    #: `station weir`, `sensor weir water_level`, `rule 7`.
    subject: str
    #: Names the field.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Everything registered, as of one version."""

    version: int
    units: Mapping[str, Unit] = field(default_factory=dict)
    quantities: Mapping[str, Unit] = field(default_factory=dict)
    stations: Mapping[StationId, Station] = field(default_factory=dict)
    sensors: Mapping[SensorId, Sensor] = field(default_factory=dict)
    devices: frozenset[DeviceId] = frozenset()
    #: Names of the gateways that are registered and not retired; what others forward is not believed.
    gateways: frozenset[str] = frozenset()
    #: By device and the quantity it reports, oldest first.
    deployments: Mapping[tuple[str, str], tuple[Deployment, ...]] = field(default_factory=dict)
    thresholds: Mapping[StationId, tuple[Threshold, ...]] = field(default_factory=dict)
    #: What cannot be used as it stands; everything else is as it should be.
    problems: tuple[Problem, ...] = ()
    #: Why readings of a device's quantity cannot be stored, where a row that they need cannot be used.
    unusable: Mapping[tuple[str, str], str] = field(default_factory=dict)
    #: Raw readings older than this were dropped, their summaries stay; none may be added.
    kept_from: datetime | None = None

    def thresholds_at(self, station: StationId, at: datetime) -> tuple[Threshold, ...]:
        """A station's thresholds in force at that time, lowest level first."""
        return tuple(t for t in self.thresholds.get(station, ()) if t.in_force(at))


def next_to(registry: Registry) -> dict[StationId, list[StationId]]:
    """Of every station the next ones up and down its river."""
    rivers: dict[str, list[tuple[float, StationId]]] = {}
    for station in registry.stations.values():
        if station.km is not None:
            rivers.setdefault(station.river, []).append((station.km, station.id))
    near: dict[StationId, list[StationId]] = {}
    for along in rivers.values():
        ids = [id_ for _, id_ in sorted(along)]
        for place, id_ in enumerate(ids):
            near[id_] = [*ids[place + 1 : place + 2], *ids[max(0, place - 1) : place]]
    return near
