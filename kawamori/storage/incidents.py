"""Incidents, a flood wave or the troubles of equipment: what is announced together and escalated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.escalation import Position
from kawamori.domain.reading import RiverId
from kawamori.storage.alerts import Alert
from kawamori.storage.database import Connection, query


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as escalation knows it."""

    id: int
    topic: str
    river: RiverId | None
    status: str
    position: Position | None
    escalate_at: datetime | None


def _incident(row: Sequence[Any]) -> Incident:
    position = None if row[4] is None else Position(escalation=row[4], step=row[5], round=row[6])
    return Incident(id=row[0], topic=row[1], river=row[2], status=row[3], position=position, escalate_at=row[7])


async def open_incident(
    connection: Connection, topic: str, river: RiverId | None, status: str, at: datetime
) -> Incident:  # fmt: skip
    """The incident that an alert of that river belongs to; begun where there is none."""
    values = {"topic": topic, "river": river, "status": status, "at": at}
    await connection.execute(query("begin_incident"), values)
    row = await (await connection.execute(query("open_incident"), values)).fetchone()
    assert row is not None
    return _incident(row)


async def join_incident(connection: Connection, incident: int, alerts: Iterable[int]) -> None:
    """Alerts become part of an incident."""
    await connection.execute(query("join_incident"), {"incident": incident, "alerts": list(alerts)})


async def incidents_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Incident]:
    """These incidents."""
    rows = await (await connection.execute(query("incidents_by_id_to_tell"), {"ids": list(ids)})).fetchall()
    return {row[0]: _incident(row) for row in rows}


async def incidents_to_escalate(connection: Connection, now: datetime) -> list[Incident]:
    """Incidents in which nobody has answered in time."""
    rows = await (await connection.execute(query("incidents_to_escalate"), {"now": now})).fetchall()
    return [_incident(row) for row in rows]


async def set_incident_position(
    connection: Connection, incident: int, position: Position | None, at: datetime | None
) -> None:
    """Where an incident's escalation stands, and when it goes on."""
    await connection.execute(
        query("set_incident_position"),
        {
            "incident": incident, "escalation": position and position.escalation,
            "step": position.step if position else 0, "round": position.round if position else 0, "at": at,
        },
    )  # fmt: skip


async def unanswered(connection: Connection, incident: int) -> list[Alert]:
    """An incident's alerts that last and that nobody has acknowledged, the worst first."""
    rows = await connection.execute(query("unanswered"), {"incident": incident})
    return [Alert(**dict(zip(Alert.__slots__, row, strict=True))) for row in await rows.fetchall()]


async def told_persons(connection: Connection, incidents: Iterable[int]) -> dict[int, list[str]]:
    """Who has been told something in each incident."""
    rows = await connection.execute(query("told_persons"), {"incidents": list(incidents)})
    return dict(await rows.fetchall())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one person was sent lately in one incident."""

    incident: int | None
    topic: str
    contact: str
    count: int
    last: datetime
    #: The last message that told of several incidents at once.
    together_at: datetime | None


async def sent_since(connection: Connection, since: datetime) -> list[Sent]:
    """What each person was sent in each incident since a moment; the second channel of a message not counted."""
    rows = await (await connection.execute(query("sent_since"), {"since": since})).fetchall()
    return [Sent(incident=r[0], topic=r[1], contact=r[2], count=r[3], last=r[4], together_at=r[5]) for r in rows]


async def close_incidents(connection: Connection, now: datetime) -> None:
    """End the incidents whose alerts have been over for long enough."""
    await connection.execute(query("close_incidents"), {"now": now})
