"""The outbox: messages to be delivered, every attempt at them, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from kawamori.storage.database import Connection, query


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one recipient by one channel."""

    id: int
    alert_id: int | None
    incident_id: int | None
    contact_id: str | None
    channel: str
    recipient: str
    event: str
    idempotency_key: str
    subject: str
    body: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int
    #: The message that this one goes out instead of, by another channel.
    instead_of: int | None = None
    #: Whoever claimed it holds it until then.
    claimed_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to be put into the outbox."""

    alert_id: int | None = None
    incident_id: int | None = None
    contact_id: str | None = None
    channel: str
    recipient: str
    event: str
    #: The same for the same message, whoever puts it and however often.
    key: str
    subject: str
    body: str
    payload: Mapping[str, Any]
    instead_of: int | None = None
    #: Now, where it is not given.
    at: datetime | None = None


async def put_notifications(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Put messages into the outbox, each once."""
    if drafts:
        rows = [
            {**{name: getattr(draft, name) for name in Draft.__slots__}, "payload": Jsonb(dict(draft.payload))}
            for draft in drafts
        ]
        await connection.cursor().executemany(query("put_notification"), rows)


async def claim_notifications(
    connection: Connection, channel: str, length: timedelta, limit: int
) -> list[Notification]:
    """Messages of one channel that are due and that nobody else is sending; ours for `length`, then anybody's."""
    rows = await connection.execute(
        query("claim_notifications"), {"channel": channel, "length": length, "limit": limit}
    )
    return [Notification(**dict(zip(Notification.__slots__, row, strict=True))) for row in await rows.fetchall()]


async def delivered(connection: Connection, notification: int, answer: str) -> None:
    """The channel has accepted it; whatever else was to carry the same message need not."""
    await connection.execute(query("delivered"), {"id": notification})
    await connection.execute(query("need_not"), {"id": notification})
    await _attempted(connection, notification, "delivered", answer)


async def not_delivered(
    connection: Connection, claimed: Notification, outcome: str, answer: str, wait: float, *, give_up: bool
) -> None:
    """The channel has not, or `refused` it; try again after `wait` seconds, or never; left alone if claimed anew."""
    values = {
        "id": claimed.id,
        "claim": claimed.claimed_until,
        "answer": answer[:500],
        "wait": wait,
        "give_up": give_up,
    }
    await connection.execute(query("not_delivered"), values)
    await _attempted(connection, claimed.id, outcome, answer)


async def _attempted(connection: Connection, notification: int, outcome: str, answer: str) -> None:
    await connection.execute(query("attempted"), {"id": notification, "outcome": outcome, "answer": answer[:2000]})


async def messages_stuck(connection: Connection, after: timedelta) -> list[Notification]:
    """Messages to contacts that nothing has delivered, and for which no other channel has been tried yet: refused, or
    failing for longer than `after`.
    """
    rows = await connection.execute(query("messages_stuck"), {"after": after})
    return [Notification(**dict(zip(Notification.__slots__, row, strict=True))) for row in await rows.fetchall()]
