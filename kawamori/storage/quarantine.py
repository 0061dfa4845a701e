"""What could not be stored, byte for byte: kept within a quota for each sender, and tried again when asked for.

Everything that writes runs inside the caller's transaction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kawamori.storage.database import Connection, Database, query

#: What quarantine takes within an hour of one device or, for what no device sent, of one gateway. A week of minutes of
#: an unregistered gauge is 10,000 readings of 100 bytes.
MESSAGES_AN_HOUR, BYTES_AN_HOUR = 20_000, 16 * 1024 * 1024
#: Rows tried again in one transaction, and their bytes.
_PAGE, _PAGE_BYTES = 500, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A message that could not be stored, byte for byte."""

    received_at: datetime
    topic: str
    device_id: str | None
    reason: str
    payload: bytes
    gateway_id: str


@dataclass(slots=True)
class _Use:
    """What a sender put into quarantine within an hour."""

    hour: datetime
    messages: int
    bytes: int
    excess: int
    excess_id: int | None
    #: Of what is not kept, the newest.
    newest: Quarantined | None = None


def _storable(text: str) -> str:
    """Quarantine takes everything: no NUL, which PostgreSQL refuses, and no more than its index can hold."""
    return text.replace("\0", "\ufffd")[:500]


def _subject(device: str | None, gateway: str) -> str:
    return f"device:{_storable(device)}" if device else f"gateway:{_storable(gateway)}"


async def quarantine(connection: Connection, messages: Sequence[Quarantined]) -> None:
    """Keep what could not be stored; a message that comes again changes nothing.

    What is past its sender's quota is counted, and only the newest of an hour kept.
    """
    if not messages:
        return
    different = list({(_storable(m.topic), m.payload): m for m in reversed(messages)}.values())[::-1]
    subjects = sorted({_subject(m.device_id, m.gateway_id) for m in different})
    cursor = await connection.execute(query("hold_quarantine_use"), {"subjects": subjects})
    uses = {subject: _Use(*rest) for subject, *rest in await cursor.fetchall()}
    kept = _within_quota(different, uses)
    cursor = await connection.execute(
        query("quarantine"),
        {
            "received": [m.received_at for m in kept], "topics": [_storable(m.topic) for m in kept],
            "devices": [m.device_id and _storable(m.device_id) for m in kept],
            "reasons": [_storable(m.reason) for m in kept], "payloads": [m.payload for m in kept],
            "gateways": [_storable(m.gateway_id) for m in kept],
        },
    )  # fmt: skip
    for is_new, gateway, device, size in await cursor.fetchall():
        if is_new:
            use = uses[_subject(device, gateway)]
            use.messages += 1
            use.bytes += size
    for subject, use in uses.items():
        if use.newest is not None:
            await _keep_newest(connection, subject, use, use.newest)
    await connection.execute(
        query("note_quarantine_use"),
        {
            "subjects": list(uses), "hours": [u.hour for u in uses.values()],
            "messages": [u.messages for u in uses.values()], "bytes": [u.bytes for u in uses.values()],
            "excess": [u.excess for u in uses.values()], "ids": [u.excess_id for u in uses.values()],
        },
    )  # fmt: skip


def _within_quota(messages: Sequence[Quarantined], uses: dict[str, _Use]) -> list[Quarantined]:
    """Those that are kept; the others are counted in their sender's use."""
    kept = []
    messages_so_far: Counter[str] = Counter()
    bytes_so_far: Counter[str] = Counter()
    for m in messages:
        subject, size = _subject(m.device_id, m.gateway_id), len(m.payload)
        use = uses[subject]
        # what is past the quota only once it is kept is kept: one large message is no flood
        if (
            use.messages + messages_so_far[subject] >= MESSAGES_AN_HOUR
            or use.bytes + bytes_so_far[subject] >= BYTES_AN_HOUR
        ):
            use.excess += 1
            use.newest = m
            continue
        kept.append(m)
        messages_so_far[subject] += 1
        bytes_so_far[subject] += size
    return kept


async def _keep_newest(connection: Connection, subject: str, use: _Use, newest: Quarantined) -> None:
    """Let the hour's one row stand for all that is not kept of the sender."""
    values = {
        "received_at": newest.received_at, "topic": f"excess/{subject}/{use.hour:%Y-%m-%dT%H}",
        "device_id": newest.device_id and _storable(newest.device_id), "payload": newest.payload,
        "gateway_id": _storable(newest.gateway_id), "id": use.excess_id,
        "reason": f"quota: {use.excess} messages of the hour from {use.hour:%Y-%m-%d %H:%M} UTC were not kept, this"
        f" is the newest: {_storable(newest.reason)[:200]}",
    }  # fmt: skip
    if use.excess_id is not None and (await connection.execute(query("renew_excess"), values)).rowcount:
        return
    row = await (await connection.execute(query("put_excess"), values)).fetchone()
    use.excess_id = row[0] if row else None


class Held(NamedTuple):
    """A row of quarantine, as it is tried again."""

    id: int
    received_at: datetime
    topic: str
    device_id: str | None
    reason: str
    payload: bytes
    gateway_id: str


class Progress(NamedTuple):
    """How far a replay has come."""

    replayed: int
    refused: int
    waiting: int


async def ask_for_replay(
    connection: Connection, *, reason: str | None = None, device: str | None = None, gateway: str | None = None,
    limit: int | None = None,
) -> tuple[int, datetime | None]:  # fmt: skip
    """Let ingest try these rows again; returns how many they are, and the moment that they are known by."""
    values = {"reason": reason, "device": device, "gateway": gateway, "limit": limit}
    rows = await (await connection.execute(query("ask_for_replay"), values)).fetchall()
    return len(rows), rows[0][0] if rows else None


async def ask_for_gateway(connection: Connection, gateway: str) -> int:
    """Let ingest try again what a gateway sent before it was registered; returns how many messages that are."""
    asked, _ = await ask_for_replay(connection, reason="gateway: not registered", gateway=gateway)
    return asked


async def to_replay(database: Database) -> list[Held]:
    """The next rows that were asked for, a page of them; raises StorageUnavailable."""
    return [Held(*row) for row in await database.fetch("to_replay", {"limit": _PAGE, "bytes": _PAGE_BYTES})]


async def held(database: Database, after: int, *, reason: str | None, device: str | None) -> list[Held]:
    """A page of what is not replayed, the oldest first; raises StorageUnavailable."""
    values = {"after": after, "reason": reason, "device": device, "limit": _PAGE}
    return [Held(*row) for row in await database.fetch("quarantined_rows", values)]


async def note_replay(connection: Connection, results: Mapping[int, str | None]) -> None:
    """What came of these rows: None where it is stored now, else why it is refused again."""
    ordered = dict(sorted(results.items()))
    await connection.execute(
        query("note_replay"),
        {
            "ids": list(ordered), "done": [why is None for why in ordered.values()],
            "results": [why and _storable(why) for why in ordered.values()],
        },
    )  # fmt: skip


async def replay_progress(database: Database, at: datetime) -> Progress:
    """How far what was asked for at that moment has come; raises StorageUnavailable."""
    ((replayed, refused, waiting),) = await database.fetch("replay_progress", {"at": at})
    return Progress(replayed, refused, waiting)


async def replay_refused(database: Database, at: datetime) -> list[tuple[str, int]]:
    """Why rows were refused again, the most frequent reasons first; raises StorageUnavailable."""
    return [(why, int(count)) for why, count in await database.fetch("replay_refused", {"at": at})]


class Summed(NamedTuple):
    """Rows of quarantine of one device and reason."""

    reason: str
    device_id: str | None
    messages: int
    first_at: datetime
    last_at: datetime


async def by_reason(database: Database, *, reason: str | None, device: str | None, limit: int) -> list[Summed]:
    """What quarantine holds by reason and device, the most frequent first; raises StorageUnavailable."""
    values = {"reason": reason, "device": device, "limit": limit}
    return [Summed(*row) for row in await database.fetch("quarantine_by_reason", values)]


async def unknown_bytes(connection: Connection, reason: str) -> Counter[str]:
    """Bytes that quarantine holds for this reason, by gateway."""
    cursor = await connection.execute(query("unknown_bytes"), {"reason": reason})
    return Counter({gateway: int(size) for gateway, size in await cursor.fetchall()})
