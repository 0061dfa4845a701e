"""The record of alerts: what the readings say of the water, and what people have answered.

What changes together is written in the caller's one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from kawamori.domain.reading import RiverId, SensorId, StationId
from kawamori.storage.binary import Int4s, Times
from kawamori.storage.database import Connection, query


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
    """These are raised again: nobody has answered them, and their closed incidents are over."""
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


async def known_levels(connection: Connection) -> dict[StationId, int]:
    """Of each station the highest flood level that lasts."""
    rows = await (await connection.execute(query("known_levels"))).fetchall()
    return dict(rows)
