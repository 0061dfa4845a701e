"""The MQTT contract, version 1: topics, payloads, encode and decode. Pure; the same code at both ends.

Readings travel verbatim (`msgspec.Raw`), so that what ingest refuses goes to quarantine with the bytes the
device sent.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from kawamori.domain.reading import LARGEST_VALUE, DeviceId
from kawamori.errors import UndecodableMessage

DEVICE_READINGS = "kawamori/v1/device/+/reading"
BATCHES = "kawamori/v1/gateway/+/batch"
#: A device that says more than this in one message is not a sensor.
LARGEST_MESSAGE = 256 * 1024
#: Of a larger one quarantine keeps the beginning: as a whole, in base64, it might not fit through the broker again.
LARGEST_KEPT = 1024 * 1024
#: What the uplink carries at most: one oversize device message (the broker's limit) in base64, and change.
LARGEST_BATCH = 8 * 1024 * 1024

Time = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class DeviceReading(Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement as a device states it, in its own unit."""

    time: Time
    quantity: Word
    value: float
    unit: Word
    status: dict[str, Any] | None = None
    seq: int | None = None


class _DeviceMessage(Struct, frozen=True, forbid_unknown_fields=True):
    readings: list[Raw]
    status: Raw | UnsetType = UNSET
    seq: int | None = None


class _Peek(Struct, frozen=True):
    """What is looked at before we know which of the two forms a message has."""

    readings: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceMessage:
    """A decoded device message: good readings verbatim, and those that break the contract with the reason."""

    device: DeviceId
    readings: tuple[bytes, ...]
    refused: tuple[tuple[bytes, str], ...] = ()
    status: bytes | None = None
    #: The device wants to hear `stored` once this message is journalled.
    seq: int | None = None


class UplinkReading(Struct, frozen=True):
    """A reading on its way from gateway to ingest."""

    device_id: str
    received_at: Time
    #: A DeviceReading, byte for byte as sent.
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


class Batch(Struct, frozen=True):
    """What a gateway forwards at once. `seq` 0 is a repeat of the newest readings, out of turn."""

    epoch: str
    seq: int
    readings: list[UplinkReading] = []
    undecoded: list[UplinkUndecoded] = []
    status: list[UplinkStatus] = []


class Ack(Struct, frozen=True):
    """Ingest has committed this batch."""

    epoch: str
    seq: int


_encoder = msgspec.json.Encoder()
_peek = msgspec.json.Decoder(_Peek)
_many = msgspec.json.Decoder(_DeviceMessage)
_reading = msgspec.json.Decoder(DeviceReading)
_status = msgspec.json.Decoder(dict[str, Any])
_batch = msgspec.json.Decoder(Batch)
_ack = msgspec.json.Decoder(Ack)


def device_topic(device: str, kind: str) -> str:
    """The topic of a device: kind is `reading`, `frame` or `stored`."""
    return f"kawamori/v1/device/{device}/{kind}"


def batch_topic(gateway: str) -> str:
    """Where a gateway forwards its batches."""
    return f"kawamori/v1/gateway/{gateway}/batch"


def ack_topic(gateway: str) -> str:
    """Where ingest acknowledges a gateway's batches."""
    return f"kawamori/v1/gateway/{gateway}/ack"


def owner(topic: str) -> str:
    """The device or gateway that a version-1 topic names; raises UndecodableMessage for other topics."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["kawamori", "v1"] or not parts[3]:
        raise UndecodableMessage("topic: not of the version-1 contract")
    return parts[3]


def encode(message: Struct) -> bytes:
    """The message as it travels."""
    return _encoder.encode(message)


def decode_reading(raw: bytes | Raw) -> DeviceReading:
    """Decode one device reading; raises UndecodableMessage that names the field, never the content."""
    try:
        reading = _reading.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(_explain(error)) from error
    if abs(reading.value) > LARGEST_VALUE:
        raise UndecodableMessage(f"value: beyond ±{LARGEST_VALUE:.0e}")
    return reading


def decode_device_message(topic: str, payload: bytes) -> DeviceMessage:
    """Decode what a device published; raises UndecodableMessage when nothing of it can be used."""
    device = DeviceId(owner(topic))
    if len(payload) > LARGEST_MESSAGE:
        raise UndecodableMessage(f"message: {len(payload)} bytes, more than {LARGEST_MESSAGE}")
    try:
        peek = _peek.decode(payload)
        if peek.readings is UNSET:
            decode_reading(payload)
            status = None if peek.status is UNSET or bytes(peek.status) == b"null" else bytes(peek.status)
            return DeviceMessage(device, (payload.strip(),), (), status, peek.seq)
        many = _many.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(_explain(error)) from error
    if many.status is not UNSET:
        try:
            _status.decode(many.status)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodableMessage(f"status: {_explain(error)}") from error
    good: list[bytes] = []
    refused: list[tuple[bytes, str]] = []
    for index, raw in enumerate(many.readings):
        try:
            decode_reading(raw)
            good.append(bytes(raw))
        except UndecodableMessage as error:
            refused.append((bytes(raw), f"readings[{index}].{error}"))
    return DeviceMessage(
        device, tuple(good), tuple(refused), None if many.status is UNSET else bytes(many.status), many.seq
    )


def decode_batch(payload: bytes) -> Batch:
    """Decode a gateway's batch; raises UndecodableMessage."""
    try:
        return _batch.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(_explain(error)) from error


def decode_ack(payload: bytes) -> Ack:
    """Decode ingest's acknowledgement; raises UndecodableMessage."""
    try:
        return _ack.decode(payload)
    except msgspec.DecodeError as error:
        raise UndecodableMessage(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Name the field and what is wrong with it, without any content of the message."""
    if isinstance(error, msgspec.ValidationError):
        text, _, path = str(error).partition(" - at `$")
        field = path.strip("`.") or "message"
        if "unknown field" in text:  # its name is the sender's: any length, any character
            text = "Holds a field that is not of the contract"
        if field == "time" and "timezone" in text:
            return "time: has no offset from UTC"
        return f"{field}: {text[0].lower()}{text[1:]}"[:200]
    return "message: not valid JSON"
