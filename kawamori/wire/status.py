"""Device status: battery (V), signal (dBm) and other numbers that the device reports. Pure."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kawamori.errors import UndecodableMessage
from kawamori.wire.pieces import without_no_numbers
from kawamori.wire.reasons import DECODING, explain

#: A box that has more to say of itself than this, in bytes, is not saying how it is.
LARGEST_STATUS = 4096
#: Nested deeper than this it is no status; the database's own parser has a stack too.
_DEEPEST = 16
#: No whole number that a box tells is larger: a SIM card's has 20 digits. A float ends at 1.8e308.
_LARGEST_WHOLE = 10**30


class DeviceStatus(Struct, frozen=True, kw_only=True):
    """The numbers of a status that rules and people go by: finite and within bounds, or None."""

    battery_v: float | None = None
    battery_pct: float | None = None
    rssi_dbm: float | None = None
    snr_db: float | None = None
    temperature_c: float | None = None
    humidity_pct: float | None = None
    uptime_s: float | None = None


#: What is possible at all, both ends included; a number outside is a fault of the box.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "battery_v": (0, 1000),
    "battery_pct": (0, 100),
    "rssi_dbm": (-250, 50),
    "snr_db": (-100, 100),
    "temperature_c": (-100, 200),
    "humidity_pct": (0, 100),
    "uptime_s": (0, 1e10),
}
_any = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


def typed_status(status: bytes | Mapping[str, Any] | None) -> DeviceStatus:
    """The known numbers of a status, as stored or as sent; what is of another type or out of bounds is None."""
    if isinstance(status, bytes):
        try:
            status = _any.decode(status)
        except DECODING:
            status = None
    if not isinstance(status, Mapping):
        return DeviceStatus()
    found = {}
    for name, (least, most) in BOUNDS.items():
        value = status.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            found[name] = float(value)
    return DeviceStatus(**found)


def judged_status(raw: bytes) -> tuple[bytes, str | None]:
    """What is to be stored of a status, and why the rest of it is not: UTF-8 JSON that the database takes as it is.

    A number that is none, or so large that no float holds it, is stored as null. Raises UndecodableMessage when
    nothing of it can be stored.
    """
    if len(raw) > LARGEST_STATUS:
        raise UndecodableMessage(f"status: {len(raw)} bytes, more than {LARGEST_STATUS}")
    why = None
    try:
        found = _any.decode(raw)
    except DECODING as error:
        cleaned = without_no_numbers(raw)
        if cleaned == raw:
            raise UndecodableMessage(_reason(error)) from error
        why = "status: holds a number that is none"
        try:
            found = _any.decode(cleaned)
        except DECODING as again:
            raise UndecodableMessage(_reason(again)) from again
    kept, worse = _storable(found, 1)
    return _encoder.encode(kept), worse or why


def checked_status(raw: bytes) -> bytes:
    """What is to be stored of a status; raises UndecodableMessage when nothing of it can be."""
    return judged_status(raw)[0]


def _reason(error: Exception) -> str:
    return f"status: {explain(error)}"[:200]


def _storable(value: Any, depth: int) -> tuple[Any, str | None]:
    """The value with null for what no database column holds, and why; raises UndecodableMessage."""
    if depth > _DEEPEST:
        raise UndecodableMessage(f"status: nested more than {_DEEPEST} deep")
    match value:
        case str():
            if "\x00" in value:
                raise UndecodableMessage("status: holds a NUL")
        case dict():
            if any("\x00" in key for key in value):
                raise UndecodableMessage("status: holds a NUL")
            pairs = {key: _storable(inner, depth + 1) for key, inner in value.items()}
            return {key: kept for key, (kept, _) in pairs.items()}, _first(why for _, why in pairs.values())
        case list():
            items = [_storable(inner, depth + 1) for inner in value]
            return [kept for kept, _ in items], _first(why for _, why in items)
        case bool() | None:
            pass
        case int() if abs(value) > _LARGEST_WHOLE:
            return None, "status: holds a number of too many digits"
        case float() if not math.isfinite(value):
            return None, "status: holds a number that is none"
    return value, None


def _first(reasons: Any) -> str | None:
    return next((why for why in reasons if why is not None), None)
