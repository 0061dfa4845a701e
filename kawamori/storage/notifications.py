"""Read model of the notifications: what was sent to whom, by page, by alert and by id."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.storage.database import Connection, Database, query
from kawamori.storage.page_keys import LARGEST_ID


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to one recipient: delivered, given up, or still to be sent."""

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
