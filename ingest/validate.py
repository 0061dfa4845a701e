"""Hold a reading against the registry: whose is it, when was it, what is it in the sensor's unit? Pure."""

from datetime import UTC

from kawamori.domain.quantity import convert, is_sentinel
from kawamori.domain.reading import Reading
from kawamori.domain.registry import Registry
from kawamori.errors import KawamoriError, UndecodableMessage
from kawamori.settings import IngestSettings
from kawamori.wire import UplinkReading, decode_reading


class Refused(KawamoriError):
    """A reading that cannot be stored; the text names the field and goes to quarantine with the raw bytes."""


def accept(item: UplinkReading, registry: Registry, settings: IngestSettings) -> Reading:
    """The reading in the sensor's stored unit; raises Refused."""
    try:
        sent = decode_reading(item.reading)
    except UndecodableMessage as error:
        raise Refused(str(error)) from error
    at = sent.time
    if at > item.received_at + settings.ahead:
        raise Refused(f"time: more than {settings.ahead} ahead of its arrival")
    if at < item.received_at - settings.oldest:
        raise Refused(f"time: older than the oldest accepted, {settings.oldest.days} days")
    if registry.kept_from is not None and at < registry.kept_from:
        raise Refused("time: older than the raw readings that are kept")
    if sent.quantity not in registry.quantities:
        raise Refused("quantity: not a registered quantity")
    unit = registry.units.get(sent.unit)
    if unit is None:
        raise Refused("unit: not a registered unit")
    if is_sentinel(sent.value):
        raise Refused("value: a sentinel that stands for no measurement")
    if item.device_id not in registry.devices:
        raise Refused("device: not registered")
    deployments = registry.deployments.get((item.device_id, sent.quantity), ())
    if not deployments:
        raise Refused("quantity: this device is not deployed to measure it")
    deployment = next((d for d in reversed(deployments) if d.in_force(at)), None)
    if deployment is None:
        raise Refused("time: the device was not deployed then")
    try:
        value = convert(sent.value, unit, deployment.unit)
    except ValueError as error:
        raise Refused("unit: measures something else than the quantity") from error
    return Reading(
        sensor=deployment.sensor.id,
        observed_at=at.astimezone(UTC),
        value=round(value * deployment.scale + deployment.shift, 9),
        received_at=item.received_at.astimezone(UTC),
    )


def only_registration_can_help(reason: str) -> bool:
    """Whether a newer registry might accept what was refused for this reason."""
    return reason.startswith(("device:", "quantity:", "unit: not", "time: the device"))
