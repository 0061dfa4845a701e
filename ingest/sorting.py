"""What of a gateway's batch can be stored, and what goes to quarantine and why. Pure.

Each member is judged by itself: a batch that is not sound as a whole is taken apart, and only what is wrong in it is
put aside, byte for byte.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, repeat
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ingest.validate import IngestValidator, Refused, only_registration_can_help, uploading
from kawamori import wire
from kawamori.domain.reading import Reading
from kawamori.errors import UndecodableMessage
from kawamori.mqtt import Message
from kawamori.storage.quarantine import Quarantined

NOT_REGISTERED = "gateway: not registered"
STATUS_OF_NOBODY = "status: its device is not registered"

#: A gateway whose clock is ahead of the database's by more than this is not believed.
_CLOCK_AHEAD = timedelta(minutes=10)
_FIRST_YEAR = 2000
_GATEWAY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELDS = attrgetter("device_id", "received_at", "reading")
_LARGEST_STATUS = 4096


@dataclass(slots=True)
class Work:
    """What one transaction is to store."""

    readings: list[Reading] = field(default_factory=list)
    #: Where each reading came from, should the database refuse it: the gateway's message and the place in it.
    sources: list[tuple[Message, int]] = field(default_factory=list)
    refused: list[Quarantined] = field(default_factory=list)
    statuses: list[tuple[str, datetime, bytes]] = field(default_factory=list)

    def add(self, other: "Work") -> None:
        """Take over what another batch is to store."""
        self.readings += other.readings
        self.sources += other.sources
        self.refused += other.refused
        self.statuses += other.statuses


class _Envelope(Struct, frozen=True):
    """What an acknowledgement needs of a batch, whatever else is wrong with it."""

    epoch: str
    seq: int
    first: int = 0


class _Apart(_Envelope, frozen=True):
    """A batch whose members are still bytes."""

    readings: list[Raw] = []
    undecoded: list[Raw] = []
    status: list[Raw] = []


_envelope = msgspec.json.Decoder(_Envelope)
_apart = msgspec.json.Decoder(_Apart)
_WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def gateway_of(topic: str) -> str | None:
    """The gateway that a topic names; None where that is no gateway's name."""
    try:
        name = wire.owner(topic)
    except UndecodableMessage:
        return None
    return name if _GATEWAY.fullmatch(name) else None


def heard_at(received_at: datetime, arrived_at: datetime) -> datetime:
    """When a gateway heard it, in UTC, where that can be: else when it arrived, by the database's clock."""
    if received_at.year < _FIRST_YEAR or received_at > arrived_at + _CLOCK_AHEAD:
        return arrived_at
    return received_at.astimezone(UTC)


def may_be_accepted_later(reason: str) -> bool:
    """Whether a newer registry might accept what was refused for this reason."""
    return reason.startswith(("sensor:", "gateway:", STATUS_OF_NOBODY)) or only_registration_can_help(reason)


def ack_of(payload: bytes) -> wire.Ack | None:
    """What acknowledges a batch, sound or not; None where it cannot be told."""
    try:
        found = _envelope.decode(payload)
    except _WRONG:
        return None
    return wire.Ack(found.epoch, found.seq, found.first)


def decode(payload: bytes) -> tuple[wire.DecodedBatch | wire.Batch, list[tuple[bytes, str]]]:
    """A batch, and the members that cannot be read with the reason; raises UndecodableMessage if nothing can."""
    try:
        return wire.decode_batch(payload), []
    except UndecodableMessage as error:
        try:
            apart = _apart.decode(payload)
        except _WRONG:
            raise error from None
    return _taken_apart(apart)


def _taken_apart(apart: _Apart) -> tuple[wire.Batch, list[tuple[bytes, str]]]:
    wrong: list[tuple[bytes, str]] = []

    def members(name: str, raws: Sequence[Raw], kind: Any) -> list[Any]:
        found = []
        for place, raw in enumerate(raws):
            try:
                found.append(msgspec.json.decode(raw, type=kind))
            except _WRONG:
                wrong.append((bytes(raw), f"batch: {name}[{place}] cannot be read"))
        return found

    batch = wire.Batch(
        apart.epoch, apart.seq,
        members("undecoded", apart.undecoded, wire.UplinkUndecoded),
        members("status", apart.status, wire.UplinkStatus),
        apart.first,
        readings=members("readings", apart.readings, wire.UplinkReading),
    )  # fmt: skip
    return batch, wrong


def sort(
    validator: IngestValidator,
    message: Message,
    batch: wire.DecodedBatch | wire.Batch,
    wrong: Sequence[tuple[bytes, str]],
    arrived_at: datetime,
) -> Work:
    """What of a batch can be stored, and what goes to quarantine and why."""
    work = Work()
    if not (isinstance(batch, wire.DecodedBatch) and _sort_sound(work, validator, message, batch, arrived_at)):
        raw = batch if isinstance(batch, wire.Batch) else wire.decode_raw_batch(message.payload)
        _sort_each(work, validator, message, raw, arrived_at)
    gateway = gateway_of(message.topic) or ""
    work.refused.extend(
        Quarantined(
            received_at=heard_at(u.received_at, arrived_at), topic=u.topic, device_id=u.device_id, reason=u.reason,
            payload=u.payload, gateway_id=gateway,
        )
        for u in batch.undecoded
    )  # fmt: skip
    for s in batch.status:
        at, raw_status = heard_at(s.received_at, arrived_at), bytes(s.status)
        why = status_refused(raw_status)
        if why is None and s.device_id not in validator.registry.devices:
            why = STATUS_OF_NOBODY
        if why is None:
            work.statuses.append((s.device_id, at, raw_status))
        else:
            work.refused.append(of_device(message, s.device_id, at, raw_status, why))
    work.refused.extend(
        Quarantined(
            received_at=arrived_at, topic=message.topic, device_id=None, reason=reason, payload=payload,
            gateway_id=gateway,
        )
        for payload, reason in wrong
    )  # fmt: skip
    return work


def status_refused(status: bytes) -> str | None:
    """Why a status cannot be stored, or None: the database's JSON holds no NUL and no half of a character."""
    if len(status) > _LARGEST_STATUS:
        return f"status: more than {_LARGEST_STATUS} bytes"
    if b"\\u0000" in status:
        return "status: holds a NUL"
    try:
        status.decode()
    except UnicodeDecodeError:
        return "status: is no UTF-8"
    return None


def _sort_sound(
    work: Work, validator: IngestValidator, message: Message, batch: wire.DecodedBatch, arrived_at: datetime
) -> bool:
    """The usual case: every reading is sound, and none is refused; False where one is, and nothing was taken."""
    accept = validator.accept
    readings: list[Reading] = []
    try:
        for device, at, sent in map(_FIELDS, batch.readings):
            if isinstance(sent, list):
                readings += [accept(device, at, one, arrived_at) for one in sent]
            else:
                readings.append(accept(device, at, sent, arrived_at))
    except Refused:
        return False
    work.readings += readings
    work.sources += zip(repeat(message), range(len(readings)))
    return True


def _sort_each(
    work: Work, validator: IngestValidator, message: Message, batch: wire.Batch, arrived_at: datetime
) -> None:
    """One reading after the other, because some go to quarantine."""
    uploads = uploading(batch, arrived_at)
    for place, item in enumerate(wire.readings_of(batch)):
        try:
            reading = accepted(
                validator, item.device_id, item.received_at, bytes(item.reading), arrived_at,
                upload=item.device_id in uploads,
            )  # fmt: skip
        except (UndecodableMessage, Refused) as refusal:
            at = heard_at(item.received_at, arrived_at)
            work.refused.append(of_device(message, item.device_id, at, item.reading, str(refusal)))
        else:
            work.readings.append(reading)
            work.sources.append((message, place))


def accepted(
    validator: IngestValidator,
    device: str,
    received_at: datetime,
    raw: bytes,
    arrived_at: datetime | None,
    *,
    upload: bool = False,
) -> Reading:
    """One reading as a device sent it; raises UndecodableMessage or Refused."""
    return validator.accept(device, received_at, wire.decode_reading(raw), arrived_at, upload=upload)


def refused_by_database(message: Message, place: int, arrived_at: datetime, reason: str) -> Quarantined:
    """The reading at that place of a gateway's message, byte for byte: read again, because few need it."""
    batch, _ = decode(message.payload)
    raw = batch if isinstance(batch, wire.Batch) else wire.decode_raw_batch(message.payload)
    item = next(islice(wire.readings_of(raw), place, None))
    at = heard_at(item.received_at, arrived_at)
    return of_device(message, item.device_id, at, item.reading, reason)


def of_device(message: Message, device: str, received_at: datetime, payload: Raw | bytes, reason: str) -> Quarantined:
    """A part of a gateway's message that a device sent."""
    return Quarantined(
        received_at=received_at, topic=wire.device_topic(device, "reading"), device_id=device, reason=reason,
        payload=bytes(payload), gateway_id=gateway_of(message.topic) or "",
    )  # fmt: skip


def whole(message: Message, arrived_at: datetime, reason: str) -> Quarantined:
    """A batch as it came."""
    return Quarantined(
        received_at=arrived_at, topic=message.topic, device_id=None, reason=reason,
        payload=message.payload[: wire.LARGEST_BATCH], gateway_id=gateway_of(message.topic) or "",
    )  # fmt: skip
