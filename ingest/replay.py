"""Try again what quarantine holds: what the registry or this version accepts now is stored, once. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Raw

from ingest import sorting
from ingest.sorting import Work
from ingest.validate import IngestValidator, Refused
from kawamori import wire
from kawamori.errors import UndecodableMessage
from kawamori.mqtt import Message
from kawamori.storage.quarantine import Held, Quarantined


@dataclass(slots=True)
class Replay:
    """What one page of quarantine comes to."""

    work: Work = field(default_factory=Work)
    #: Of each row: None where it is stored now, else why it is refused again.
    results: dict[int, str | None] = field(default_factory=dict)


def replayed(validator: IngestValidator, page: Iterable[Held]) -> Replay:
    """What of these rows is stored now. A row that ends in an error of the software is refused again."""
    found = Replay()
    for row in page:
        try:
            work, why = _one(validator, row)
        except Exception as error:  # noqa: BLE001 - the root of a unit of work: a row
            work, why = Work(), f"not processed: {type(error).__name__}"
        found.results[row.id] = why
        if why is None:
            found.work.add(work)
    return found


def _one(validator: IngestValidator, row: Held) -> tuple[Work, str | None]:
    message = Message(row.topic, row.payload, row.received_at, 0, 1, 0)
    if row.topic.startswith("kawamori/v1/gateway/"):
        return _batch(validator, row, message)
    if row.device_id is None:
        return Work(), row.reason
    if row.reason.startswith("status:"):
        return _status(validator, row)
    try:
        return _reading(validator, row, row.payload), None
    except Refused as refusal:
        return Work(), str(refusal)
    except UndecodableMessage as error:
        return _message(validator, row, str(error))


def _batch(validator: IngestValidator, row: Held, message: Message) -> tuple[Work, str | None]:
    """A whole batch: what is refused of it is kept by itself."""
    gateway = sorting.gateway_of(row.topic)
    if gateway is None or gateway not in validator.registry.gateways:
        return Work(), sorting.NOT_REGISTERED
    try:
        batch, wrong = sorting.decode(row.payload)
    except UndecodableMessage as error:
        return Work(), f"batch: {error}"
    return sorting.sort(validator, message, batch, wrong, row.received_at), None


def _status(validator: IngestValidator, row: Held) -> tuple[Work, str | None]:
    if (why := sorting.status_refused(row.payload)) is not None:
        return Work(), why
    if row.device_id not in validator.registry.devices:
        return Work(), sorting.STATUS_OF_NOBODY
    return Work(statuses=[(str(row.device_id), row.received_at, row.payload)]), None


def _reading(validator: IngestValidator, row: Held, raw: bytes) -> Work:
    reading = sorting.accepted(validator, str(row.device_id), row.received_at, raw, None)
    return Work([reading], [(Message(row.topic, raw, row.received_at, 0, 1, 0), 0)])


def _message(validator: IngestValidator, row: Held, why: str) -> tuple[Work, str | None]:
    """A device's whole message, which a gateway of another version could not read."""
    work = Work()
    try:
        said = wire.decode_device_message(row.topic, row.payload)
    except UndecodableMessage:
        return work, why
    raws = wire.readings_of(
        wire.Batch("", 0, readings=[wire.UplinkReading(said.device, row.received_at, Raw(said.readings))])
        if said.readings
        else wire.Batch("", 0)
    )
    for item in raws:
        try:
            work.add(_reading(validator, row, bytes(item.reading)))
        except (Refused, UndecodableMessage) as refusal:
            work.refused.append(_kept(row, bytes(item.reading), str(refusal)))
    work.refused += [_kept(row, raw, reason) for raw, reason in said.refused]
    if not work.readings:
        return Work(), work.refused[0].reason if work.refused else why
    return work, None


def _kept(row: Held, payload: bytes, reason: str) -> Quarantined:
    return Quarantined(
        received_at=row.received_at, topic=row.topic, device_id=row.device_id, reason=reason, payload=payload,
        gateway_id=row.gateway_id,
    )  # fmt: skip
