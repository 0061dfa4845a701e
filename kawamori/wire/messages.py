"""What travels, and on which topics: the types of the MQTT contract, version 1."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from kawamori.domain.reading import LARGEST_VALUE, DeviceId
from kawamori.errors import UndecodableMessage

DEVICE_READINGS = "kawamori/v1/device/+/reading"
BATCHES = "kawamori/v1/gateway/+/batch"
ALIVE = "kawamori/v1/gateway/+/alive"
#: A device that says more than this in one message is not a sensor.
LARGEST_MESSAGE = 256 * 1024
#: Of a larger one quarantine keeps the beginning: as a whole, in base64, it might not fit through the broker again.
LARGEST_KEPT = 1024 * 1024
#: What the uplink carries at most in one packet: half of the broker's own limit (deploy/mosquitto), and several times
#: the largest row that one device message can become.
LARGEST_BATCH = 8 * 1024 * 1024
#: A topic of the contract is at most 87 characters long; longer ones are neither looked at nor remembered.
LARGEST_TOPIC = 200

Time = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class DeviceReading(Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One measurement as a device states it, in its own unit."""

    time: Time
    quantity: Word
    value: Annotated[float, Meta(ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
    unit: Word
    #: Validated separately (`judged_status`).
    status: Raw | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    #: What its source writes beside the number: it is estimated, or only a bound. Such a value is in doubt.
    mark: Word | None = None


class DeviceMessage(NamedTuple):
    """A decoded device message: sound readings verbatim, and what breaks the contract with the reason."""

    device: DeviceId
    #: One reading or a list of them, as JSON; empty when there is none.
    readings: bytes
    #: What goes to quarantine, byte for byte: a reading, a status, or the message as a whole.
    refused: tuple[tuple[bytes, str], ...] = ()
    #: As it may be stored.
    status: bytes | None = None
    #: The device wants to hear `stored` once this message is journalled.
    seq: int | None = None


class UplinkReading(Struct, frozen=True, gc=False):
    """What a device measured, on its way from gateway to ingest."""

    device_id: str
    #: By the gateway's clock.
    received_at: Time
    #: One DeviceReading or a list of them, byte for byte as sent.
    reading: Raw


class UplinkUndecoded(Struct, frozen=True):
    """A message that the gateway could not decode; `payload` is base64 on the wire."""

    topic: str
    received_at: Time
    payload: bytes
    reason: str
    device_id: str | None = None


class UplinkStatus(Struct, frozen=True):
    """What a device says of itself: battery, signal."""

    device_id: str
    received_at: Time
    status: Raw


class Decoded(Struct, frozen=True, gc=False):
    """An UplinkReading whose readings are sound."""

    device_id: str
    received_at: Time
    reading: DeviceReading | list[DeviceReading]


class BatchParts(Struct, frozen=True):
    """What both forms of a batch share."""

    epoch: Word
    seq: Number
    undecoded: list[UplinkUndecoded] = []
    status: list[UplinkStatus] = []
    #: The first row's number where several travel together; 0 for one row. Of readings out of turn (`seq` 0), their own
    #: number, by which the acknowledgement is known.
    first: Number = 0
    #: When it left, by the gateway's clock. `sent_at - received_at` is how long a reading lay in the journal, by one
    #: clock: seconds for what is live, longer for a backlog. Arrival minus `sent_at` is what the gateway's clock is
    #: behind, plus the way. Gateways before this field leave it out.
    sent_at: Time | UnsetType = UNSET


class Batch(BatchParts, frozen=True, kw_only=True):
    """What a gateway forwards at once. `seq` 0 is a repeat of the newest readings, out of turn."""

    readings: list[UplinkReading] = []


class DecodedBatch(BatchParts, frozen=True, kw_only=True):
    """A Batch all of whose readings are sound: the usual case, decoded in one go."""

    readings: list[Decoded] = []


class Ack(Struct, frozen=True):
    """Ingest has committed this batch."""

    epoch: str
    seq: int
    #: As in the batch: two batches that end with one row need not begin with one.
    first: int = 0


class Alive(Struct, frozen=True):
    """A gateway is there, and has so many rows still to forward."""

    waiting: Annotated[int, Meta(ge=0, le=2**53)] = 0
    #: Rows that could not be delivered, and wait on the gateway for a person.
    set_aside: Annotated[int, Meta(ge=0, le=2**53)] = 0
    #: The gateway's own clock as it said so; None of gateways before this field.
    clock: Time | None = None


class Drill(Struct, frozen=True, kw_only=True):
    """What an exercise or a test says of a station."""

    status: Literal["exercise", "test"]
    flood_level: int
    since: Time
    value_m: float | None


class StationState(Struct, frozen=True, kw_only=True):
    """A station's state of alert at `as_of`, for sirens and displays.

    It is repeated every half minute: one that is older than two minutes says nothing any more, neither that there is
    danger nor that there is none. A siren that reads `flood_level` alone never sounds in a drill: that number is of
    real alerts only, and what a drill says stands in `drill`.
    """

    station_id: str
    #: The highest level that real alerts say, 0 where there is none; those that a person has silenced do not count.
    flood_level: int
    state: Literal["none", "firing"]
    #: Of a drill while nothing real is on.
    status: Literal["actual", "exercise", "test"]
    #: False while only doubtful readings say so.
    verified: bool
    #: Since when, and the reading that showed it.
    since: Time | None
    value_m: float | None
    #: Every alert of that level is acknowledged.
    acknowledged: bool
    #: A person has silenced something that is higher.
    silenced: bool
    drill: Drill | None
    as_of: Time


def encode(message: Struct) -> bytes:
    """The message as it travels."""
    return _encoder.encode(message)


_encoder = msgspec.json.Encoder()


def device_topic(device: str, kind: str) -> str:
    """The topic of a device: kind is `reading`, `frame` or `stored`."""
    return f"kawamori/v1/device/{device}/{kind}"


def batch_topic(gateway: str) -> str:
    """Where a gateway forwards its batches."""
    return f"kawamori/v1/gateway/{gateway}/batch"


def ack_topic(gateway: str) -> str:
    """Where ingest acknowledges a gateway's batches."""
    return f"kawamori/v1/gateway/{gateway}/ack"


def alive_topic(gateway: str) -> str:
    """Where a gateway says every few seconds that it is there."""
    return f"kawamori/v1/gateway/{gateway}/alive"


def alert_topic(station: str) -> str:
    """Where a station's state of alert is shown to sirens and displays, retained."""
    return f"kawamori/v1/alert/{station}"


_GATEWAY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEVICE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NAMES = {"gateway": _GATEWAY, "device": _DEVICE}


@lru_cache(100_000)
def _owner(topic: str) -> str | None:
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["kawamori", "v1"]:
        return None
    name = _NAMES.get(parts[2])
    return parts[3] if name is not None and name.fullmatch(parts[3]) else None


def owner(topic: str) -> str:
    """The device or gateway that a version-1 topic names; raises UndecodableMessage for other topics and names.

    A gateway is `[A-Za-z0-9_-]{1,64}`, a device may have dots and colons in its name too.
    """
    found = _owner(topic) if len(topic) <= LARGEST_TOPIC else None
    if found is None:
        kind = topic[:LARGEST_TOPIC].removeprefix("kawamori/v1/").partition("/")[0]
        raise UndecodableMessage(
            f"{kind}: no name of the version-1 contract" if kind in _NAMES else "topic: not of the version-1 contract"
        )
    return found


@lru_cache(100_000)
def _is_device(name: str) -> bool:
    return _DEVICE.fullmatch(name) is not None


def is_device_name(name: str) -> bool:
    """Whether a device may be called so."""
    return len(name) <= 64 and _is_device(name)
