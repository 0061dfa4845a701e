"""The outbox: messages to be delivered, every attempt at them, and what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from kawamori.domain.text import lines, one_line
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
    #: Whoever claimed it before never said what came of it.
    was_claimed: bool = False


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
            {
                **{name: getattr(draft, name) for name in Draft.__slots__}, "payload": Jsonb(dict(draft.payload)),
                "recipient": one_line(draft.recipient), "subject": one_line(draft.subject), "body": lines(draft.body),
            }
            for draft in drafts
        ]  # fmt: skip
        await connection.cursor().executemany(query("put_notification"), rows)


async def channels_due(connection: Connection) -> set[str]:
    """The channels that have something to send now."""
    return {row[0] for row in await (await connection.execute(query("channels_due"))).fetchall()}


async def claim_notifications(
    connection: Connection, channel: str, length: timedelta, limit: int, *, each: int, busy: Sequence[str] = ()
) -> list[Notification]:
    """Messages of one channel that are due and that nobody else is sending; ours for `length`, then anybody's.

    What was never tried comes first, each in the order in which it was put there; of one recipient at most `each`, and
    of those that are `busy` none, so that a recipient who is slow holds up nobody else.
    """
    rows = await connection.execute(
        query("claim_notifications"),
        {"channel": channel, "length": length, "limit": limit, "each": each, "busy": list(busy)},
    )
    found = _notifications(await rows.fetchall())
    return sorted(found, key=lambda n: (n.attempts > 0, n.id))  # an UPDATE returns its rows in any order


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


async def one_at_a_time(connection: Connection) -> None:
    """Wait until nobody else is claiming messages about alerts, until the transaction ends."""
    await connection.execute(query("one_at_a_time"))


async def under_way(
    connection: Connection, but: Sequence[Notification]
) -> list[tuple[int, str, int, str]]:  # fmt: skip
    """(message, contact, alert, event) of what somebody is sending now to the same contacts, but for these messages."""
    values = {"contacts": sorted({n.contact_id for n in but if n.contact_id}), "ids": [n.id for n in but]}
    return [(r[0], r[1], r[2], r[3]) for r in await (await connection.execute(query("under_way"), values)).fetchall()]


async def put_back(connection: Connection, ids: Iterable[int]) -> None:
    """These claimed messages are nobody's again, and due in a moment."""
    if waiting := list(ids):
        await connection.execute(query("put_back"), {"ids": waiting})


class Tried(NamedTuple):
    """What one message said, or may have said, to one person of one alert."""

    contact: str
    alert: int
    message: int
    event: str
    delivered: bool
    #: The id of its last attempt that got through or may have; None where none did.
    attempt: int | None
    #: Somebody who sent it never said what came of it.
    unknown: bool


async def tried_words(
    connection: Connection, about: Sequence[Notification], alerts: Iterable[int]
) -> dict[tuple[str, int], list[Tried]]:
    """Of each contact of these messages and each alert, what they were told or may have been."""
    found: dict[tuple[str, int], list[Tried]] = {}
    if about:
        values = {"contacts": sorted({n.contact_id for n in about if n.contact_id}), "alerts": list(alerts)}
        for row in await (await connection.execute(query("tried_words"), values)).fetchall():
            tried = Tried(*row)
            found.setdefault((tried.contact, tried.alert), []).append(tried)
    return found


async def supersede(connection: Connection, notification: int, why: str) -> None:
    """It is not sent: what it says is no longer so. Another channel for the same message is no use either."""
    await connection.execute(query("supersede"), {"id": notification, "why": why})
    await _attempted(connection, notification, "superseded", why)


async def reword(
    connection: Connection, notification: int, event: str, subject: str, body: str, payload: Mapping[str, Any], why: str
) -> None:
    """It is sent in other words: what it said is no longer so."""
    values = {"id": notification, "event": event, "subject": one_line(subject), "body": lines(body)}
    await connection.execute(query("reword"), {**values, "payload": Jsonb(dict(payload))})
    await _attempted(connection, notification, "reworded", why)


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
