"""Alerts, their changes and the outbox. What changes together is written in the caller's one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.reading import FLAGS, Reading, SensorId
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.database import Connection, query

Span = tuple[SensorId, datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEpisode:
    """A level alert as it stands in the record."""

    id: int
    level: int
    threshold_m: float
    started_at: datetime
    ended_at: datetime | None
    value_m: float
    peak_m: float
    verified: bool
    retroactive: bool
    paged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one recipient by one channel."""

    id: int
    alert_id: int
    channel: str
    recipient: str
    event: str
    idempotency_key: str
    subject: str
    body: str
    created_at: datetime
    attempts: int


async def rows_to_evaluate(connection: Connection, spans: Sequence[Span]) -> dict[SensorId, list[Reading]]:
    """Each sensor's readings after the start and up to the end of its span, failed ones left out."""
    cursor = await connection.execute(
        query("rows_to_evaluate"),
        {
            "sensors": Int4s.of([s for s, _, _ in spans]),
            "starts": Times.at([a for _, a, _ in spans]),
            "ends": Times.at([b for _, _, b in spans]),
            "earliest": min(a for _, a, _ in spans),
            "latest": max(b for _, _, b in spans),
        },
        binary=True,
    )
    found: dict[SensorId, list[Reading]] = {sensor: [] for sensor, _, _ in spans}
    for sensor, at, value, flag in await cursor.fetchall():
        found[sensor].append(Reading(sensor, at, value, at, FLAGS[flag]))
    return found


async def calm_before(connection: Connection, sensor: SensorId, before: datetime, below: float) -> datetime | None:
    """The last reading before a moment that is lower than `below`."""
    row = await (
        await connection.execute(query("calm_before"), {"sensor": sensor, "before": before, "below": below})
    ).fetchone()
    return row[0] if row else None


async def episodes_since(
    connection: Connection, since: Mapping[SensorId, datetime]
) -> dict[SensorId, list[RecordedEpisode]]:
    """Of each sensor the recorded episodes that last beyond its moment or begin after it, oldest first."""
    found: dict[SensorId, list[RecordedEpisode]] = {}
    if not since:
        return found
    rows = await connection.execute(
        query("episodes_since"),
        {"sensors": Int4s.of(list(since)), "since": Times.at(since.values())},
        binary=True,
    )
    for sensor, *r in await rows.fetchall():
        episode = RecordedEpisode(
            id=r[0], level=r[1], threshold_m=r[2], started_at=r[3], ended_at=r[4], value_m=r[5], peak_m=r[6],
            verified=r[7], retroactive=r[8], paged_at=r[9],
        )  # fmt: skip
        found.setdefault(sensor, []).append(episode)
    return found


async def insert_alert(connection: Connection, values: dict[str, Any]) -> int:
    """Record a new episode; returns its id."""
    row = await (await connection.execute(query("insert_alert"), values)).fetchone()
    assert row is not None
    return int(row[0])


async def update_alerts(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    """Change recorded episodes, and tell the live stream."""
    if values:
        cursor = connection.cursor()
        await cursor.executemany(query("update_alert"), values)
        await cursor.executemany(
            query("note_change"),
            [{"alert": v["alert"], "event": "resolved" if v["ended_at"] else "changed"} for v in values],
        )


async def withdraw_alert(connection: Connection, alert: int) -> None:
    """Keep an episode that people were told of, but that the readings no longer show."""
    await connection.execute(query("withdraw_alert"), {"alert": alert})


async def forget_alert(connection: Connection, alert: int) -> None:
    """Remove an episode nobody was told of, that the readings no longer show."""
    await connection.execute(query("forget_changes"), {"alert": alert})
    await connection.execute(query("forget_alert"), {"alert": alert})


async def note_change(connection: Connection, alert: int, event: str) -> None:
    """Tell the live stream that an alert changed."""
    await connection.execute(query("note_change"), {"alert": alert, "event": event})


async def put_notification(
    connection: Connection, alert: int, channel: str, recipient: str, event: str, subject: str, body: str
) -> None:
    """Put a message into the outbox, once."""
    await connection.execute(
        query("put_notification"),
        {
            "alert": alert, "channel": channel, "recipient": recipient, "event": event,
            "key": f"{alert}-{event}-{channel}-{recipient}", "subject": subject, "body": body,
        },
    )  # fmt: skip


async def trends(
    connection: Connection, sensors: Sequence[SensorId]
) -> dict[SensorId, tuple[float | None, datetime | None]]:
    """Each sensor's trend in units an hour, and the time of its newest reading."""
    rows = await (await connection.execute(query("trends"), {"sensors": list(sensors)})).fetchall()
    return {sensor: (trend, newest) for sensor, trend, newest in rows}


async def claim_notifications(connection: Connection, channel: str) -> list[Notification]:
    """Messages of one channel that are due, locked for this transaction."""
    rows = await (await connection.execute(query("claim_notifications"), {"channel": channel})).fetchall()
    return [
        Notification(
            id=r[0], alert_id=r[1], channel=r[2], recipient=r[3], event=r[4], idempotency_key=r[5], subject=r[6],
            body=r[7], created_at=r[8], attempts=r[9],
        )
        for r in rows
    ]  # fmt: skip


async def delivered(connection: Connection, notification: int) -> None:
    """The channel has accepted it."""
    await connection.execute(query("delivered"), {"id": notification})


async def not_delivered(connection: Connection, notification: int, error: str, wait: float) -> None:
    """The channel has not; try again after `wait` seconds."""
    await connection.execute(query("not_delivered"), {"id": notification, "error": error[:500], "wait": wait})


async def level_names(connection: Connection) -> dict[int, tuple[str, str]]:
    """The levels' names in force now, Japanese and English."""
    rows = await (await connection.execute(query("all_flood_levels"))).fetchall()
    return {r[0]: (r[1], r[2]) for r in rows}
