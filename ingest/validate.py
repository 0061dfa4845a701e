"""Hold a reading against the registry: whose is it, when was it, what is it in the sensor's unit? Pure."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import combinations
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ingest.series import stated_at
from kawamori.domain.quantity import SENTINELS, Unit, convert
from kawamori.domain.reading import Flag, Reading, SensorId
from kawamori.domain.registry import Deployment, Registry
from kawamori.errors import KawamoriError
from kawamori.settings import IngestSettings
from kawamori.wire import DeviceReading

_EVER = datetime.min.replace(tzinfo=UTC)


class Refused(KawamoriError):
    """A reading that cannot be stored; the text names the field and goes to quarantine with the raw bytes."""


class _Way(NamedTuple):
    """How a device's number of one quantity in one unit becomes a sensor's."""

    #: Newest first.
    deployments: tuple[Deployment, ...]
    unit: Unit
    #: The number is the stored value: same unit, nothing to scale or shift.
    plain: bool


class Gate:
    """Judges readings by one version of the registry."""

    def __init__(self, registry: Registry, settings: IngestSettings) -> None:
        self.registry = registry
        self._settings = settings
        self.zones = {id_: ZoneInfo(sensor.time_zone) for id_, sensor in registry.sensors.items()}
        self._ways: dict[tuple[str, str, str], _Way] = {}
        #: Who reports a running total for which sensor.
        self.counters = frozenset(
            (d.sensor.id, str(d.device)) for found in registry.deployments.values() for d in found if d.counter
        )
        self._shared = _shared(registry)
        self._received_at = _EVER
        self._earliest = self._latest = _EVER
        self._kept_from = registry.kept_from or _EVER

    def accept(self, device: str, received_at: datetime, sent: DeviceReading) -> Reading:
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused."""
        if received_at != self._received_at:  # what came in one piece shares one object, which saves memory too
            received_at = received_at.astimezone(UTC)
            self._received_at = received_at
            self._earliest = received_at - self._settings.oldest
            self._latest = received_at + self._settings.ahead
        at = sent.time
        if at > self._latest:
            raise Refused(f"time: more than {self._settings.ahead} ahead of its arrival")
        if at < self._earliest:
            raise Refused(f"time: older than the oldest accepted, {self._settings.oldest.days} days")
        if at < self._kept_from:
            raise Refused("time: older than the raw readings that are kept")
        way = self._ways.get((device, sent.quantity, sent.unit))
        if way is None:
            way = self._find_way(device, sent)
        value = sent.value
        if value in SENTINELS:
            raise Refused("value: a sentinel that stands for no measurement")
        for deployment in way.deployments:
            if deployment.valid_from <= at and (deployment.valid_to is None or at < deployment.valid_to):
                break
        else:
            raise Refused("time: the device was not deployed then")
        if not way.plain:
            try:
                value = convert(value, way.unit, deployment.unit)
            except ValueError as error:
                raise Refused("unit: measures something else than the quantity") from error
            value = round(value * deployment.scale + deployment.shift, 9)
        if at.tzinfo is not UTC:
            at = at.astimezone(UTC)
        reading = Reading(deployment.sensor.id, at, value, self._received_at, Flag.GOOD)
        return self._as_statement(reading, device, sent.seq)

    def _as_statement(self, reading: Reading, device: str, seq: int | None) -> Reading:
        """The reading with what tells its statement from others: its number, and its device where that matters."""
        if seq is not None:
            reading = reading._replace(stated_at=stated_at(reading.received_at, seq))
        if (reading.sensor, device) in self.counters or self._is_shared(reading):
            reading = reading._replace(device=device)
        return reading

    def _is_shared(self, reading: Reading) -> bool:
        """Whether more than one device measured for the sensor then."""
        found = self._shared.get(reading.sensor)
        return found is not None and len({d.device for d in found if d.in_force(reading.observed_at)}) > 1

    def _find_way(self, device: str, sent: DeviceReading) -> _Way:
        """Look it up, and remember it."""
        if sent.quantity not in self.registry.quantities:
            raise Refused("quantity: not a registered quantity")
        unit = self.registry.units.get(sent.unit)
        if unit is None:
            raise Refused("unit: not a registered unit")
        if device not in self.registry.devices:
            raise Refused("device: not registered")
        deployments = self.registry.deployments.get((device, sent.quantity), ())
        if not deployments:
            raise Refused("quantity: this device is not deployed to measure it")
        plain = all(d.unit.symbol == unit.symbol and d.scale == 1 and d.shift == 0 for d in deployments)
        way = self._ways[device, sent.quantity, sent.unit] = _Way(deployments[::-1], unit, plain)
        return way


def _shared(registry: Registry) -> dict[SensorId, tuple[Deployment, ...]]:
    """The deployments of sensors that more than one device measures for at some time."""
    by_sensor: dict[SensorId, list[Deployment]] = defaultdict(list)
    for found in registry.deployments.values():
        for deployment in found:
            by_sensor[deployment.sensor.id].append(deployment)
    return {
        sensor: tuple(found)
        for sensor, found in by_sensor.items()
        if any(
            one.device != other.device
            and (one.valid_to is None or other.valid_from < one.valid_to)
            and (other.valid_to is None or one.valid_from < other.valid_to)
            for one, other in combinations(found, 2)
        )
    }


def only_registration_can_help(reason: str) -> bool:
    """Whether a newer registry might accept what was refused for this reason."""
    return reason.startswith(("device:", "quantity:", "unit: not", "time: the device"))
