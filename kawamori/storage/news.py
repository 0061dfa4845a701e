"""Read model of the live stream: readings and alerts that changed after a place in the feeds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from kawamori.domain.reading import SensorId
from kawamori.storage.alert_pages import Alert, alerts_by_id
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.changes import Change, Cursor, Touched, changes_after, newest_change
from kawamori.storage.database import Connection, Database, query

#: Of one sensor in one batch the live stream carries no more; the page fetches the history behind it.
STREAM_READINGS = 50
#: Batches read at once, as many as carry about so many readings, and changes of alerts.
BATCHES = 64
PASS_READINGS = 20_000
ALERT_CHANGES = 5000


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
