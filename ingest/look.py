"""A second look at what was stored: what one reading alone does not show, the newest few and the clock do.

Every few seconds each worker looks at the sensors whose newest reading is late or lies beyond its limits. A clock that
is behind gets the reason CLOCK on the newest reading; failed readings that agree with each other show a wrong limit,
and get the reason LIMIT: both are in doubt, alarm, and are named by the rules `clock` and `limits`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ingest.quality import CLOCK, FLAG_OF, LIMIT, RANGE
from kawamori.domain.calendar import Calendar
from kawamori.domain.lag import lag_of
from kawamori.domain.limits import AGREEING, Seen, agreeing_run
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Sensor
from kawamori.observe import log
from kawamori.storage import readings as rows
from kawamori.storage.database import Database

#: Of a sensor beyond its limits, so many of the newest readings are looked at.
_NEWEST = 2 * AGREEING
#: A device sends what it kept one after the other: none came for so long, so it has nothing newer.
SETTLED = timedelta(seconds=15)
#: What arrived longer ago than this is not looked at any more.
_HEARD = timedelta(hours=2)


def found_in(
    before: rows.Noted, newest: Sequence[Reading], sensor: Sensor, now: datetime
) -> tuple[rows.Noted, list[tuple[Reading, Reading]]]:
    """What is to be noted of a sensor, and its readings whose reasons change. `newest` is newest first. Pure."""
    added: dict[Reading, int] = {}
    if newest and SETTLED <= now - newest[0].received_at <= _HEARD:
        lag = lag_of([(r.observed_at, r.received_at) for r in reversed(newest)], sensor.usual_delay)
        if lag is not None and lag.is_clock:
            added[newest[0]] = CLOCK
    run = agreeing_run(Seen(r.observed_at, r.value, bool(r.reasons & (RANGE | LIMIT))) for r in newest)
    beyond_since = min((seen.at for seen in run), default=None)
    if beyond_since is not None:
        for reading in newest[: len(run)]:
            if reading.reasons & RANGE:
                added[reading] = added.get(reading, 0) | LIMIT
        beyond_since = min(beyond_since, before.beyond_since or beyond_since)
    changed = [(r, _with(r, reasons)) for r, reasons in added.items() if r.reasons | reasons != r.reasons]
    return before._replace(beyond_since=beyond_since), changed


def _with(reading: Reading, reason: int) -> Reading:
    reasons = reading.reasons | reason
    return reading._replace(reasons=reasons, flag=FLAG_OF[reasons])


async def look_again(
    database: Database, sensors: Mapping[SensorId, Sensor], calendars: Mapping[SensorId, Calendar]
) -> None:
    """Look at what came last, and write down what that shows."""
    async with database.transaction() as connection:
        noted, now = await rows.noteworthy(connection)
        noted = [one for one in noted if one.sensor in sensors]
        newest = await rows.newest_readings(connection, [one.sensor for one in noted], _NEWEST)
        found = [found_in(one, newest.get(one.sensor, []), sensors[one.sensor], now) for one in noted]
    wanted = {
        before.sensor for before, (after, changed) in zip(noted, found, strict=True) if changed or after != before
    }
    if not wanted:
        return
    async with database.transaction() as connection:
        await rows.lock_sensors(connection, wanted)
        noted = [one for one in (await rows.noteworthy(connection))[0] if one.sensor in wanted]
        newest = await rows.newest_readings(connection, [one.sensor for one in noted], _NEWEST)
        found = [found_in(one, newest.get(one.sensor, []), sensors[one.sensor], now) for one in noted]
        changed = [pair for _, pairs in found for pair in pairs]
        await rows.note(connection, [after for after, _ in found])
        if changed:
            await rows.reconsider(connection, changed, calendars)
    if changed:
        log().warning(
            "readings whose clock or whose limit is in doubt", sensors=sorted({a.sensor for a, _ in changed})[:20]
        )
