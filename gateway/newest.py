"""Which readings of a backlog people want to see first. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from kawamori import wire
from kawamori.errors import UndecodableMessage

#: By device and quantity: when it was measured, and the reading.
Newest = dict[tuple[str, str], tuple[datetime, wire.UplinkReading]]

#: What was measured within this of its arrival is live.
LIVE = timedelta(minutes=10)
#: More series than this on one gateway are somebody's invention.
MOST_SERIES = 100_000


def _each(payload: bytes) -> Iterator[tuple[wire.DeviceReading, wire.UplinkReading]]:
    """A row's readings, decoded and as sent; a row that cannot be read holds none for this purpose."""
    try:
        batch = wire.decode_batch(payload)
    except UndecodableMessage:
        return
    if not isinstance(batch, wire.DecodedBatch):
        return
    for decoded, sent in zip(batch.readings, wire.decode_raw_batch(payload).readings, strict=True):
        if isinstance(decoded.reading, list):
            several = wire.readings_of(wire.Batch("_", 0, readings=[sent]))
            yield from zip(decoded.reading, several, strict=True)
        else:
            yield decoded.reading, sent


def live_ones(payloads: list[bytes]) -> Newest:
    """What has just been measured, of every device and quantity that these rows have one reading of.

    Of more than one, the older would be late behind the newest, and late readings cost ingest several times as much.
    """
    found: Newest = {}
    several = set()
    for payload in payloads:
        for reading, item in _each(payload):
            key = (item.device_id, reading.quantity)
            if key in found:
                several.add(key)
            elif item.received_at - reading.time <= LIVE:
                found[key] = (reading.time, item)
    return {key: one for key, one in found.items() if key not in several}


def keep_newest(newest: Newest, payload: bytes) -> bool:
    """Keep the newest reading of every device and quantity in this row; whether there was any to keep."""
    grew = False
    for reading, item in _each(payload):
        key = (item.device_id, reading.quantity)
        known = newest.get(key)
        if known is None and len(newest) >= MOST_SERIES:
            continue
        if known is None or known[0] < reading.time:
            newest[key] = (reading.time, item)
            grew = True
    return grew


def batches_of(readings: list[wire.UplinkReading], most: int, together: int) -> Iterator[list[wire.UplinkReading]]:
    """The readings in batches of at most `most` encoded bytes and `together` readings."""
    batch: list[wire.UplinkReading] = []
    size = 0
    for reading in readings:
        added = wire.encoded_size(reading)
        if batch and (size + added > most or len(batch) >= together):
            yield batch
            batch, size = [], 0
        if added <= most:
            batch.append(reading)
            size += added
    if batch:
        yield batch
