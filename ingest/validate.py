"""Ingest's way to the judge of readings (`kawamori.domain.judge`), by its settings."""

from datetime import datetime
from zoneinfo import ZoneInfo

from kawamori.domain.judge import Judge, only_registration_can_help
from kawamori.domain.reading import Reading
from kawamori.domain.registry import Registry
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

    def accept(
        self, device: str, received_at: datetime, sent: DeviceReading, arrived_at: datetime | None = None
    ) -> Reading:
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused."""
        return self._judge.accept(device, received_at, sent.time, sent.quantity, sent.value, sent.unit, arrived_at)
