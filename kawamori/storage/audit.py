"""The audit: what people and the services did, written for ever, and read by page and by alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from kawamori.storage.database import Connection, Database, query
from kawamori.storage.page_keys import FIRST, LARGEST_ID, LAST

#: Who did what the software did by itself.
SOFTWARE = "kawamori"


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


async def note(
    connection: Connection, *, who: str = SOFTWARE, subject: str = "alert", subject_id: str | int, event: str,
    alert: int | None = None, note: str | None = None, detail: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write into the audit, for ever, who did what; with an alert, screens hear of it."""
    await notes(
        connection,
        [
            {
                "who": who,
                "subject": subject,
                "id": subject_id,
                "event": event,
                "alert": alert,
                "note": note,
                "detail": detail,
            }
        ],
    )


async def notes(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    """Several entries of the audit: `id` and `event`, and what of `note` differs from its defaults."""
    default = {"who": SOFTWARE, "subject": "alert", "alert": None, "note": None}
    rows = [
        {**default, **e, "id": str(e["id"]), "detail": Jsonb(dict(e.get("detail") or {}))} for e in entries
    ]  # fmt: skip
    if rows:
        await connection.cursor().executemany(query("note"), rows)
