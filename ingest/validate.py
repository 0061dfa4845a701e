"""Ingest's adapter of the validator of readings (`kawamori.domain.validator`), with its settings."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from zoneinfo import ZoneInfo

from ingest.series import stated_at
from kawamori import wire
from kawamori.domain.calendar import Calendar
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Deployment, Registry
from kawamori.domain.validator import ESTIMATED, RESET_BEHIND, Validator, only_registration_can_help
from kawamori.errors import Refused, UndecodableMessage
from kawamori.settings import IngestSettings

__all__ = ["IngestValidator", "Refused", "only_registration_can_help", "uploading"]

#: So many old readings of one device in one batch are an upload of its memory, and no clock that was reset.
_UPLOAD = 10


class IngestValidator:
    """Validates readings against one version of the registry.

    `newest`: when each sensor was last measured, as far as is known; kept up to date here.
    """

    def __init__(
        self, registry: Registry, settings: IngestSettings, newest: dict[SensorId, datetime] | None = None
    ) -> None:
        self._validator = Validator(registry, settings.oldest, settings.ahead, newest)
        #: Who reports a running total for which sensor.
        self.counters = frozenset(
            (d.sensor.id, str(d.device)) for found in registry.deployments.values() for d in found if d.counter
        )
        self.registry = _with_amounts(self._validator.registry, {sensor for sensor, _ in self.counters})
        self.zones = {id_: ZoneInfo(sensor.time_zone) for id_, sensor in registry.sensors.items()}
        #: How each sensor's hours and days are cut.
        self.calendars = {
            id_: Calendar(self.zones[id_], sensor.is_amount) for id_, sensor in self.registry.sensors.items()
        }
        self._shared = _shared(registry)
        #: Sensors whose readings may have to name their device.
        self._told_apart = {sensor for sensor, _ in self.counters} | self._shared.keys()

    def accept(
        self, device: str, received_at: datetime, sent: wire.DeviceReading, arrived_at: datetime | None = None,
        *, upload: bool = False,
    ) -> Reading:  # fmt: skip
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused.

        `received_at` is the gateway's clock, `arrived_at` the database's. `upload`: it is one of many old readings.
        """
        reading = self._validator.accept(
            device, received_at, sent.time, sent.quantity, sent.value, sent.unit, arrived_at, upload=upload
        )
        if sent.mark is not None:
            reading = reading._replace(reasons=reading.reasons | ESTIMATED)
        if sent.seq is None and reading.sensor not in self._told_apart:
            return reading
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
        found = self._shared.get(reading.sensor, ())
        return len({d.device for d in found if d.in_force(reading.observed_at)}) > 1


def uploading(batch: wire.Batch, arrived_at: datetime) -> frozenset[str]:
    """The devices that send many old readings in this batch: what they have in their memory."""
    found: Counter[str] = Counter()
    for item in wire.readings_of(batch):
        try:
            old = arrived_at - wire.decode_reading(item.reading).time > RESET_BEHIND
        except (UndecodableMessage, OverflowError):
            continue
        found[item.device_id] += old
    return frozenset(device for device, readings in found.items() if readings >= _UPLOAD)


def _with_amounts(registry: Registry, counted: Collection[SensorId]) -> Registry:
    """With limits that tell what is sent as an amount, and not `counted` by us."""
    sensors = {
        id_: replace(sensor, limits=replace(sensor.limits, is_amount=True))
        if sensor.is_amount and id_ not in counted
        else sensor
        for id_, sensor in registry.sensors.items()
    }
    return replace(registry, sensors=sensors)


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
