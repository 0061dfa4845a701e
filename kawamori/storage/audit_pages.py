"""Read model of the audit: what people and the services did, by page and by alert."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.storage.database import Connection, Database, query
from kawamori.storage.page_keys import FIRST, LARGEST_ID, LAST


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
