"""The audit: who did what, written for ever, in the transaction that does it."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from kawamori.storage.database import Connection, query

#: Who did what the software did by itself.
SOFTWARE = "kawamori"


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
