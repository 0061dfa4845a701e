"""Alerts, what is to be told of them, and the conversations they belong to.

What changes together is written in the caller's one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from kawamori.domain.escalation import Place
from kawamori.domain.reading import FLAGS, Reading, RiverId, SensorId, StationId
from kawamori.domain.rules import GatewayFacts
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.database import Connection, query

Span = tuple[SensorId, datetime, datetime]
#: Who did what the software did by itself.
SOFTWARE = "kawamori"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert as it stands in the record."""

    id: int
    kind: str
    station: StationId | None
    river: RiverId | None
    sensor: SensorId | None
    subject: str
    level: int
    threshold_m: float | None
    state: str
    started_at: datetime
    ended_at: datetime | None
    value_m: float | None
    peak_m: float | None
    verified: bool
    status: str
    paged_at: datetime | None
    detail: Mapping[str, Any]
    incident: int | None
    acknowledged_at: datetime | None
    confirmed_at: datetime | None
    dismissed_at: datetime | None


async def take_lease(connection: Connection, holder: str, length: timedelta) -> int | None:
    """Hold or renew the engines' lease for this transaction and `length` beyond it; its token, None where another's.

    The row stays locked until the transaction ends, so that two engines never write at once; a token that has changed
    says that another led in between. Time is the database's: engines' clocks may differ.
    """
    values = {"holder": holder, "length": length}
    row = await (await connection.execute(query("hold_lease"), values)).fetchone()
    if row is None:
        row = await (await connection.execute(query("take_lease"), values)).fetchone()
    return None if row is None else int(row[0])


async def describe_duty(connection: Connection, *, has_listeners: bool, self_test_every: timedelta | None) -> None:
    """Say, as who holds the lease, whether anybody would be told of a flood, and how often the chain is tested."""
    values = {"has_listeners": has_listeners, "self_test_every": self_test_every}
    await connection.execute(query("describe_duty"), values)


async def rows_to_evaluate(connection: Connection, spans: Sequence[Span]) -> dict[SensorId, list[Reading]]:
    """Each sensor's readings after the start and up to the end of its span, failed ones left out."""
    cursor = await connection.execute(
        query("rows_to_evaluate"),
        {
            "sensors": Int4s.of([s for s, _, _ in spans]),
            "starts": Times.at([a for _, a, _ in spans]),
            "ends": Times.at([b for _, _, b in spans]),
            "earliest": min(a for _, a, _ in spans),
            "latest": max(b for _, _, b in spans),
        },
        binary=True,
    )
    found: dict[SensorId, list[Reading]] = {sensor: [] for sensor, _, _ in spans}
    for sensor, at, value, flag, reasons in await cursor.fetchall():
        found[sensor].append(Reading(sensor, at, value, at, FLAGS[flag], reasons))
    return found


async def calm_before(connection: Connection, sensor: SensorId, before: datetime, below: float) -> datetime | None:
    """The last reading before a moment that is lower than `below`."""
    row = await (
        await connection.execute(query("calm_before"), {"sensor": sensor, "before": before, "below": below})
    ).fetchone()
    return row[0] if row else None


async def recorded_since(
    connection: Connection, since: Mapping[SensorId, datetime], kinds: Sequence[str]
) -> dict[SensorId, list[Alert]]:
    """Of each sensor the alerts of these kinds that last beyond its moment or begin after it, oldest first."""
    found: dict[SensorId, list[Alert]] = {}
    if since:
        rows = await connection.execute(
            query("recorded_since"),
            {"sensors": Int4s.of(list(since)), "since": Times.at(since.values()), "kinds": list(kinds)},
        )
        for row in await rows.fetchall():
            alert = Alert(**dict(zip(Alert.__slots__, row, strict=True)))
            found.setdefault(SensorId(row[4]), []).append(alert)
    return found


async def open_alerts(connection: Connection, kinds: Sequence[str]) -> list[Alert]:
    """Alerts of these kinds that last."""
    rows = await connection.execute(query("open_alerts"), {"kinds": list(kinds)})
    return [Alert(**dict(zip(Alert.__slots__, row, strict=True))) for row in await rows.fetchall()]


async def alerts_now(connection: Connection, ids: Iterable[int]) -> dict[int, Alert | None]:
    """These alerts as they stand; for one that another of the same water has taken in, that other; None where the
    record has it no more.
    """
    asked = list(ids)
    rows = await (await connection.execute(query("alerts_now"), {"ids": asked})).fetchall()
    found = {row[0]: Alert(**dict(zip(Alert.__slots__, row[1:], strict=True))) for row in rows}
    return {id_: found.get(id_) for id_ in asked}


def alert_as_said(said: Mapping[str, Any]) -> Alert:
    """An alert by what a message's payload says of it, for one that the record has no more. Pure."""
    return Alert(
        id=said["id"], kind=str(said.get("kind")), station=said.get("station_id"), river=None, sensor=None,
        subject=str(said.get("subject") or ""), level=int(said.get("flood_level") or 0),
        threshold_m=said.get("threshold_m"), state="withdrawn",
        started_at=datetime.fromisoformat(str(said["started_at"])), ended_at=None, value_m=said.get("value_m"),
        peak_m=said.get("peak_m"), verified=bool(said.get("verified")), status=str(said.get("status") or "actual"),
        paged_at=None, detail={}, incident=None, acknowledged_at=None, confirmed_at=None, dismissed_at=None,
    )  # fmt: skip


async def insert_alerts(connection: Connection, values: Sequence[dict[str, Any]]) -> list[int]:
    """Record new alerts; returns their ids, in order."""
    ids: list[int] = []
    if values:
        cursor = connection.cursor()
        rows = [{**v, "detail": Jsonb(dict(v["detail"]))} for v in values]
        await cursor.executemany(query("insert_alert"), rows, returning=True)
        async for result in cursor.results():
            ids += [id_ for (id_,) in await result.fetchall()]
    return ids


async def update_alerts(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    """Change recorded alerts; each value names its `alert`."""
    if values:
        changed = [{**v, "detail": Jsonb(dict(v["detail"]))} for v in values]
        await connection.cursor().executemany(query("update_alert"), changed)


async def end_alert(connection: Connection, alert: int, at: datetime) -> None:
    """What was wrong is well again."""
    await connection.execute(query("end_alert"), {"alert": alert, "at": at})


async def set_part(connection: Connection, alert: int, whole: int | None) -> None:
    """An alert is part of a larger one, or no longer."""
    await connection.execute(query("set_part"), {"alert": alert, "whole": whole})


async def retract_alert(connection: Connection, alert: int) -> None:
    """Keep an alert that people were told of, but that the readings no longer show."""
    await connection.execute(query("retract_alert"), {"alert": alert})


async def forget_alert(connection: Connection, alert: int) -> None:
    """Remove an alert that nobody was told of, and that the readings no longer show."""
    await connection.execute(query("forget_alert"), {"alert": alert})


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


async def trends(
    connection: Connection, sensors: Sequence[SensorId]
) -> dict[SensorId, tuple[float | None, datetime | None]]:
    """Each sensor's trend in units an hour, and the time of its newest reading."""
    rows = await (await connection.execute(query("trends"), {"sensors": list(sensors)})).fetchall()
    return {sensor: (trend, newest) for sensor, trend, newest in rows}


async def level_names(connection: Connection) -> dict[int, tuple[str, str]]:
    """The levels' names in force now, Japanese and English."""
    rows = await (await connection.execute(query("all_flood_levels"))).fetchall()
    return {r[0]: (r[1], r[2]) for r in rows}


# What is to be told.


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Something that people are to be told of an alert."""

    id: int
    event: str
    at: datetime
    alert: Alert


async def announce(connection: Connection, events: Sequence[tuple[int, str]], at: datetime) -> None:
    """What people are to be told, as soon as it may be: pairs of an alert and an event."""
    if events:
        rows = [{"alert": alert, "event": event, "at": at} for alert, event in events]
        await connection.cursor().executemany(query("announce"), rows)


async def _waiting(connection: Connection, name: str) -> list[Waiting]:
    rows = await (await connection.execute(query(name))).fetchall()
    return [
        Waiting(id=r[0], event=r[1], at=r[2], alert=Alert(**dict(zip(Alert.__slots__, r[3:], strict=True))))
        for r in rows
    ]  # fmt: skip


async def waiting(connection: Connection) -> list[Waiting]:
    """What is still to be told, the oldest first."""
    return await _waiting(connection, "waiting")


async def unlogged(connection: Connection) -> list[Waiting]:
    """What is not in the log yet, the oldest first."""
    return await _waiting(connection, "unlogged")


async def logged(connection: Connection, announcements: Iterable[int]) -> None:
    """These are in the log."""
    await connection.execute(query("logged"), {"ids": list(announcements)})


async def told(connection: Connection, announcements: Iterable[int], dropped: str | None = None) -> None:
    """These have gone into the outbox, or (`dropped` says why) are not to be told any more."""
    await connection.execute(query("told"), {"ids": list(announcements), "dropped": dropped})


async def told_over(connection: Connection, alerts: Iterable[int]) -> set[int]:
    """Those of these alerts of which people were told that they are over."""
    rows = await (await connection.execute(query("told_over"), {"alerts": list(alerts)})).fetchall()
    return {row[0] for row in rows}


async def hush(connection: Connection, alerts: Iterable[int]) -> None:
    """What waits to be told of these alerts is told otherwise."""
    await connection.execute(query("hush"), {"alerts": list(alerts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A conversation."""

    id: int
    topic: str
    river: RiverId | None
    status: str
    place: Place | None
    escalate_at: datetime | None


def _incident(row: Sequence[Any]) -> Incident:
    place = None if row[4] is None else Place(escalation=row[4], step=row[5], round=row[6])
    return Incident(id=row[0], topic=row[1], river=row[2], status=row[3], place=place, escalate_at=row[7])


async def open_incident(
    connection: Connection, topic: str, river: RiverId | None, status: str, at: datetime
) -> Incident:  # fmt: skip
    """The conversation that an alert of that river belongs to; begun where there is none."""
    values = {"topic": topic, "river": river, "status": status, "at": at}
    await connection.execute(query("begin_incident"), values)
    row = await (await connection.execute(query("open_incident"), values)).fetchone()
    assert row is not None
    return _incident(row)


async def join_incident(connection: Connection, incident: int, alerts: Iterable[int]) -> None:
    """Alerts become part of a conversation."""
    await connection.execute(query("join_incident"), {"incident": incident, "alerts": list(alerts)})


async def incidents_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Incident]:
    """These conversations."""
    rows = await (await connection.execute(query("incidents_by_id_to_tell"), {"ids": list(ids)})).fetchall()
    return {row[0]: _incident(row) for row in rows}


async def incidents_to_escalate(connection: Connection, now: datetime) -> list[Incident]:
    """Conversations in which nobody has answered in time."""
    rows = await (await connection.execute(query("incidents_to_escalate"), {"now": now})).fetchall()
    return [_incident(row) for row in rows]


async def place_incident(connection: Connection, incident: int, place: Place | None, at: datetime | None) -> None:
    """Where a conversation's escalation stands, and when it goes on."""
    await connection.execute(
        query("place_incident"),
        {
            "incident": incident, "escalation": place and place.escalation, "step": place.step if place else 0,
            "round": place.round if place else 0, "at": at,
        },
    )  # fmt: skip


async def unanswered(connection: Connection, incident: int) -> list[Alert]:
    """A conversation's alerts that last and that nobody has acknowledged, the worst first."""
    rows = await connection.execute(query("unanswered"), {"incident": incident})
    return [Alert(**dict(zip(Alert.__slots__, row, strict=True))) for row in await rows.fetchall()]


async def told_persons(connection: Connection, incidents: Iterable[int]) -> dict[int, list[str]]:
    """Who has been told something in each conversation."""
    rows = await connection.execute(query("told_persons"), {"incidents": list(incidents)})
    return dict(await rows.fetchall())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one person was sent lately in one conversation."""

    incident: int | None
    contact: str
    count: int
    last: datetime
    #: The last message that told of several conversations at once.
    together_at: datetime | None


async def sent_since(connection: Connection, since: datetime) -> list[Sent]:
    """What each person was sent in each conversation since a moment; the second channel of a message not counted."""
    rows = await (await connection.execute(query("sent_since"), {"since": since})).fetchall()
    return [Sent(incident=r[0], contact=r[1], count=r[2], last=r[3], together_at=r[4]) for r in rows]


async def close_incidents(connection: Connection, now: datetime) -> None:
    """End the conversations whose alerts have been over for long enough."""
    await connection.execute(query("close_incidents"), {"now": now})


async def values_now(connection: Connection, sensors: Sequence[SensorId]) -> dict[SensorId, tuple[float, datetime]]:
    """The newest values of these sensors, and when they were measured."""
    rows = await connection.execute(query("values_now"), {"sensors": list(sensors)})
    return {sensor: (value, at) for sensor, value, at in await rows.fetchall()}


async def link_secret(connection: Connection) -> bytes:
    """What acknowledge links are signed with."""
    row = await (await connection.execute(query("link_secret"))).fetchone()
    assert row is not None
    return bytes(row[0])


async def spikes_since(connection: Connection, since: datetime, now: datetime) -> dict[SensorId, int]:
    """How often each sensor's values have left the water and come back."""
    return dict(await (await connection.execute(query("recent_spikes"), {"since": since, "now": now})).fetchall())


async def ahead_since(connection: Connection, since: datetime) -> dict[str, datetime]:
    """When a message of each device was last refused because its time lies ahead."""
    return dict(await (await connection.execute(query("recently_ahead"), {"since": since})).fetchall())


async def sensor_facts(connection: Connection) -> list[tuple[Any, ...]]:
    """Of every sensor (id, observed_at, received_at, value, flag, trend_h, flat_since, device, the device's status)."""
    return await (await connection.execute(query("sensor_facts"))).fetchall()


async def gateway_facts(connection: Connection) -> list[GatewayFacts]:
    """What is known now of every gateway."""
    rows = await (await connection.execute(query("gateway_facts"))).fetchall()
    return [GatewayFacts(gateway_id=r[0], seen_at=r[1], backlog=r[2]) for r in rows]
