"""What people do: answer alerts, change rules; and what they did, in order.

What changes together is written, with its line of the audit, in the caller's one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from kawamori.storage.database import Connection, Database, query


@dataclass(frozen=True, slots=True)
class LockedAlert:
    """An alert, locked until the transaction ends."""

    id: int
    kind: str
    state: str
    verified: bool
    incident: int | None
    paged_at: datetime | None
    acknowledged_at: datetime | None
    confirmed_at: datetime | None
    retracted_at: datetime | None


async def lock_alert(connection: Connection, alert: int) -> LockedAlert | None:
    """Lock an alert that people may see; None where there is none."""
    row = await (await connection.execute(query("lock_alert"), {"alert": alert})).fetchone()
    return None if row is None else LockedAlert(*row)


async def incident_exists(connection: Connection, incident: int) -> bool:
    """Whether there is such an incident."""
    return await (await connection.execute(query("hold_incident"), {"incident": incident})).fetchone() is not None


async def alerts_of_incident(connection: Connection, incident: int) -> list[int]:
    """An incident's alerts that people may see."""
    rows = await (await connection.execute(query("alerts_of_incident"), {"incident": incident})).fetchall()
    return [row[0] for row in rows]


async def alerts_to_acknowledge(connection: Connection, incident: int, up_to: int) -> list[int]:
    """Lock and return an incident's unacknowledged alerts, up to that id."""
    rows = await connection.execute(query("alerts_to_acknowledge"), {"incident": incident, "up_to": up_to})
    return [row[0] for row in await rows.fetchall()]


async def acknowledge(connection: Connection, alerts: Iterable[int], who: str) -> None:
    """Acknowledge these alerts in the name of a person."""
    await connection.execute(query("acknowledge_alerts"), {"alerts": list(alerts), "who": who})


async def confirm(connection: Connection, alert: int, who: str) -> None:
    """Confirm an alert: a person has seen the water."""
    await connection.execute(query("confirm_alert"), {"alert": alert, "who": who})


async def dismiss(connection: Connection, alert: int, who: str) -> None:
    """Dismiss an alert: a person has looked and found no water."""
    await connection.execute(query("dismiss_alert"), {"alert": alert, "who": who})


async def raise_by_hand(
    connection: Connection, *, station: str | None, subject: str, level: int, status: str, detail: Mapping[str, Any]
) -> int:
    """What a person saw and no sensor; returns the alert's id."""
    values = {"station": station, "subject": subject, "level": level, "status": status, "detail": Jsonb(dict(detail))}
    row = await (await connection.execute(query("raise_by_hand"), values)).fetchone()
    assert row is not None
    return int(row[0])


async def raised_by_hand(connection: Connection, request: str) -> int | None:
    """The alert that the same request raised before, within a day."""
    row = await (await connection.execute(query("raised_by_hand"), {"request": request})).fetchone()
    return None if row is None else int(row[0])


async def shelvings(connection: Connection, alert: int) -> list[tuple[int, datetime, str]]:
    """The silences of this very alert that still hold: id, end, reason."""
    rows = await (await connection.execute(query("shelvings"), {"alert": alert})).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


async def change_configuration(connection: Connection) -> datetime:
    """Take the lock on rules and people; returns the database's time, from which the change holds."""
    row = await (await connection.execute(query("change_configuration"))).fetchone()
    assert row is not None
    at: datetime = row[1]
    return at


@dataclass(frozen=True, slots=True)
class RuleRow:
    """An alert rule in force."""

    id: int
    kind: str
    station: str | None
    river: str | None
    enabled: bool
    status: str
    parameters: Mapping[str, Any]
    valid_from: datetime
    author: str


async def rules_in_force(connection: Connection) -> list[RuleRow]:
    """Every alert rule that holds now."""
    return [RuleRow(*row) for row in await (await connection.execute(query("rules_in_force"))).fetchall()]


async def close_rule(connection: Connection, rule: int, at: datetime) -> None:
    """From then on the rule does not hold; what it did stays."""
    await connection.execute(query("close_rule"), {"rule": rule, "at": at})


async def add_rule(connection: Connection, rule: RuleRow) -> int:
    """A rule that holds from its `valid_from` on; returns its new id; the object's own is ignored."""
    values = {
        "kind": rule.kind, "station": rule.station, "river": rule.river, "enabled": rule.enabled,
        "status": rule.status, "parameters": Jsonb(dict(rule.parameters)), "at": rule.valid_from, "author": rule.author,
    }  # fmt: skip
    row = await (await connection.execute(query("add_rule"), values)).fetchone()
    assert row is not None
    return int(row[0])


class ThresholdRow(NamedTuple):
    """A threshold as it is stored: what is None is the level rule's."""

    station: str
    level: int
    valid_from: datetime
    value_m: float
    hysteresis_m: float | None
    hold: timedelta | None
    consecutive: int | None
    keep_firing: timedelta | None


async def thresholds_of(connection: Connection, station: str | None, at: datetime) -> list[ThresholdRow]:
    """The thresholds of a station, or of all, that hold then or later."""
    rows = await connection.execute(query("thresholds_of"), {"station": station, "at": at})
    return [ThresholdRow(*row) for row in await rows.fetchall()]


async def set_thresholds(
    connection: Connection, station: str, wanted: Mapping[int, tuple[float, float | None]], at: datetime
) -> bool:
    """From then on a station has these thresholds: level to metres and hysteresis. Whether that changed anything.

    What holds already and stays the same is left alone.
    """
    changed = False
    standing = set()
    for row in await thresholds_of(connection, station, at):
        if row.valid_from <= at and wanted.get(row.level) == (row.value_m, row.hysteresis_m) and row[5:] == (None,) * 3:
            standing.add(row.level)
            continue
        key = {"station": station, "level": row.level, "valid_from": row.valid_from, "at": at}
        await connection.execute(query("close_threshold"), key)
        await connection.execute(query("drop_future_threshold"), key)
        changed = True
    for level, (value, hysteresis) in wanted.items():
        if level not in standing:
            values = {"station": station, "level": level, "at": at, "value": value, "hysteresis": hysteresis}
            await connection.execute(query("add_threshold"), values)
            changed = True
    return changed


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence, over or lifted perhaps."""

    id: int
    alert: int | None
    station: str | None
    river: str | None
    kinds: list[str] | None
    up_to_level: int
    starts_at: datetime
    ends_at: datetime
    weekly: Mapping[str, Any] | None
    reason: str
    author: str
    lifted_at: datetime | None
    lifted_by: str | None


async def silences_page(connection: Connection, *, over: bool, before: int, limit: int) -> list[SilenceRow]:
    """Silences, newest first, older than the id `before`; with `over` those too that hold no more."""
    values = {"over": over, "before_id": before, "limit": limit}
    rows = await (await connection.execute(query("all_silences_there_were"), values)).fetchall()
    return [SilenceRow(*row) for row in rows]


async def notifications_by_key(connection: Connection, keys: Iterable[str]) -> list[int]:
    """The ids of the messages with these idempotency keys."""
    rows = await (await connection.execute(query("notifications_by_key"), {"keys": list(keys)})).fetchall()
    return [row[0] for row in rows]


# What was told, and what happened when.


async def told_of_alert(connection: Connection, alert: int) -> list[tuple[str, datetime]]:
    """What people were told of an alert, in order: event and time."""
    rows = await (await connection.execute(query("told_of_alert"), {"alert": alert})).fetchall()
    return [(row[0], row[1]) for row in rows]


async def newest_told(connection: Connection, status: str, limit: int) -> list[tuple[int, int]]:
    """The newest announcements, newest first: alert, and the ordinal of the announcement among the alert's own."""
    rows = await (await connection.execute(query("newest_told"), {"status": status, "limit": limit})).fetchall()
    return [(row[0], row[1]) for row in rows]


class Timeline(NamedTuple):
    """Rows of the chronology as they are stored: alerts, messages, the audit; in the order of actions.sql."""

    alerts: Sequence[tuple[Any, ...]]
    messages: Sequence[tuple[Any, ...]]
    audit: Sequence[tuple[Any, ...]]


async def timeline(
    database: Database, start: datetime, end: datetime, *, station: str | None, river: str | None, limit: int
) -> Timeline:
    """All that happened in a span, read at one instant; of each at most `limit`."""
    values = {
        "start": start, "end": end, "earliest": start - timedelta(days=31), "station": station, "river": river,
        "limit": limit,
    }  # fmt: skip
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = [
            await (await connection.execute(query(name), values)).fetchall()
            for name in ("chronology_of_alerts", "chronology_of_messages", "chronology_of_audit")
        ]
    return Timeline(*found)


async def link_secret(connection: Connection) -> bytes:
    """What acknowledge links are signed with."""
    row = await (await connection.execute(query("link_secret"))).fetchone()
    assert row is not None
    return bytes(row[0])
