"""Ingest's way to the judge of readings (`kawamori.domain.judge`), by its settings."""

from collections import defaultdict
from datetime import datetime
from itertools import combinations
from zoneinfo import ZoneInfo

from ingest.series import stated_at
from kawamori.domain.judge import Judge, only_registration_can_help
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Deployment, Registry
from kawamori.errors import Refused
from kawamori.settings import IngestSettings
from kawamori.wire import DeviceReading

__all__ = ["Gate", "Refused", "only_registration_can_help"]


class Gate:
    """Judges readings by one version of the registry."""

    def __init__(self, registry: Registry, settings: IngestSettings) -> None:
        self.registry = registry
        self.zones = {id_: ZoneInfo(sensor.time_zone) for id_, sensor in registry.sensors.items()}
        self._judge = Judge(registry, settings.oldest, settings.ahead)
        #: Who reports a running total for which sensor.
        self.counters = frozenset(
            (d.sensor.id, str(d.device)) for found in registry.deployments.values() for d in found if d.counter
        )
        self._shared = _shared(registry)

    def accept(
        self, device: str, received_at: datetime, sent: DeviceReading, arrived_at: datetime | None = None
    ) -> Reading:
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused."""
        reading = self._judge.accept(device, received_at, sent.time, sent.quantity, sent.value, sent.unit, arrived_at)
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
