"""Read model of quarantine: messages that were refused, by page and by id."""

from dataclasses import dataclass
from datetime import datetime

from kawamori.storage.database import Database
from kawamori.storage.page_keys import LARGEST_ID

#: Of a message in quarantine a list shows no more bytes.
SHOWN_BYTES = 4096


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
