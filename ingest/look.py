"""A second look at what was stored: what one reading alone does not show, the newest few and the clock do.

Every few seconds each worker looks at the sensors whose newest reading is late or lies beyond its limits. A clock that
is behind gets the reason CLOCK on the newest reading; failed readings that agree with each other show a wrong limit,
and get the reason LIMIT: both are in doubt, alarm, and are named by the rules `clock` and `limits`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.quality import CLOCK, FLAG_OF, LIMIT, RANGE
from kawamori.domain.lag import LONG, SAME, is_clock_behind
from kawamori.domain.limits import AGREEING, Seen, agreeing_run
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Sensor
from kawamori.observe import log
from kawamori.storage import readings as rows
from kawamori.storage.database import Database

#: Of a sensor beyond its limits, so many of the newest readings are looked at.
_NEWEST = 2 * AGREEING


def found_in(
    late: rows.Noted, newest: Sequence[Reading], sensor: Sensor, now: datetime
) -> tuple[rows.Noted, list[tuple[Reading, Reading]]]:
    """What is to be noted of a sensor, and its readings whose reasons change. `newest` is newest first. Pure."""
    if not newest:
        return late._replace(lag_s=None, lag_since=None, beyond_since=None), []
    latest, changed = newest[0], []
    lag = latest.received_at - latest.observed_at
    lag_s, lag_since = (None, None) if lag <= LONG else (late.lag_s, late.lag_since)
    if lag > LONG and (lag_s is None or abs(lag - timedelta(seconds=lag_s)) > SAME):
        lag_s, lag_since = lag.total_seconds(), latest.received_at
    behind = is_clock_behind(latest.observed_at, latest.received_at, now, sensor.usual_delay, lag_since)
    if behind and not latest.reasons & CLOCK:
        changed.append((latest, _with(latest, CLOCK)))
    run = agreeing_run(Seen(r.observed_at, r.value, bool(r.reasons & (RANGE | LIMIT))) for r in newest)
    beyond = {seen.at for seen in run}
    for reading in newest:
        if reading.observed_at in beyond and reading.reasons & RANGE and not reading.reasons & LIMIT:
            changed = [pair for pair in changed if pair[0] is not reading]
            changed.append((reading, _with(reading, LIMIT | (CLOCK if behind and reading is latest else 0))))
    beyond_since = min(beyond, default=None)
    if beyond_since is not None and late.beyond_since is not None:
        beyond_since = min(beyond_since, late.beyond_since)
    return late._replace(lag_s=lag_s, lag_since=lag_since, beyond_since=beyond_since), changed


def _with(reading: Reading, reason: int) -> Reading:
    reasons = reading.reasons | reason
    return reading._replace(reasons=reasons, flag=FLAG_OF[reasons])


async def look_again(
    database: Database, sensors: Mapping[SensorId, Sensor], zones: Mapping[SensorId, ZoneInfo]
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
            await rows.reconsider(connection, changed, zones)
    if changed:
        log().warning(
            "readings whose clock or whose limit is in doubt", sensors=sorted({a.sensor for a, _ in changed})[:20]
        )
