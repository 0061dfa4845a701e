"""Decode what a device published: each reading of a message on its own, and the status beside it. Pure."""

from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from kawamori.domain.reading import DeviceId
from kawamori.errors import UndecodableMessage
from kawamori.wire import pieces
from kawamori.wire.messages import LARGEST_MESSAGE, DeviceMessage, DeviceReading, owner
from kawamori.wire.reasons import DECODING, explain
from kawamori.wire.status import judged_status

#: More refused pieces than this are one row of quarantine, the message as sent: a device that repeats one fault, or
#: means harm, must not become a hundred thousand rows.
MOST_REFUSED = 20
#: `{"time":"2026-07-14T02:10:00Z","quantity":"q","value":1,"unit":"m"}` has 67: what is shorter is no reading.
_SHORTEST = 64
#: Outside of these no clock is meant, and arithmetic with offsets might overflow.
_EARLIEST, _LATEST = datetime.fromisoformat("1900-01-01T00:00:00Z"), datetime.fromisoformat("2200-01-01T00:00:00Z")


class _Several(Struct, frozen=True, forbid_unknown_fields=True):
    """The other form of a device's message."""

    readings: Raw
    status: Raw | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None


_several_readings = msgspec.json.Decoder(_Several)
_reading = msgspec.json.Decoder(DeviceReading)
_readings = msgspec.json.Decoder(list[DeviceReading])
_one_or_several = msgspec.json.Decoder(DeviceReading | list[DeviceReading])
_text = msgspec.json.Decoder(str)
_seq = msgspec.json.Decoder(DeviceReading.__annotations__["seq"])
#: Beside `status` and `seq`, which are judged by themselves.
_FIELDS = ("time", "quantity", "value", "unit", "mark")

Refused = list[tuple[bytes, str]]


def decode_reading(raw: bytes | Raw) -> DeviceReading:
    """Decode one device reading; raises UndecodableMessage that names the field, never the content."""
    try:
        return _reading.decode(raw)
    except DECODING as error:
        raise UndecodableMessage(explain(error)) from error


def decode_readings(raws: bytes) -> list[DeviceReading]:
    """The readings of a device message whose envelope was sound; raises UndecodableMessage."""
    try:
        found = _one_or_several.decode(raws) if raws else []
    except DECODING as error:
        raise UndecodableMessage(explain(error)) from error
    return found if isinstance(found, list) else [found]


def decode_device_message(topic: str, payload: bytes) -> DeviceMessage:
    """Decode what a device published; raises UndecodableMessage when nothing of it can be used.

    What is wrong in one reading, in the status or in `seq` costs that alone. Numbers that are none (`NaN`), bytes that
    are no UTF-8, names that stand twice, and a message that was cut off are found in the piece that holds them.
    """
    device = DeviceId(owner(topic))
    if len(payload) > LARGEST_MESSAGE:
        raise UndecodableMessage(f"message: {len(payload)} bytes, more than {LARGEST_MESSAGE}")
    try:
        one = _reading.decode(payload)
    except DECODING as error:
        return _usual_several(device, payload) or _take_apart(device, payload, error)
    if _is_plain(payload, 1) and _EARLIEST < one.time < _LATEST:
        if one.status is UNSET:
            return DeviceMessage(device, payload, (), None, one.seq)
        envelope = _Envelope()
        envelope.take_status(bytes(one.status))
        if not envelope.refused:
            return DeviceMessage(device, payload, (), envelope.status, one.seq)
    return _take_apart(device, payload, None)


def _usual_several(device: DeviceId, payload: bytes) -> DeviceMessage | None:
    """A message with several readings, all of it sound; None where it has to be taken apart."""
    try:
        several = _several_readings.decode(payload)
        raw = bytes(several.readings)
        found = _readings.decode(raw)
    except DECODING:
        return None
    sound = _is_plain(raw, len(found)) and b"\\" not in payload and payload.count(b'"readings"') == 1
    if not sound or not all(_EARLIEST < one.time < _LATEST for one in found):
        return None
    envelope = _Envelope()
    if several.status is not UNSET:
        envelope.take_status(bytes(several.status))
    return DeviceMessage(device, raw if found else b"", tuple(envelope.refused), envelope.status, several.seq)


def _is_plain(raw: bytes, count: int) -> bool:
    """Whether each name of a reading stands in so many readings once: a decoder takes the last of two silently."""
    return (
        b"\\" not in raw
        and raw.count(b'"time"') == count
        and raw.count(b'"quantity"') == count
        and raw.count(b'"value"') == count
        and raw.count(b'"unit"') == count
        and raw.count(b'"mark"') < 2
    )


def _take_apart(device: DeviceId, payload: bytes, why: Exception | None) -> DeviceMessage:
    """A message with a status, with several readings, or with something wrong in it."""
    found = pieces.members(payload)
    if found is None:
        raise UndecodableMessage(explain(why) if why else "message: not valid JSON") from why
    envelope = _Envelope()
    lists: list[bytes] = []
    others: list[tuple[bytes, bytes]] = []
    for key, value in found.pairs:
        match _name(key):
            case "readings":
                lists.append(value)
            case "status":
                envelope.take_status(value)
            case "seq":
                envelope.take_seq(value)
            case _:
                others.append((key, value))
    if lists:
        if found.fault is not None:
            envelope.refused.append((payload, f"message: {found.fault}"))
        return _several(device, payload, lists, others, envelope)
    try:
        reading = _sound(_whole(found), None if envelope.refused else payload)
    except UndecodableMessage as error:
        if envelope.status is None:
            raise
        return DeviceMessage(device, b"", ((payload, str(error)),), envelope.status, envelope.seq)
    return DeviceMessage(device, reading, tuple(envelope.refused), envelope.status, envelope.seq)


def _whole(found: pieces.Members) -> list[tuple[bytes, bytes]]:
    """What a reading is made of; raises UndecodableMessage where it was cut off, or goes on after its end."""
    if found.fault is not None:
        raise UndecodableMessage(f"message: {found.fault}")
    return [(key, value) for key, value in found.pairs if _name(key) not in ("status", "seq")]


class _Envelope:
    """What stands beside the readings."""

    def __init__(self) -> None:
        self.status: bytes | None = None
        self.seq: int | None = None
        self.refused: Refused = []

    def take_status(self, raw: bytes) -> None:
        if raw == b"null":
            return
        try:
            self.status, why = judged_status(raw)
        except UndecodableMessage as error:
            why = str(error)
        if why is not None:
            self.refused.append((raw, why))

    def take_seq(self, raw: bytes) -> None:
        try:
            self.seq = _seq.decode(raw)
        except DECODING as error:
            self.refused.append((raw, f"seq: {explain(error).partition(': ')[2]}"))


def _name(key: bytes) -> str | None:
    """A member's name; None where it is none."""
    try:
        return _text.decode(key)
    except DECODING:
        return None


def _sound(members: list[tuple[bytes, bytes]], as_sent: bytes | None) -> bytes:
    """A reading of these members, as sent where nothing had to be left out; raises UndecodableMessage."""
    core: dict[str, bytes] = {}
    for key, value in members:
        name = _name(key)
        if name in core:
            raise UndecodableMessage(f"{name}: stands twice in one reading")
        if name not in _FIELDS:
            break  # the decoder says it best
        if pieces.is_no_number(value):
            raise UndecodableMessage(f"{name}: a number that is none (NaN or infinity)")
        core[name] = value
    raw = b"{%b}" % b",".join(b"%b:%b" % member for member in members)
    reading = decode_reading(raw)
    if not _EARLIEST < reading.time < _LATEST:
        raise UndecodableMessage("time: not between the years 1900 and 2200")
    return raw if as_sent is None or _fails(as_sent) else as_sent


def _fails(raw: bytes) -> bool:
    """Whether it cannot travel as it was sent: what is wrong with it stands outside of the reading."""
    try:
        _reading.decode(raw)
    except DECODING:
        return True
    return False


def _several(
    device: DeviceId, payload: bytes, lists: list[bytes], others: list[tuple[bytes, bytes]], envelope: _Envelope
) -> DeviceMessage:
    """The form with `readings`."""
    judged = [_judged(raw) for raw in lists]
    good = [one for verdict in judged for one in verdict.good]
    refused = [one for verdict in judged for one in verdict.refused]
    refused += [(value, "message: holds a field that is not of the contract") for _, value in others]
    total = sum(verdict.total for verdict in judged)
    bad = sum(verdict.bad for verdict in judged)
    if bad + len(others) > MOST_REFUSED:
        first = refused[0][1]
        refused = [(payload, f"readings: {bad} of {total} refused, first: {first}"[:200])]
    if len(judged) == 1 and judged[0].whole is not None:
        readings = judged[0].whole
    else:
        readings = b"[%b]" % b",".join(good) if good else b""
    return DeviceMessage(device, readings, (*refused, *envelope.refused), envelope.status, envelope.seq)


class _Verdict(NamedTuple):
    """What became of one list of readings."""

    total: int
    bad: int
    good: list[bytes]
    #: The first ones, as sent, with the reason.
    refused: Refused
    #: The list as sent, when all of it is sound.
    whole: bytes | None = None


def _judged(raw: bytes) -> _Verdict:
    """Decode each reading of a list on its own."""
    try:
        found = _readings.decode(raw)
    except DECODING:
        pass
    else:
        if _is_plain(raw, len(found)) and all(_EARLIEST < one.time < _LATEST for one in found):
            return _Verdict(len(found), 0, [], [], raw if found else b"")
    cut = pieces.elements(raw)
    if cut is None:
        return _Verdict(1, 1, [], [(raw, "readings: expected `array`")])
    good: list[bytes] = []
    refused: Refused = []
    bad = 0
    for index, piece in enumerate(cut):
        if bad > MOST_REFUSED and len(piece) < _SHORTEST:
            bad += 1
            continue
        try:
            good.append(_member(piece))
        except UndecodableMessage as error:
            bad += 1
            if bad <= MOST_REFUSED:
                refused.append((piece, f"readings[{index}].{error}"))
    return _Verdict(len(cut), bad, good, refused)


def _member(raw: bytes) -> bytes:
    """One reading of several as it may travel; raises UndecodableMessage."""
    members = pieces.members(raw)
    if members is None:
        decode_reading(raw)  # says what it is instead
        raise UndecodableMessage("message: not valid JSON")
    return _sound(_whole(members), raw)
