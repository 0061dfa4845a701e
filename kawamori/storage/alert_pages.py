"""Read models of the alerts, as people see them: by page and by id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kawamori.domain.rules import KINDS
from kawamori.domain.shown_state import shown_state
from kawamori.domain.silence import silenced
from kawamori.storage.alerts import open_alerts
from kawamori.storage.database import Connection, Database, query
from kawamori.storage.page_keys import FIRST, LARGEST_ID, LAST
from kawamori.storage.people import silences


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert as it stands now."""

    id: int
    station: str | None
    river: str | None
    kind: str
    subject: str
    flood_level: int
    #: As stored; `shown_state` is what people see.
    state: str
    started_at: datetime
    ended_at: datetime | None
    retroactive: bool
    verified: bool
    status: str
    value_m: float | None
    threshold_m: float | None
    peak_m: float | None
    recorded_at: datetime
    paged_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    #: While a silence covers it now.
    shelved_until: datetime | None
    incident: int | None
    detail: Mapping[str, Any]
    #: How many things people have written down with it.
    notes: int = 0

    @property
    def shown_state(self) -> str:
        """pending, firing, shelved, acknowledged, resolved or withdrawn."""
        return shown_state(
            self.state, acknowledged=self.acknowledged_at is not None, shelved=self.shelved_until is not None
        )


def _alert(row: Sequence[Any]) -> Alert:
    return Alert(**dict(zip(Alert.__slots__, row, strict=True)))


async def _shelved(connection: Connection, now: datetime) -> dict[str, list[Any]]:
    """The alerts that a silence covers at this moment, and until when; as those who are told of alerts see it."""
    quiet = [silence for silence in (await silences(connection, now)).values() if silence.in_force(now)]
    found = {}
    for a in await open_alerts(connection, list(KINDS)) if quiet else ():
        by = silenced(quiet, now, alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
        if by is not None and a.state == "firing":
            found[a.id] = by.ends_at
    return {"shelved": list(found), "untils": list(found.values())}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsWanted:
    """Which alerts a page is to show; None is any."""

    start: datetime = FIRST
    end: datetime = LAST
    state: str | None = None
    station: str | None = None
    river: str | None = None
    kind: str | None = None
    status: str | None = None
    min_level: int = 0


async def alerts_page(
    database: Database, wanted: AlertsWanted, now: datetime, before: tuple[datetime, int] = (LAST, LARGEST_ID),
    *, limit: int,
) -> list[Alert]:  # fmt: skip
    """Alerts that touch the span, the newest start first, after the key `before`."""
    parameters = {name: getattr(wanted, name) for name in AlertsWanted.__slots__}
    parameters |= {"before": before[0], "before_id": before[1], "limit": limit}
    async with database.transaction() as connection:
        parameters |= await _shelved(connection, now)
        rows = await (await connection.execute(query("alerts_page"), parameters)).fetchall()
    return [_alert(row) for row in rows]


async def alerts_by_id(connection: Connection, ids: Iterable[int], now: datetime) -> list[Alert]:
    """Those of the alerts that people may see, in order of id."""
    parameters = {"ids": list(ids), **await _shelved(connection, now)}
    return [_alert(row) for row in await (await connection.execute(query("alerts_by_id"), parameters)).fetchall()]
