"""Reading what was measured, alarmed and refused: pages by key, never by offset; every span bounded."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kawamori.domain.reading import FLAGS, Flag, Reason, SensorId
from kawamori.domain.registry import Sensor
from kawamori.domain.rules import KINDS
from kawamori.domain.shown_state import shown_state
from kawamori.domain.silence import silenced
from kawamori.storage.alerts import open_alerts
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.changes import Change, Cursor, Touched, changes_after, newest_change
from kawamori.storage.database import Connection, Database, query
from kawamori.storage.people import silences
from kawamori.storage.readings import Calendar, hour_of

#: What a chart can show and a phone can load.
CHART_POINTS = 2000
#: Of one sensor in one batch the live stream carries no more; the page fetches the history behind it.
STREAM_READINGS = 50
#: Of a message in quarantine a list shows no more bytes.
SHOWN_BYTES = 4096
#: Counting raw readings over more time than this would visit too many chunks.
_RAW_SPAN = timedelta(days=92)
#: Batches read at once, as many as carry about so many readings, and changes of alerts.
BATCHES = 64
PASS_READINGS = 20_000
ALERT_CHANGES = 5000

FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 12, 30, tzinfo=UTC)
LARGEST_ID = 2**63 - 1


class Resolution(StrEnum):
    """How fine a history is; `auto` is replaced by what fits a chart."""

    AUTO = "auto"
    RAW = "raw"
    TEN_MINUTES = "10min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


_QUERY = {
    Resolution.RAW: "raw_readings",
    Resolution.TEN_MINUTES: "ten_minute_readings",
    Resolution.HOUR: "hourly_readings",
    Resolution.DAY: "daily_readings",
    Resolution.WEEK: "weekly_readings",
}


#: A trustworthy reading older than this says nothing of now.
_REACH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Latest:
    """A water level sensor's newest reading, and the newest trustworthy one where that failed."""

    sensor: SensorId
    observed_at: datetime | None
    value: float | None
    flag: Flag | None
    reasons: Reason
    trend_h: float | None
    #: Through which its readings last came, where that is known.
    gateway: str | None = None
    #: Time and value, where the newest reading failed.
    trusted: tuple[datetime, float] | None = None


async def latest_levels(database: Database, stations: Sequence[str] | None = None) -> tuple[list[Latest], int]:
    """The newest reading of every water level sensor, or of these stations', and the registry's version then."""
    rows = await database.fetch("latest_levels", {"stations": None if stations is None else list(stations)})
    failed = {row[0]: row[1] for row in rows if row[3] is not None and row[3] >= Flag.FAIL}
    trusted = {}
    if failed:
        before = list(failed.values())
        found = await database.fetch(
            "trusted_before",
            {"sensors": list(failed), "before": before, "earliest": min(before) - _REACH, "latest": max(before)},
        )
        trusted = {sensor: (at, value) for sensor, at, value in found}
    latest = [
        Latest(sensor, at, value, flag and FLAGS[flag], Reason(reasons or 0), trend, gateway, trusted.get(sensor))
        for sensor, at, value, flag, reasons, trend, gateway, _ in rows
    ]
    return latest, rows[0][-1] if rows else 0


async def recent_levels(database: Database, start: datetime, end: datetime) -> list[tuple[SensorId, datetime, float]]:
    """Ten-minute means of every water level sensor: (sensor, start of the ten minutes, mean), in no order."""
    return [
        (SensorId(s), at, mean) for s, at, mean in await database.fetch("recent_levels", {"start": start, "end": end})
    ]


async def recent_rise(
    database: Database, sensors: Sequence[SensorId], start: datetime, end: datetime
) -> dict[SensorId, list[tuple[datetime, float]]]:
    """Readings of these sensors after `start` that have not failed, thinned to one in three minutes, oldest first."""
    found: dict[SensorId, list[tuple[datetime, float]]] = {}
    for sensor, at, value in await database.fetch(
        "recent_rise", {"sensors": list(sensors), "start": start, "end": end}
    ):
        found.setdefault(SensorId(sensor), []).append((at, value))
    return found


def bucket_start(at: datetime, resolution: Resolution, time_zone: str) -> datetime:
    """The start of the bucket that holds `at`; for raw readings `at` itself."""
    if resolution is Resolution.TEN_MINUTES:
        beyond = (at.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta(0)) % timedelta(minutes=10)
        local = at.astimezone(UTC) + beyond
        start = local - timedelta(minutes=local.minute % 10, seconds=local.second, microseconds=local.microsecond)
        return start - beyond
    if resolution is Resolution.HOUR:
        return hour_of(at.astimezone(UTC), ZoneInfo(time_zone))
    if resolution in (Resolution.DAY, Resolution.WEEK):
        local = at.astimezone(ZoneInfo(time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        if resolution is Resolution.WEEK:
            local -= timedelta(days=local.weekday())
        return local.astimezone(UTC)
    return at


async def choose_resolution(
    database: Database, sensor: Sensor, start: datetime, end: datetime, kept_from: datetime | None = None
) -> Resolution:
    """The finest resolution with no more points than a chart can show; before `kept_from` only summaries are left."""
    bounds = {"sensor": sensor.id, "start": start, "end": end, "limit": CHART_POINTS + 1}
    span = end - start
    raw_is_kept = kept_from is None or kept_from <= start
    if raw_is_kept and span <= _RAW_SPAN and (await database.fetch("count_raw_readings", bounds))[0][0] <= CHART_POINTS:
        return Resolution.RAW
    if raw_is_kept and span <= (CHART_POINTS - 1) * timedelta(minutes=10):
        return Resolution.TEN_MINUTES
    bounds["start"] = bucket_start(start, Resolution.HOUR, sensor.time_zone)
    if (await database.fetch("count_hourly_readings", bounds))[0][0] <= CHART_POINTS:
        return Resolution.HOUR
    return Resolution.DAY if span <= timedelta(days=CHART_POINTS - 1) else Resolution.WEEK


async def readings_page(
    database: Database, sensor: Sensor, resolution: Resolution, start: datetime, end: datetime, limit: int
) -> list[tuple[Any, ...]]:
    """Up to `limit` points from `start` (its whole bucket) until before `end` (its whole bucket), oldest first.

    Raw: (time, value, flag, reasons, what the device stated where a person corrected it). Summaries: (time, min, mean,
    max, n, sum); amounts count for the bucket that they fell in, so that one stamped 10:00 counts before ten.
    """
    start = bucket_start(start, resolution, sensor.time_zone)
    if resolution in (Resolution.TEN_MINUTES, Resolution.WEEK):
        end = next_bucket(
            bucket_start(end - timedelta(microseconds=1), resolution, sensor.time_zone), resolution, sensor
        )
    return await database.fetch(
        _QUERY[resolution],
        {
            "sensor": sensor.id,
            "start": start,
            "end": end,
            "limit": limit,
            "time_zone": sensor.time_zone,
            "shift": Calendar(ZoneInfo(sensor.time_zone), sensor.is_amount).shift,
        },
    )


def expected_readings(start: datetime, resolution: Resolution, sensor: Sensor) -> int:
    """How many readings a whole bucket holds where none is missing, by the sensor's slower interval."""
    length = next_bucket(start, resolution, sensor) - start
    return max(1, length // max(sensor.report_every, sensor.report_every_low or sensor.report_every))


def next_bucket(start: datetime, resolution: Resolution, sensor: Sensor) -> datetime:
    """Where the bucket after the one that starts at `start` starts; for raw readings the next microsecond."""
    if resolution is Resolution.RAW:
        return start + timedelta(microseconds=1)
    if resolution in (Resolution.DAY, Resolution.WEEK):
        days = 7 if resolution is Resolution.WEEK else 1
        local = start.astimezone(ZoneInfo(sensor.time_zone)) + timedelta(days=days)
        return local.astimezone(UTC)
    return start + (timedelta(hours=1) if resolution is Resolution.HOUR else timedelta(minutes=10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert as it stands now."""

    id: int
    station: str | None
    river: str | None
    kind: str
    subject: str
    flood_level: int
    #: As stored; `shown_state` is what people see.
    state: str
    started_at: datetime
    ended_at: datetime | None
    retroactive: bool
    verified: bool
    status: str
    value_m: float | None
    threshold_m: float | None
    peak_m: float | None
    recorded_at: datetime
    paged_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    #: While a silence covers it now.
    shelved_until: datetime | None
    incident: int | None
    detail: Mapping[str, Any]
    #: How many things people have written down with it.
    notes: int = 0

    @property
    def shown_state(self) -> str:
        """pending, firing, shelved, acknowledged, resolved or withdrawn."""
        return shown_state(
            self.state, acknowledged=self.acknowledged_at is not None, shelved=self.shelved_until is not None
        )


def _alert(row: Sequence[Any]) -> Alert:
    return Alert(**dict(zip(Alert.__slots__, row, strict=True)))


async def _shelved(connection: Connection, now: datetime) -> dict[str, list[Any]]:
    """The alerts that a silence covers at this moment, and until when; as those who are told of alerts see it."""
    quiet = [silence for silence in (await silences(connection, now)).values() if silence.in_force(now)]
    found = {}
    for a in await open_alerts(connection, list(KINDS)) if quiet else ():
        by = silenced(quiet, now, alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
        if by is not None and a.state == "firing":
            found[a.id] = by.ends_at
    return {"shelved": list(found), "untils": list(found.values())}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsWanted:
    """Which alerts a page is to show; None is any."""

    start: datetime = FIRST
    end: datetime = LAST
    state: str | None = None
    station: str | None = None
    river: str | None = None
    kind: str | None = None
    status: str | None = None
    min_level: int = 0


async def alerts_page(
    database: Database, wanted: AlertsWanted, now: datetime, before: tuple[datetime, int] = (LAST, LARGEST_ID),
    *, limit: int,
) -> list[Alert]:  # fmt: skip
    """Alerts that touch the span, the newest start first, after the key `before`."""
    parameters = {name: getattr(wanted, name) for name in AlertsWanted.__slots__}
    parameters |= {"before": before[0], "before_id": before[1], "limit": limit}
    async with database.transaction() as connection:
        parameters |= await _shelved(connection, now)
        rows = await (await connection.execute(query("alerts_page"), parameters)).fetchall()
    return [_alert(row) for row in rows]


async def alerts_by_id(connection: Connection, ids: Iterable[int], now: datetime) -> list[Alert]:
    """Those of the alerts that people may see, in order of id."""
    parameters = {"ids": list(ids), **await _shelved(connection, now)}
    return [_alert(row) for row in await (await connection.execute(query("alerts_by_id"), parameters)).fetchall()]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A river's flood wave, or the equipment's troubles: the alerts that people were told of together."""

    id: int
    topic: str
    river: str | None
    status: str
    opened_at: datetime
    closed_at: datetime | None
    escalation: str | None
    step: int
    round: int
    escalate_at: datetime | None
    alerts: list[int]


async def incidents_page(
    database: Database, *, is_open: bool | None = None, before: int = LARGEST_ID, limit: int
) -> list[Conversation]:
    """Conversations, the newest first, older than the id `before`."""
    rows = await database.fetch("incidents_page", {"before_id": before, "open": is_open, "limit": limit})
    return [Conversation(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the audit."""

    id: int
    at: datetime
    who: str
    subject: str
    subject_id: str
    alert: int | None
    event: str
    note: str | None
    detail: Mapping[str, Any]


async def audit_page(
    database: Database, *, start: datetime = FIRST, end: datetime = LAST, subject: str | None = None,
    subject_id: str | None = None, before: int = LARGEST_ID, limit: int,
) -> list[Entry]:  # fmt: skip
    """The audit, newest first, older than the id `before`."""
    rows = await database.fetch(
        "audit_page",
        {"start": start, "end": end, "subject": subject, "subject_id": subject_id, "before_id": before, "limit": limit},
    )
    return [Entry(*row) for row in rows]


async def audit_of_alert(connection: Connection, alert: int, limit: int = 1000) -> list[Entry]:
    """What happened to one alert, in order; of a very long story the newest."""
    rows = await (await connection.execute(query("audit_of_alert"), {"alert": alert, "limit": limit})).fetchall()
    return [Entry(*row) for row in reversed(rows)]


@dataclass(frozen=True, slots=True)
class Notification:
    """What somebody was told, or is still to be told."""

    id: int
    alert: int | None
    incident: int | None
    contact: str | None
    contact_name: str | None
    channel: str
    recipient: str
    event: str
    subject: str
    body: str
    created_at: datetime
    attempts: int
    delivered_at: datetime | None
    given_up_at: datetime | None
    last_error: str | None
    instead_of: int | None
    #: Each attempt's `at`, `outcome` and `answer`, oldest first, twenty at most.
    tried: list[dict[str, Any]]


async def notifications_page(database: Database, *, before: int = LARGEST_ID, limit: int) -> list[Notification]:
    """Notifications, newest first, older than the id `before`."""
    rows = await database.fetch("notifications_page", {"before_id": before, "limit": limit})
    return [Notification(*row) for row in rows]


async def notifications_of_alert(connection: Connection, alert: int, limit: int = 1000) -> list[Notification]:
    """What people were told of an alert, newest first."""
    rows = await connection.execute(query("notifications_of_alert"), {"alert": alert, "limit": limit})
    return [Notification(*row) for row in await rows.fetchall()]


async def notifications_by_id(database: Database, ids: Iterable[int]) -> list[Notification]:
    """These notifications, newest first."""
    return [Notification(*row) for row in await database.fetch("notifications_by_id", {"ids": list(ids)})]


@dataclass(frozen=True, slots=True)
class Refused:
    """A message in quarantine."""

    id: int
    received_at: datetime
    topic: str
    device: str | None
    reason: str
    #: Its first SHOWN_BYTES bytes.
    payload: bytes
    #: How many it has.
    size: int


async def quarantine_page(
    database: Database, *, device: str | None = None, before: int = LARGEST_ID, limit: int
) -> list[Refused]:
    """Messages in quarantine, newest first, older than the id `before`."""
    rows = await database.fetch(
        "quarantine_page", {"device": device, "before_id": before, "limit": limit, "most": SHOWN_BYTES}
    )
    return [Refused(*row) for row in rows]


async def quarantined_payload(database: Database, id_: int) -> bytes | None:
    """All bytes of a message in quarantine, as it came; None where there is none of this id."""
    rows = await database.fetch("quarantine_payload", {"id": id_})
    return rows[0][0] if rows else None


@dataclass(frozen=True, slots=True)
class LiveReading:
    """One reading of a new batch."""

    sensor: SensorId
    observed_at: datetime
    value: float
    flag: int
    received_at: datetime


async def newest_in_spans(connection: Connection, spans: Sequence[Touched]) -> list[LiveReading]:
    """Of each touched span its newest readings, each reading once, in the order of the spans."""
    if not spans:
        return []
    cursor = await connection.execute(
        query("newest_in_spans"),
        {
            "sensors": Int4s.of([span.sensor for span in spans]),
            "starts": Times.at([span.start for span in spans]),
            "ends": Times.at([span.end for span in spans]),
            "earliest": min(span.start for span in spans),
            "latest": max(span.end for span in spans),
            "each": STREAM_READINGS,
        },
        binary=True,
    )
    readings = {
        (sensor := spans[number - 1].sensor, at): LiveReading(sensor, at, value, flag, received_at)
        for number, at, value, flag, received_at in await cursor.fetchall()
    }
    return list(readings.values())


class AlertChange(NamedTuple):
    """A line of the audit that is about an alert."""

    place: Cursor
    alert: int
    #: No line before it can still appear.
    settled: bool


@dataclass(frozen=True, slots=True)
class News:
    """What happened after a place in the feeds."""

    changes: tuple[Change, ...]
    readings: tuple[LiveReading, ...]
    #: In order of place.
    alert_changes: tuple[AlertChange, ...]
    #: Of the changed alerts those that people may see, and those that are gone.
    alerts: tuple[Alert, ...]
    gone: frozenset[int]
    registry_version: int
    #: Whether there was too much to be read at once.
    more: bool


def _at_once(changes: Sequence[Change]) -> Sequence[Change]:
    """The first of the changes, whose readings are not too many to be read at once; always one. Pure."""
    readings = 0
    for n, change in enumerate(changes):
        readings += min(change.readings, STREAM_READINGS * len(change.touched))
        if n and readings > PASS_READINGS:
            return changes[:n]
    return changes


async def news_after(
    database: Database, cursor: Cursor, alert_change: Cursor, now: datetime, *, with_readings: bool = True,
    told: Collection[Cursor] = (), most_alert_changes: int = ALERT_CHANGES,
) -> News:  # fmt: skip
    """Some batches after `cursor` with their readings, and the alerts changed after `alert_change`.

    A change of an alert is told at once, though one that began earlier may still commit: `told` are those that were.
    """
    async with database.transaction() as connection:
        found = await changes_after(connection, cursor, BATCHES)
        changes = _at_once(found) if with_readings else found
        spans = [span for change in changes for span in change.touched] if with_readings else []
        readings = await newest_in_spans(connection, spans)
        parameters = {"xid": str(alert_change.xid), "audit_id": alert_change.batch_id, "limit": most_alert_changes}
        lines = await (await connection.execute(query("alert_changes_after"), parameters)).fetchall()
        alert_changes = [AlertChange(Cursor(int(xid), audit), alert, settled) for xid, audit, alert, settled in lines]
        fresh = {change.alert for change in alert_changes if change.place not in told}
        alerts = await alerts_by_id(connection, fresh, now) if fresh else []
        gone = fresh - {alert.id for alert in alerts}
        if gone:
            internal = await connection.execute(query("internal_alerts"), {"ids": list(gone)})
            gone -= {row[0] for row in await internal.fetchall()}
        version = await (await connection.execute(query("registry_version"))).fetchone()
    return News(
        tuple(changes), tuple(readings), tuple(alert_changes), tuple(alerts), frozenset(gone),
        version[0] if version else 0,
        more=len(changes) < len(found) or len(found) == BATCHES or len(lines) == most_alert_changes,
    )  # fmt: skip


async def newest(database: Database) -> tuple[Cursor, Cursor]:
    """Where the feeds of batches and of alert changes end now."""
    async with database.transaction() as connection:
        cursor = await newest_change(connection)
        row = await (await connection.execute(query("newest_alert_change"))).fetchone()
    return cursor, Cursor(int(row[0]), row[1]) if row else Cursor()


@dataclass(frozen=True, slots=True)
class Missed:
    """What came after a place in the feed of batches."""

    #: Whether the feed still reaches back to the place; it does to its beginning only while nothing has come.
    known: bool
    #: Counted no further than asked.
    batches: int
    #: About so many travel.
    readings: int
    over: timedelta


async def missed_after(database: Database, cursor: Cursor, limit: int) -> Missed:
    """How much came after `cursor`, counted to `limit` batches, without reading any of it."""
    ((known, batches, readings, over),) = await database.fetch(
        "missed_after",
        {"xid": str(cursor.xid), "batch_id": cursor.batch_id, "each": STREAM_READINGS, "limit": limit},
    )
    return Missed(known or (cursor == Cursor() and not batches), batches, readings, over)
