"""Validate a device's number against the registry and convert it: sensor, time, value in the sensor's unit. Pure.

The one place that does: ingest stores by it, and alerting goes by it while the database is away.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan, nextafter
from typing import NamedTuple

from kawamori.domain.limits import limits_of
from kawamori.domain.nothing import numbers_for_nothing
from kawamori.domain.quantity import Unit, convert
from kawamori.domain.reading import Flag, Reading, Reason, SensorId
from kawamori.domain.registry import Deployment, Limits, Registry
from kawamori.errors import Refused

#: A plain number, because arithmetic of enum members is slow.
ESTIMATED = int(Reason.ESTIMATED)
_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)

#: A gateway's clock outside these years says nothing.
_FIRST_YEAR, _LAST_YEAR = 2000, 2200
IMPOSSIBLE = "time: the clock of its gateway is impossible"
AHEAD = "time: more than {} ahead of its arrival"
TOO_OLD = "time: older than the oldest accepted, {} days"
DROPPED = "time: older than the raw readings that are kept"
NOT_DEPLOYED = "time: the device was not deployed then"
NOTHING = "value: a sentinel that stands for no measurement"
NOT_USABLE = "sensor: not usable: "
OUTSIDE = "value: outside what the device can measure"
RESET = "time: far behind what the device said of late: was its clock reset?"

#: A device that was heard of within SPOKE does not measure so long before: its clock was reset (to 2020, say, or by the
#: 1024 weeks of a GPS receiver). Shorter than the time from a maker's default date until now, longer than a winter
#: without a network.
RESET_BEHIND = timedelta(days=180)
SPOKE = timedelta(days=2)


class _Way(NamedTuple):
    """How a device's number of one quantity in one unit becomes a sensor's, during one deployment."""

    valid_from: datetime
    valid_to: datetime
    sensor: SensorId
    #: As the device sends them.
    nothing: frozenset[float]
    low: float
    high: float
    #: The end of the registered span at which water may stand higher than the device can say; NaN: there is none.
    pegged: float
    deployment: Deployment
    unit: Unit
    #: The number is the stored value: same unit, nothing to scale or shift.
    plain: bool


class Validator:
    """Validates readings against one version of the registry.

    `oldest`: how long before its arrival a reading may have been measured; `ahead`: how long after it, because clocks
    differ.
    """

    def __init__(
        self, registry: Registry, oldest: timedelta, ahead: timedelta, newest: dict[SensorId, datetime] | None = None
    ) -> None:
        self._limits = limits_of(registry)
        sensors = {id_: replace(sensor, limits=self._limits[id_]) for id_, sensor in registry.sensors.items()}
        #: With what its stations and devices say of its sensors' limits.
        self.registry = replace(registry, sensors=sensors)
        self._oldest, self._ahead = oldest, ahead
        self._newest = {} if newest is None else newest
        #: Newest deployment first.
        self._ways: dict[tuple[str, str, str], tuple[_Way, ...]] = {}
        self._heard_at: datetime | None = None
        self._arrived_at: datetime | None = None
        self._received = self._earliest = self._latest = self._oldest_accepted = self._reset_before = _EVER
        self._kept_from = registry.kept_from or _EVER

    def accept(
        self, device: str, received_at: datetime, time: datetime, quantity: str, value: float, unit: str,
        arrived_at: datetime | None = None, *, upload: bool = False,
    ) -> Reading:  # fmt: skip
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused.

        `received_at` is the gateway's clock. `arrived_at` is ours, when the message came to us; where it is given, a
        gateway's clock that is wrong costs no reading: what is measured after `received_at` and before `arrived_at` was
        received when it arrived, and nothing is received after it arrived. `upload`: it is one of many old readings
        that came together, from a device's memory.
        """
        if received_at != self._heard_at or arrived_at != self._arrived_at:  # what came in one piece came at once
            self._hear(received_at, arrived_at)
        if not self._earliest <= time <= self._latest:
            self._refuse(time)
        ways = self._ways.get((device, quantity, unit)) or self._find_ways(device, quantity, unit)
        for way in ways:
            if way.valid_from <= time < way.valid_to:
                break
        else:
            raise self._without(device, quantity, NOT_DEPLOYED)
        if value in way.nothing:
            raise Refused(NOTHING)
        if not way.low <= value <= way.high:
            raise Refused(OUTSIDE)
        reasons = ESTIMATED if value == way.pegged else 0
        if not way.plain:
            deployment = way.deployment
            value = round(convert(value, way.unit, deployment.unit) * deployment.scale + deployment.shift, 9)
        if time.tzinfo is not UTC:
            time = time.astimezone(UTC)
        if time > self._newest.get(way.sensor, _EVER):
            self._newest[way.sensor] = time
        elif time < self._reset_before and not upload and self._received - self._newest[way.sensor] < SPOKE:
            raise Refused(RESET)
        received = self._received
        if arrived_at is not None and time > received + self._ahead:
            received = max(received, arrived_at.astimezone(UTC))
        return Reading(way.sensor, time, value, received, Flag.GOOD, reasons)

    def _refuse(self, time: datetime) -> None:
        """Say what is wrong with a time."""
        if time > self._latest:
            raise Refused(AHEAD.format(self._ahead))
        if time >= self._oldest_accepted:
            raise Refused(DROPPED)
        raise Refused(TOO_OLD.format(self._oldest.days))

    def _without(self, device: str, quantity: str, reason: str) -> Refused:
        """What to say where no deployment takes a reading: that what is registered of it cannot be used, if so."""
        why = self.registry.unusable.get((device, quantity))
        return Refused(reason if why is None else f"{NOT_USABLE}{why}")

    def _hear(self, received_at: datetime, arrived_at: datetime | None) -> None:
        """Between which times readings are accepted that came then."""
        if not _FIRST_YEAR <= received_at.year <= _LAST_YEAR:
            if arrived_at is None:
                raise Refused(IMPOSSIBLE)
            received_at = arrived_at
        received = received_at.astimezone(UTC)
        heard = received if arrived_at is None else arrived_at.astimezone(UTC)
        if received > heard + self._ahead:
            received = heard
        self._received = received
        self._heard_at, self._arrived_at = received_at, arrived_at
        self._oldest_accepted = heard - self._oldest
        self._earliest = max(self._oldest_accepted, self._kept_from)
        self._latest = max(received, heard) + self._ahead
        self._reset_before = heard - RESET_BEHIND

    def _find_ways(self, device: str, quantity: str, unit_symbol: str) -> tuple[_Way, ...]:
        """Look them up, and remember them."""
        registry = self.registry
        if quantity not in registry.quantities:
            raise self._without(device, quantity, "quantity: not a registered quantity")
        unit = registry.units.get(unit_symbol)
        if unit is None:
            raise self._without(device, quantity, "unit: not a registered unit")
        if device not in registry.devices:
            raise Refused("device: not registered")
        deployments = registry.deployments.get((device, quantity), ())
        if not deployments:
            raise self._without(device, quantity, "quantity: this device is not deployed to measure it")
        try:
            ways = tuple(_way(d, unit, self._limits.get(d.sensor.id, d.sensor.limits)) for d in reversed(deployments))
        except ValueError as error:
            raise Refused("unit: measures something else than the quantity") from error
        self._ways[device, quantity, unit_symbol] = ways
        return ways


def _way(deployment: Deployment, unit: Unit, limits: Limits) -> _Way:
    convert(0.0, unit, deployment.unit)
    low, high = span_of(deployment, unit)
    return _Way(
        deployment.valid_from, deployment.valid_to or _NEVER, deployment.sensor.id,
        numbers_for_nothing(deployment, unit, limits), low, high, _pegged(deployment, low, high), deployment, unit,
        deployment.unit.symbol == unit.symbol and deployment.scale == 1 and deployment.shift == 0,
    )  # fmt: skip


def _pegged(deployment: Deployment, low: float, high: float) -> float:
    if deployment.scale < 0:  # a distance: the nearest
        return nan if deployment.span_min is None else low
    return nan if deployment.span_max is None else high


def span_of(deployment: Deployment, unit: Unit) -> tuple[float, float]:
    """What the device can report at all, in `unit`, both ends inclusive; a distance of 0 or less is no echo."""
    low, high, of = deployment.span_min, deployment.span_max, deployment.span_unit or deployment.unit
    if low is None and high is None and deployment.quantity == "distance":
        return nextafter(0.0, inf), inf
    return (
        -inf if low is None else convert(low, of, unit),
        inf if high is None else convert(high, of, unit),
    )


def only_registration_can_help(reason: str) -> bool:
    """Whether a newer registry might accept what was refused for this reason."""
    return reason.startswith((NOT_USABLE, "device:", "quantity:", "unit: not", NOT_DEPLOYED, NOTHING, OUTSIDE))
