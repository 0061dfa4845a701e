"""Ingest's way to the judge of readings (`kawamori.domain.judge`), by its settings."""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from kawamori import wire
from kawamori.domain.judge import RESET_BEHIND, Judge, only_registration_can_help
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import Refused, UndecodableMessage
from kawamori.settings import IngestSettings

__all__ = ["Gate", "Refused", "only_registration_can_help", "uploading"]

#: So many old readings of one device in one batch are an upload of its memory, and no clock that was reset.
_UPLOAD = 10


class Gate:
    """Judges readings by one version of the registry.

    `newest`: when each sensor was last measured, as far as is known; kept up to date here.
    """

    def __init__(
        self, registry: Registry, settings: IngestSettings, newest: dict[SensorId, datetime] | None = None
    ) -> None:
        self._judge = Judge(registry, settings.oldest, settings.ahead, newest)
        self.registry = self._judge.registry
        self.zones = {id_: ZoneInfo(sensor.time_zone) for id_, sensor in registry.sensors.items()}

    def accept(
        self, device: str, received_at: datetime, sent: wire.DeviceReading, arrived_at: datetime | None = None,
        *, upload: bool = False,
    ) -> Reading:  # fmt: skip
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused.

        `received_at` is the gateway's clock, `arrived_at` the database's. `upload`: it is one of many old readings.
        """
        return self._judge.accept(
            device, received_at, sent.time, sent.quantity, sent.value, sent.unit, arrived_at, upload=upload
        )


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
