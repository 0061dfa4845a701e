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


async def channels_due(connection: Connection) -> set[str]:
    """The channels that have something to send now."""
    return {row[0] for row in await (await connection.execute(query("channels_due"))).fetchall()}


async def claim_notifications(
    connection: Connection, channel: str, length: timedelta, limit: int, *, each: int, busy: Sequence[str] = ()
) -> list[Notification]:
    """Messages of one channel that are due and that nobody else is sending; ours for `length`, then anybody's.

    What was never tried comes first; of one recipient at most `each`, and of those that are `busy` none, so that a
    recipient who is slow holds up nobody else.
    """
    rows = await connection.execute(
        query("claim_notifications"),
        {"channel": channel, "length": length, "limit": limit, "each": each, "busy": list(busy)},
    )
    return _notifications(await rows.fetchall())


async def claim_strays(connection: Connection, channels: Sequence[str], length: timedelta) -> list[Notification]:
    """Messages that are due by a channel which is none of these: nobody would ever send them."""
    rows = await connection.execute(query("claim_strays"), {"channels": list(channels), "length": length})
    return _notifications(await rows.fetchall())


def _notifications(rows: Sequence[Sequence[Any]]) -> list[Notification]:
    return [Notification(**dict(zip(Notification.__slots__, row, strict=True))) for row in rows]


async def delivered(connection: Connection, notification: int, answer: str) -> None:
    """The channel has accepted it; whatever else was to carry the same message need not."""
    await connection.execute(query("delivered"), {"id": notification})
    await connection.execute(query("need_not"), {"id": notification})
    await _attempted(connection, notification, "delivered", _storable(answer))


async def not_delivered(
    connection: Connection, claimed: Notification, outcome: str, answer: str, wait: float, *, give_up: bool
) -> None:
    """The channel has not, or `refused` it; try again after `wait` seconds, or never; left alone if claimed anew."""
    answer = _storable(answer)
    values = {
        "id": claimed.id,
        "claim": claimed.claimed_until,
        "answer": answer[:500],
        "wait": wait,
        "give_up": give_up,
    }
    await connection.execute(query("not_delivered"), values)
    await _attempted(connection, claimed.id, outcome, answer)


def _storable(answer: str) -> str:
    """Whatever the other side said, as text that the database takes: it has no zero, and no half characters."""
    return answer.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


async def _attempted(connection: Connection, notification: int, outcome: str, answer: str) -> None:
    await connection.execute(query("attempted"), {"id": notification, "outcome": outcome, "answer": answer[:2000]})


async def messages_stuck(
    connection: Connection, after: timedelta, addresses: Sequence[tuple[str, str, str]]
) -> list[Notification]:
    """Messages to these (contact, channel, address) that nothing has delivered, and for which no other channel has been
    tried yet: refused, or failing for longer than `after`. Held until the transaction ends.
    """
    contacts, channels, recipients = zip(*addresses, strict=True) if addresses else ((), (), ())
    rows = await connection.execute(
        query("messages_stuck"),
        {"after": after, "contacts": list(contacts), "channels": list(channels), "recipients": list(recipients)},
    )
    return _notifications(await rows.fetchall())
