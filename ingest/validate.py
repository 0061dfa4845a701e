"""Hold a reading against the registry: whose is it, when was it, what is it in the sensor's unit? Pure."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kawamori.domain.quantity import SENTINELS, Unit, convert
from kawamori.domain.reading import Flag, Reading
from kawamori.domain.registry import Deployment, Registry
from kawamori.errors import KawamoriError
from kawamori.settings import IngestSettings
from kawamori.wire import DeviceReading

_EVER = datetime.min.replace(tzinfo=UTC)


#: A gateway whose clock is ahead of the database's by more than this is not believed.
_CLOCK_AHEAD = timedelta(minutes=10)
_FIRST_YEAR = 2000


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
        self._received_at = _EVER
        self._earliest = self._latest = _EVER
        self._kept_from = registry.kept_from or _EVER

    def accept(
        self, device: str, received_at: datetime, sent: DeviceReading, arrived_at: datetime | None = None
    ) -> Reading:
        """The reading in the sensor's stored unit, good until quality control has judged it; raises Refused.

        `received_at` is the gateway's clock, and not believed where `arrived_at`, the database's, says otherwise.
        """
        if received_at != self._received_at:  # what came in one piece shares one object, which saves memory too
            self._hear(received_at, arrived_at)
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
        return Reading(deployment.sensor.id, at, value, self._received_at, Flag.GOOD)

    def _hear(self, received_at: datetime, arrived_at: datetime | None) -> None:
        """Between which times readings are accepted that came then."""
        if arrived_at is not None and (received_at.year < _FIRST_YEAR or received_at > arrived_at + _CLOCK_AHEAD):
            received_at = arrived_at
        received_at = received_at.astimezone(UTC)
        self._received_at = received_at
        self._earliest = received_at - self._settings.oldest
        self._latest = received_at + self._settings.ahead

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


def only_registration_can_help(reason: str) -> bool:
    """Whether a newer registry might accept what was refused for this reason."""
    return reason.startswith(("device:", "quantity:", "unit: not", "time: the device"))
