"""Turn what several devices of one sensor, or a counter, state into what the sensor's series is to hold.

Runs in the transaction that stores the readings, with the sensors locked.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from kawamori.domain.correction import as_stated
from kawamori.domain.counter import Total, recount
from kawamori.domain.reading import Flag, Reading, Reason, SensorId
from kawamori.domain.statement import Statement, newer, standing
from kawamori.storage.database import Connection
from kawamori.storage.readings import Key
from kawamori.storage.statements import drop_statements, put_statements, put_totals, statements_of, totals_around

_CONFLICT = int(Reason.CONFLICT)
#: Judged of the total, and nothing that its increment has to do with.
_OF_THE_TOTAL = int(Reason.RANGE)
#: In whose name a statement stands that was stored while one device alone measured for the sensor.
_ALONE = ""

#: Each sensor's readings, and the moments at which they are what stands, whatever was stated before.
Resolved = tuple[dict[SensorId, list[Reading]], dict[SensorId, Collection[datetime]]]


async def resolve(
    connection: Connection,
    by_sensor: dict[SensorId, list[Reading]],
    counters: Collection[tuple[SensorId, str]],
) -> Resolved:
    """Replace readings that name their device; `counters` are the devices that report running totals for a sensor."""
    final: dict[SensorId, Collection[datetime]] = {}
    shared: list[Reading] = []
    resolved: dict[SensorId, list[Reading]] = {}
    for sensor, readings in by_sensor.items():
        if not any(r.device for r in readings):
            resolved[sensor] = readings
            continue
        totals: dict[str, list[Reading]] = defaultdict(list)
        for reading in readings:
            if reading.device and (sensor, reading.device) in counters:
                totals[reading.device].append(reading)
        shared += [r for r in readings if r.device and r.device not in totals]
        amounts = [r for device, of in totals.items() for r in await _amounts(connection, sensor, device, of)]
        resolved[sensor] = [r for r in readings if not r.device] + amounts
        final[sensor] = {r.observed_at for r in amounts}
    if shared:
        for reading in await _settle(connection, shared):
            resolved[reading.sensor].append(reading)
            final[reading.sensor] = {*final[reading.sensor], reading.observed_at}
    return {sensor: readings for sensor, readings in resolved.items() if readings}, final


async def _amounts(connection: Connection, sensor: SensorId, device: str, readings: list[Reading]) -> list[Reading]:
    """What these totals of one device come to."""
    times = [r.observed_at for r in readings]
    stored = await totals_around(connection, sensor, device, min(times), max(times))
    found = recount(stored, ((r.observed_at, Total(_word(r), r.received_at)) for r in readings))
    await put_totals(connection, sensor, device, found.totals)
    own = {r.observed_at: r.reasons & ~_OF_THE_TOTAL for r in readings}
    return [
        Reading(
            sensor, at, amount, total.received_at, Flag.GOOD,
            own.get(at, 0) | (_CONFLICT if total.word.disputed else 0),
            None if total.word.at == total.received_at else total.word.at,
        )
        for at, (amount, total) in sorted(found.amounts.items())
    ]  # fmt: skip


async def _settle(connection: Connection, readings: list[Reading]) -> list[Reading]:
    """What stands of what several devices state about the same moments."""
    moments = sorted({r.key for r in readings})
    known, stands = await statements_of(connection, moments)
    first: dict[Key, Reading] = {}
    changed: dict[tuple[SensorId, datetime, str], Statement] = {}
    claimed: list[Key] = []
    for reading in readings:
        key, device = reading.key, reading.device or _ALONE
        words = known.setdefault(key, {})
        if not words and key in stands:
            words[_ALONE] = _word(as_stated(stands[key]))
            changed[(*key, _ALONE)] = words[_ALONE]
        word = _word(reading)
        if words.get(_ALONE) == word:  # the statement itself, come again: now it is known whose it is
            del words[_ALONE]
            changed.pop((*key, _ALONE), None)
            claimed.append(key)
        words[device] = newer(words[device], word) if device in words else word
        changed[(*key, device)] = words[device]
        if key not in first or reading.received_at < first[key].received_at:
            first[key] = reading
    await put_statements(connection, changed)
    await drop_statements(connection, claimed, _ALONE)
    settled = []
    for (sensor, at), reading in sorted(first.items()):
        word = standing(known[sensor, at].values())
        received = reading.received_at
        if (sensor, at) in stands:
            received = min(received, stands[sensor, at].received_at)
        reasons = reading.reasons & ~_CONFLICT | (_CONFLICT if word.disputed else 0)
        stated_at = None if word.at == received else word.at
        settled.append(Reading(sensor, at, word.value, received, Flag.GOOD, reasons, stated_at))
    return settled


def _word(reading: Reading) -> Statement:
    return Statement(reading.value, reading.stated_at or reading.received_at, bool(reading.reasons & _CONFLICT))
