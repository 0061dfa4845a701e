"""Batches between gateways and ingest, their acknowledgements, and gateways' signs of life. Pure."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from kawamori.errors import UndecodableMessage
from kawamori.wire.messages import (
    LARGEST_TOPIC,
    Ack,
    Alive,
    Batch,
    DecodedBatch,
    UplinkReading,
    UplinkStatus,
    UplinkUndecoded,
    device_topic,
    encode,
    is_device_name,
)
from kawamori.wire.reasons import DECODING, explain

#: A gateway's clock says something between these, or the nearer of them is taken: one without a clock of its own begins
#: in 1970, and its readings count nevertheless. Arithmetic with what lies between never overflows.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
#: Longer reasons are not ours.
_LONGEST_REASON = 300
#: What a row's parts take in JSON beside their bytes: names, times, brackets.
_AROUND = 200

_raws = msgspec.json.Decoder(list[Raw])
_batch = msgspec.json.Decoder(Batch)
_sound_batch = msgspec.json.Decoder(DecodedBatch)
_ack = msgspec.json.Decoder(Ack)
_alive = msgspec.json.Decoder(Alive)
_STAMP = re.compile(rb',"sent_at":"[0-9T:.Z+-]{20,40}"}\Z')
#: Nothing that a database's text, a log or a page would trip over.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

AnyBatch = TypeVar("AnyBatch", Batch, DecodedBatch)
Item = TypeVar("Item", bound=msgspec.Struct)


def decode_batch(payload: bytes) -> DecodedBatch | Batch:
    """Decode a gateway's batch, with its readings if all of them are sound; raises UndecodableMessage.

    Times of gateways lie between 2000 and 2100 then, names of devices are of the contract, and texts are short and
    printable. A reading of a device of no such name stands under `undecoded`.
    """
    try:
        return _within_bounds(_sound_batch.decode(payload), payload)
    except DECODING:
        return decode_raw_batch(payload)


def decode_raw_batch(payload: bytes) -> Batch:
    """Decode a gateway's batch within the same bounds, its readings left as sent; raises UndecodableMessage."""
    try:
        return _within_bounds(_batch.decode(payload), payload)
    except DECODING as error:
        raise UndecodableMessage(explain(error)) from error


def _within_bounds(batch: AnyBatch, payload: bytes) -> AnyBatch:
    """The batch itself where nothing in it is odd."""
    changes: dict[str, Any] = {}
    nameless: list[UplinkUndecoded] = []
    if any(_is_odd(item.received_at, item.device_id) for item in (*batch.readings, *batch.status)):
        nameless = list(_of_no_device(_batch.decode(payload)))
        changes["readings"] = [_timely(item) for item in batch.readings if is_device_name(item.device_id)]
        changes["status"] = [_timely(item) for item in batch.status if is_device_name(item.device_id)]
    if batch.undecoded or nameless:
        changes["undecoded"] = [_plain(item) for item in (*batch.undecoded, *nameless)]
    if batch.sent_at is not UNSET and not EARLIEST <= batch.sent_at <= LATEST:
        changes["sent_at"] = _clamped(batch.sent_at)
    return replace(batch, **changes) if changes else batch


def _is_odd(at: datetime, device: str) -> bool:
    return not (EARLIEST <= at <= LATEST and is_device_name(device))


def _of_no_device(batch: Batch) -> Iterator[UplinkUndecoded]:
    """The readings and statuses of devices whose names are none."""
    for reading in batch.readings:
        if not is_device_name(reading.device_id):
            yield _nameless(reading.device_id, reading.received_at, reading.reading)
    for said in batch.status:
        if not is_device_name(said.device_id):
            yield _nameless(said.device_id, said.received_at, said.status)


def _nameless(device: str, at: datetime, payload: Raw) -> UplinkUndecoded:
    topic = device_topic(device[:LARGEST_TOPIC], "reading")
    return UplinkUndecoded(topic, at, bytes(payload), "device: no name of the version-1 contract")


def _clamped(moment: datetime) -> datetime:
    return min(max(moment, EARLIEST), LATEST)


def _timely(item: Item) -> Item:
    """With a time of arrival within bounds."""
    at = item.received_at  # type: ignore[attr-defined]
    return item if EARLIEST <= at <= LATEST else replace(item, received_at=_clamped(at))


def _plain(item: UplinkUndecoded) -> UplinkUndecoded:
    """With a topic and a reason that any column takes, and a device only where that is a name."""
    topic, reason = _line(item.topic, LARGEST_TOPIC), _line(item.reason, _LONGEST_REASON)
    device = item.device_id if item.device_id is not None and is_device_name(item.device_id) else None
    at = _clamped(item.received_at)
    if (topic, reason, device, at) == (item.topic, item.reason, item.device_id, item.received_at):
        return item
    return UplinkUndecoded(topic, at, item.payload, reason, device)


def _line(text: str, longest: int) -> str:
    """One printable line of at most so many characters."""
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return _UNPRINTABLE.sub("\ufffd", text)


def undecoded(topic: str, at: datetime, payload: bytes, reason: str) -> UplinkUndecoded:
    """What a gateway forwards of a message that it could not decode."""
    parts = topic[:LARGEST_TOPIC].split("/")
    device = parts[3] if len(parts) == 5 and is_device_name(parts[3]) else None
    return _plain(UplinkUndecoded(topic, at, payload, reason, device))


def stamped(payload: bytes, now: datetime) -> bytes:
    """An encoded batch with its time of sending, at its very end (`unstamped` takes it off)."""
    at = now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return b'%b,"sent_at":"%bZ"}' % (unstamped(payload)[:-1], at.encode())


def unstamped(payload: bytes) -> bytes:
    """An encoded batch without its time of sending: the same bytes each time that it is sent."""
    stamp = _STAMP.search(payload, max(0, len(payload) - 64))
    return payload if stamp is None else payload[: stamp.start()] + b"}"


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


def encoded_size(item: UplinkReading | UplinkUndecoded | UplinkStatus) -> int:
    """About how many bytes it takes in a batch, and no fewer."""
    match item:
        case UplinkReading():
            return len(bytes(item.reading)) + len(item.device_id) + _AROUND
        case UplinkStatus():
            return len(bytes(item.status)) + len(item.device_id) + _AROUND
        case UplinkUndecoded():  # base64, and text that may be escaped
            text = len(item.topic.encode(errors="replace")) + len(item.reason.encode(errors="replace"))
            return (len(item.payload) + 2) // 3 * 4 + 2 * text + 2 * _AROUND


def split_batch(payload: bytes, most: int) -> list[Batch]:
    """The content of a batch as batches that take about `most` bytes each, and more only for a single item.

    They carry the number of the whole; raises UndecodableMessage.
    """
    whole = decode_raw_batch(payload)
    found = [Batch(whole.epoch, whole.seq, [], [], readings=[])]
    size = 0
    for item in _items(whole):
        added = encoded_size(item)
        if size and size + added > most:
            found.append(Batch(whole.epoch, whole.seq, [], [], readings=[]))
            size = 0
        size += added
        match item:
            case UplinkReading():
                found[-1].readings.append(item)
            case UplinkStatus():
                found[-1].status.append(item)
            case UplinkUndecoded():
                found[-1].undecoded.append(item)
    return found


def _items(batch: Batch) -> Iterator[UplinkReading | UplinkStatus | UplinkUndecoded]:
    yield from readings_of(batch)
    yield from batch.status
    yield from batch.undecoded


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
    except DECODING as error:
        raise UndecodableMessage(explain(error)) from error


def decode_alive(payload: bytes) -> Alive:
    """What a gateway says of itself, its clock between 2000 and 2100; raises UndecodableMessage."""
    try:
        found = _alive.decode(payload)
    except DECODING as error:
        raise UndecodableMessage(explain(error)) from error
    return found if found.clock is None else replace(found, clock=_clamped(found.clock))
