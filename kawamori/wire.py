"""The MQTT contract, version 1: topics, payloads, encode and decode. Pure; the same code at both ends.

Readings travel verbatim (`msgspec.Raw`), so that what ingest refuses goes to quarantine with the bytes the
device sent. What is sound is decoded by one call into C; only what is not is looked at piece by piece.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

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
#: What the uplink carries at most: one oversize device message (the broker's limit) in base64, and change.
LARGEST_BATCH = 8 * 1024 * 1024

Time = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]


class DeviceReading(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One measurement as a device states it, in its own unit."""

    time: Time
    quantity: Word
    value: Annotated[float, Meta(ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
    unit: Word
    status: dict[str, Any] | None = None
    seq: int | None = None


class _Peek(Struct, frozen=True):
    """What tells the two forms of a device's message apart, and the status byte for byte."""

    readings: Raw | UnsetType = UNSET
    status: Raw = Raw(b"null")


class _Several(Struct, frozen=True, forbid_unknown_fields=True):
    """The other form of a device's message."""

    readings: Raw
    status: Raw | UnsetType = UNSET
    seq: int | None = None


class DeviceMessage(NamedTuple):
    """A decoded device message: sound readings verbatim, and those that break the contract with the reason."""

    device: DeviceId
    #: One reading or a list of them, as JSON; empty when there is none.
    readings: bytes
    refused: tuple[tuple[bytes, str], ...] = ()
    status: bytes | None = None
    #: The device wants to hear `stored` once this message is journalled.
    seq: int | None = None


class UplinkReading(Struct, frozen=True, gc=False):
    """What a device measured, on its way from gateway to ingest."""

    device_id: str
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


class _Batch(Struct, frozen=True):
    epoch: str
    seq: int
    undecoded: list[UplinkUndecoded] = []
    status: list[UplinkStatus] = []
    #: The first row's number where several travel together; 0 for one row.
    first: int = 0


class Batch(_Batch, frozen=True, kw_only=True):
    """What a gateway forwards at once. `seq` 0 is a repeat of the newest readings, out of turn."""

    readings: list[UplinkReading] = []


class DecodedBatch(_Batch, frozen=True, kw_only=True):
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


#: What may be repeated of a field that nobody knows.
_PLAIN_NAME = re.compile(r"unknown field `[a-z_]{1,32}`$")


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
    #: Somebody has acknowledged every alert of that level.
    acknowledged: bool
    #: A person has silenced something that is higher.
    silenced: bool
    drill: Drill | None
    as_of: Time


_encoder = msgspec.json.Encoder()
_peek = msgspec.json.Decoder(_Peek)
_several = msgspec.json.Decoder(_Several)
_reading = msgspec.json.Decoder(DeviceReading)
_readings = msgspec.json.Decoder(list[DeviceReading])
_one_or_several = msgspec.json.Decoder(DeviceReading | list[DeviceReading])
_raws = msgspec.json.Decoder(list[Raw])
_status = msgspec.json.Decoder(dict[str, Any])
_batch = msgspec.json.Decoder(Batch)
_sound_batch = msgspec.json.Decoder(DecodedBatch)
_ack = msgspec.json.Decoder(Ack)
_alive = msgspec.json.Decoder(Alive)


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


@lru_cache(100_000)
def owner(topic: str) -> str:
    """The device or gateway that a version-1 topic names; raises UndecodableMessage for other topics."""
    parts = topic.split("/")
    if len(parts) != 5 or parts[:2] != ["kawamori", "v1"] or not parts[3]:
        raise UndecodableMessage("topic: not of the version-1 contract")
    return parts[3]


def encode(message: Struct) -> bytes:
    """The message as it travels."""
    return _encoder.encode(message)


_DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_reading(raw: bytes | Raw) -> DeviceReading:
    """Decode one device reading; raises UndecodableMessage that names the field, never the content."""
    try:
        return _reading.decode(raw)
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error


def decode_readings(raws: bytes) -> list[DeviceReading]:
    """The readings of a device message whose envelope was sound; raises UndecodableMessage."""
    try:
        found = _one_or_several.decode(raws) if raws else []
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error
    return found if isinstance(found, list) else [found]


def decode_device_message(topic: str, payload: bytes) -> DeviceMessage:
    """Decode what a device published; raises UndecodableMessage when nothing of it can be used."""
    device = DeviceId(owner(topic))
    if len(payload) > LARGEST_MESSAGE:
        raise UndecodableMessage(f"message: {len(payload)} bytes, more than {LARGEST_MESSAGE}")
    try:
        one = _reading.decode(payload)
    except _DECODING as error:
        return _decode_several(device, payload, error)
    status = bytes(_peek.decode(payload).status) if one.status else None
    return DeviceMessage(device, payload, (), status, one.seq)


def _decode_several(device: DeviceId, payload: bytes, why_not_one: Exception) -> DeviceMessage:
    """The other form; what has no `readings` was meant as one reading, and is refused as such."""
    try:
        if _peek.decode(payload).readings is UNSET:
            raise UndecodableMessage(_explain(why_not_one)) from why_not_one
        several = _several.decode(payload)
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error
    readings = bytes(several.readings)
    status = None if several.status is UNSET else bytes(several.status)
    good: list[bytes] = []
    refused: list[tuple[bytes, str]] = []
    if status is not None:
        try:
            _status.decode(status)
        except _DECODING as error:
            raise UndecodableMessage(f"status: {_explain(error)}") from error
    try:
        raws = _raws.decode(readings)
        with contextlib.suppress(*_DECODING):
            _readings.decode(readings)
            return DeviceMessage(device, readings if raws else b"", (), status, several.seq)
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error
    for index, raw in enumerate(raws):
        try:
            decode_reading(raw)
            good.append(bytes(raw))
        except UndecodableMessage as error:
            refused.append((bytes(raw), f"readings[{index}].{error}"))
    return DeviceMessage(device, b"[%b]" % b",".join(good) if good else b"", tuple(refused), status, several.seq)


def decode_batch(payload: bytes) -> DecodedBatch | Batch:
    """Decode a gateway's batch, with its readings if all of them are sound; raises UndecodableMessage."""
    try:
        return _sound_batch.decode(payload)
    except _DECODING:
        return decode_raw_batch(payload)


def decode_raw_batch(payload: bytes) -> Batch:
    """Decode a gateway's batch, its readings left as they were sent; raises UndecodableMessage."""
    try:
        return _batch.decode(payload)
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error


def merged(payloads: list[bytes]) -> bytes:
    """Several rows of one journal as one batch under the last one's number; raises UndecodableMessage."""
    if len(payloads) == 1:
        return payloads[0]
    batches = [decode_raw_batch(payload) for payload in payloads]
    return encode(
        Batch(
            batches[-1].epoch,
            batches[-1].seq,
            [u for batch in batches for u in batch.undecoded],
            [s for batch in batches for s in batch.status],
            batches[0].seq,
            readings=[r for batch in batches for r in batch.readings],
        )
    )


def readings_of(batch: Batch) -> Iterator[UplinkReading]:
    """A batch's readings one by one, each with its own bytes."""
    for item in batch.readings:
        if bytes(item.reading).startswith(b"["):
            for raw in _raws.decode(item.reading):
                yield UplinkReading(item.device_id, item.received_at, raw)
        else:
            yield item


def decode_ack(payload: bytes) -> Ack:
    """Decode ingest's acknowledgement; raises UndecodableMessage."""
    try:
        return _ack.decode(payload)
    except msgspec.DecodeError as error:
        raise UndecodableMessage(_explain(error)) from error


def decode_alive(payload: bytes) -> Alive:
    """What a gateway says of itself; raises UndecodableMessage."""
    try:
        return _alive.decode(payload)
    except _DECODING as error:
        raise UndecodableMessage(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Name the field and what is wrong with it, without any content of the message."""
    if isinstance(error, msgspec.ValidationError):
        text, _, path = str(error).partition(" - at `$")
        field = path.strip("`.") or "message"
        if "unknown field" in text and not _PLAIN_NAME.search(text):  # the sender's: any length, any character
            text = "Holds a field that is not of the contract"
        if field == "time" and "timezone" in text:
            return "time: has no offset from UTC"
        return f"{field}: {text[0].lower()}{text[1:]}"[:200]
    return "message: not valid JSON"
