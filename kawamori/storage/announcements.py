"""What people are to be told of alerts, until it stands in the outbox and in the log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kawamori.storage.alerts import Alert
from kawamori.storage.database import Connection, query


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Something that people are to be told of an alert."""

    id: int
    event: str
    at: datetime
    alert: Alert


async def announce(connection: Connection, events: Sequence[tuple[int, str]], at: datetime) -> None:
    """What people are to be told, as soon as it may be: pairs of an alert and an event."""
    if events:
        rows = [{"alert": alert, "event": event, "at": at} for alert, event in events]
        await connection.cursor().executemany(query("announce"), rows)


async def _announcements(connection: Connection, name: str) -> list[Announcement]:
    rows = await (await connection.execute(query(name))).fetchall()
    return [
        Announcement(id=r[0], event=r[1], at=r[2], alert=Alert(**dict(zip(Alert.__slots__, r[3:], strict=True))))
        for r in rows
    ]  # fmt: skip


async def announcements_to_tell(connection: Connection) -> list[Announcement]:
    """What is still to be told, the oldest first."""
    return await _announcements(connection, "announcements_to_tell")


async def announcements_to_log(connection: Connection) -> list[Announcement]:
    """What is not in the log yet, the oldest first."""
    return await _announcements(connection, "announcements_to_log")


async def mark_logged(connection: Connection, announcements: Iterable[int]) -> None:
    """These are in the log."""
    await connection.execute(query("mark_logged"), {"ids": list(announcements)})


async def mark_told(connection: Connection, announcements: Iterable[int], dropped: str | None = None) -> None:
    """These have gone into the outbox, or (`dropped` says why) are not to be told any more."""
    await connection.execute(query("mark_told"), {"ids": list(announcements), "dropped": dropped})


async def told_ended(connection: Connection, alerts: Iterable[int]) -> set[int]:
    """Those of these alerts of which people were told that they are over."""
    rows = await (await connection.execute(query("told_ended"), {"alerts": list(alerts)})).fetchall()
    return {row[0] for row in rows}


async def mark_told_together(connection: Connection, alerts: Iterable[int]) -> None:
    """What waits to be told of these alerts is told otherwise."""
    await connection.execute(query("mark_told_together"), {"alerts": list(alerts)})
