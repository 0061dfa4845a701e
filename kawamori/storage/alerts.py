"""Alerts, what is to be told of them, and the conversations they belong to.

What changes together is written in the caller's one transaction.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from kawamori.domain.escalation import Position
from kawamori.domain.reading import FLAGS, Reading, RiverId, SensorId, StationId
from kawamori.domain.registry import Registry
from kawamori.domain.rules import GatewayFacts
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.changes import Cursor, hold_cursor
from kawamori.storage.database import Connection, query

Span = tuple[SensorId, datetime, datetime]
#: What cannot be judged is named one by one up to so many.
_NAMED = 50
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


async def take_lease(connection: Connection, holder: str, length: timedelta) -> tuple[int, datetime] | None:
    """Hold or renew the engines' lease for this transaction and `length` beyond it; its token, and the database's time
    when the transaction began. None where another holds it.

    The row stays locked until the transaction ends, so that two engines never write at once; a token that has changed
    says that another led in between. Time is the database's: engines' clocks may differ.
    """
    values = {"holder": holder, "length": length}
    row = await (await connection.execute(query("hold_lease"), values)).fetchone()
    if row is None:
        row = await (await connection.execute(query("take_lease"), values)).fetchone()
    return None if row is None else (int(row[0]), row[1])


class Visit(NamedTuple):
    """What an engine that holds the lease begins its visit to the change feed with."""

    token: int
    #: The database's time when the transaction began.
    at: datetime
    #: The last change that was evaluated.
    cursor: Cursor
    #: Whether late readings wait to be judged.
    late_waits: bool


async def begin_visit(connection: Connection, holder: str, length: timedelta, follower: str) -> Visit | None:
    """Take or renew the lease (see `take_lease`), then lock the follower's cursor; None where another engine leads."""
    values = {"holder": holder, "length": length, "follower": follower}
    row = await (await connection.execute(query("hold_lease_and_cursor"), values)).fetchone()
    if row is not None:
        return Visit(int(row[0]), row[1], Cursor(int(row[2]), row[3]), row[4])
    lease = await take_lease(connection, holder, length)
    if lease is None:
        return None
    cursor = await hold_cursor(connection, follower)
    (late_waits,) = await (await connection.execute(query("late_waits"))).fetchone() or (False,)
    return Visit(*lease, cursor, late_waits)


async def describe_alerting(
    connection: Connection, *, has_listeners: bool, self_test_every: timedelta | None, clock_off_s: float | None,
    not_judged: Mapping[str, str],
) -> None:  # fmt: skip
    """Say, as who holds the lease, whether anybody would be told of a flood, how often the chain is tested, how far
    this machine's clock is off, and what cannot be judged and why.
    """
    values = {
        "has_listeners": has_listeners, "self_test_every": self_test_every, "clock_off_s": clock_off_s,
        "not_judged": Jsonb(dict(sorted(not_judged.items())[:_NAMED])),
    }  # fmt: skip
    await connection.execute(query("describe_alerting"), values)


async def unpaged_alerts(
    connection: Connection, since: datetime, now: datetime
) -> list[tuple[Alert, datetime, datetime]]:
    """Alerts of the water that last, of which nobody was told, and whose sensors were heard since a moment; each with
    the time of its sensor's newest reading and when that came. Locked, as a person may be answering one.
    """
    rows = await (await connection.execute(query("unpaged_alerts"), {"since": since, "now": now})).fetchall()
    return [(Alert(**dict(zip(Alert.__slots__, r[2:], strict=True))), r[0], r[1]) for r in rows]


async def mark_paged_late(
    connection: Connection, alert: int, at: datetime, *, verified: bool, detail: Mapping[str, Any]
) -> None:
    """An alert is told of now, whatever the age of its readings."""
    values = {"alert": alert, "at": at, "verified": verified, "detail": Jsonb(dict(detail))}
    await connection.execute(query("mark_paged_late"), values)


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


async def page_to_evaluate(
    connection: Connection, sensor: SensorId, after: datetime, until: datetime, limit: int
) -> list[Reading]:
    """A sensor's next readings after a moment, at most `limit`, in order of measurement, failed ones left out."""
    values = {"sensor": sensor, "after": after, "until": until, "limit": limit}
    cursor = await connection.execute(query("page_to_evaluate"), values, binary=True)
    return [
        Reading(sensor, at, value, at, FLAGS[flag], reasons) for at, value, flag, reasons in await cursor.fetchall()
    ]


async def put_off(connection: Connection, sensor: SensorId, since: datetime, until: datetime) -> None:
    """A sensor's late readings of that span are to be judged by pages, beside everything else."""
    await connection.execute(query("put_off"), {"sensor": sensor, "since": since, "until": until})


async def next_late(connection: Connection) -> Span | None:
    """The sensor put off for longest, and the span of its late readings."""
    row = await (await connection.execute(query("next_late"))).fetchone()
    return None if row is None else (SensorId(row[0]), row[1], row[2])


async def late_done(connection: Connection, sensor: SensorId) -> None:
    """A sensor's late readings have been judged."""
    await connection.execute(query("late_done"), {"sensor": sensor})


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


async def renew_alerts(connection: Connection, alerts: Sequence[int]) -> None:
    """These are raised again: nobody has answered them, and their closed conversations are over."""
    if alerts:
        await connection.execute(query("renew_alerts"), {"alerts": list(alerts)})


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
class Announcement:
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


async def _announcements(connection: Connection, name: str) -> list[Announcement]:
    rows = await (await connection.execute(query(name))).fetchall()
    return [
        Announcement(id=r[0], event=r[1], at=r[2], alert=Alert(**dict(zip(Alert.__slots__, r[3:], strict=True))))
        for r in rows
    ]  # fmt: skip


async def announcements_to_tell(connection: Connection) -> list[Announcement]:
    """What is still to be told, the oldest first."""
    return await _announcements(connection, "announcements_to_tell")


async def announcements_to_log(connection: Connection) -> list[Announcement]:
    """What is not in the log yet, the oldest first."""
    return await _announcements(connection, "announcements_to_log")


async def mark_logged(connection: Connection, announcements: Iterable[int]) -> None:
    """These are in the log."""
    await connection.execute(query("mark_logged"), {"ids": list(announcements)})


async def mark_told(connection: Connection, announcements: Iterable[int], dropped: str | None = None) -> None:
    """These have gone into the outbox, or (`dropped` says why) are not to be told any more."""
    await connection.execute(query("mark_told"), {"ids": list(announcements), "dropped": dropped})


async def told_ended(connection: Connection, alerts: Iterable[int]) -> set[int]:
    """Those of these alerts of which people were told that they are over."""
    rows = await (await connection.execute(query("told_ended"), {"alerts": list(alerts)})).fetchall()
    return {row[0] for row in rows}


async def mark_told_together(connection: Connection, alerts: Iterable[int]) -> None:
    """What waits to be told of these alerts is told otherwise."""
    await connection.execute(query("mark_told_together"), {"alerts": list(alerts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A conversation."""

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


async def set_incident_position(
    connection: Connection, incident: int, position: Position | None, at: datetime | None
) -> None:
    """Where a conversation's escalation stands, and when it goes on."""
    await connection.execute(
        query("set_incident_position"),
        {
            "incident": incident, "escalation": position and position.escalation,
            "step": position.step if position else 0, "round": position.round if position else 0, "at": at,
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
    topic: str
    contact: str
    count: int
    last: datetime
    #: The last message that told of several conversations at once.
    together_at: datetime | None


async def sent_since(connection: Connection, since: datetime) -> list[Sent]:
    """What each person was sent in each conversation since a moment; the second channel of a message not counted."""
    rows = await (await connection.execute(query("sent_since"), {"since": since})).fetchall()
    return [Sent(incident=r[0], topic=r[1], contact=r[2], count=r[3], last=r[4], together_at=r[5]) for r in rows]


async def close_incidents(connection: Connection, now: datetime) -> None:
    """End the conversations whose alerts have been over for long enough."""
    await connection.execute(query("close_incidents"), {"now": now})


async def values_now(connection: Connection, sensors: Sequence[SensorId]) -> dict[SensorId, tuple[float, datetime]]:
    """The newest values of these sensors, and when they were measured."""
    rows = await connection.execute(query("values_now"), {"sensors": list(sensors)})
    return {sensor: (value, at) for sensor, value, at in await rows.fetchall()}


async def known_levels(connection: Connection) -> dict[StationId, int]:
    """Of each station the highest flood level that lasts."""
    rows = await (await connection.execute(query("known_levels"))).fetchall()
    return dict(rows)


async def levels_of(
    connection: Connection, registry: Registry, stations: Collection[StationId], since: datetime
) -> dict[StationId, tuple[float, datetime]]:
    """The newest water levels of these stations, and when they were measured; none older than `since`."""
    sensors = [s for s in registry.sensors.values() if s.quantity == "water_level" and s.station in stations]
    values = await values_now(connection, [s.id for s in sensors]) if sensors else {}
    return {s.station: values[s.id] for s in sensors if s.id in values and values[s.id][1] >= since}


async def link_secret(connection: Connection) -> bytes:
    """What acknowledge links are signed with."""
    row = await (await connection.execute(query("link_secret"))).fetchone()
    assert row is not None
    return bytes(row[0])


class Doubts(NamedTuple):
    """How many of a sensor's readings left the water and came back, are disputed, and look like a counter's totals."""

    spikes: int = 0
    disputed: int = 0
    counting: int = 0


async def doubts_since(connection: Connection, since: datetime, now: datetime) -> dict[SensorId, Doubts]:
    """What each sensor's readings of that time are in doubt for, where it is told when they are many."""
    rows = await (await connection.execute(query("recent_doubts"), {"since": since, "now": now})).fetchall()
    return {row[0]: Doubts(*row[1:]) for row in rows}


async def refused_clocks(connection: Connection, since: datetime) -> dict[str, tuple[datetime, str]]:
    """When a message of each device was last refused because of its time, by our own clock, and the reason."""
    rows = await (await connection.execute(query("refused_clocks"), {"since": since})).fetchall()
    return {device: (at, reason) for device, at, reason in rows}


async def recent_arrivals(
    connection: Connection, sensors: Sequence[SensorId], last: int
) -> dict[SensorId, list[tuple[datetime, datetime]]]:
    """Of each sensor when its last readings were measured and when they came, in order of measurement."""
    found: dict[SensorId, list[tuple[datetime, datetime]]] = {}
    if sensors:
        rows = await connection.execute(query("recent_arrivals"), {"sensors": list(sensors), "last": last})
        for sensor, at, came in await rows.fetchall():
            found.setdefault(sensor, []).append((at, came))
    return found


async def jumping(connection: Connection, since: datetime, now: datetime, least: int) -> list[SensorId]:
    """Sensors of which at least so many readings since a moment were doubted for a jump."""
    rows = await connection.execute(query("jumping"), {"since": since, "now": now, "least": least})
    return [SensorId(sensor) for (sensor,) in await rows.fetchall()]


async def values_since(
    connection: Connection, sensors: Sequence[SensorId], since: datetime, now: datetime
) -> dict[SensorId, list[tuple[datetime, float]]]:
    """What these sensors sent since a moment, failed readings too, in order of measurement."""
    found: dict[SensorId, list[tuple[datetime, float]]] = {}
    if sensors:
        values = {"sensors": list(sensors), "since": since, "now": now}
        for sensor, at, value in await (await connection.execute(query("values_since"), values)).fetchall():
            found.setdefault(sensor, []).append((at, value))
    return found


async def sensor_facts(connection: Connection) -> list[tuple[Any, ...]]:
    """Of every sensor (id, observed_at, received_at, value, flag, trend_h, flat_since, device, the device's status, the
    seconds that its gateway's clock is ahead of ours).
    """
    return await (await connection.execute(query("sensor_facts"))).fetchall()


async def ingest_is_there(connection: Connection) -> bool:
    """Whether an ingest says that it is there and has been for a minute; also where none ever said anything."""
    row = await (await connection.execute(query("ingest_is_there"))).fetchone()
    return row is not None and bool(row[0])


async def gateway_facts(connection: Connection) -> list[GatewayFacts]:
    """What is known now of every gateway."""
    rows = await (await connection.execute(query("gateway_facts"))).fetchall()
    return [GatewayFacts(gateway_id=r[0], seen_at=r[1], backlog=r[2], clock_off_s=r[3]) for r in rows]
