"""Answering alerts: acknowledge, note, shelve, confirm, withdraw, and what a person raises by hand.

Each is one transaction with its line of the audit. The same answer twice changes nothing the second time.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter, HTTPException, Response

from api.contract import schemas, shapes
from api.contract.problems import REFUSALS, WrongField
from api.contract.requests import LONGEST_SHELVING_MIN, Acknowledge, ByHand, Noted, Shelve, Withdraw
from api.dependencies import Dependencies, Id, Manager, Operator, Using, answer
from kawamori.domain.reading import StationId
from kawamori.domain.silence import Silence
from kawamori.errors import StorageUnavailable
from kawamori.storage import actions, announcements, audit, people
from kawamori.storage import alerts as record
from kawamori.storage.actions import LockedAlert
from kawamori.storage.alert_pages import alerts_by_id
from kawamori.storage.database import Connection, Database
from kawamori.storage.page_keys import LARGEST_ID

T = TypeVar("T")
#: The engine may hold an alert at the same moment: the same work again, for so long.
_TRIES, _PATIENCE_S = 3, 2.0
_LASTS = ("pending", "firing")


async def committed(database: Database, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do the work in one transaction, anew where another one came in between; raises StorageUnavailable."""
    begun = time.monotonic()
    for left in reversed(range(_TRIES)):
        try:
            async with database.transaction() as connection:
                return await work(connection)
        except StorageUnavailable:
            if not left or time.monotonic() - begun > _PATIENCE_S:
                raise
    raise AssertionError("unreachable")


def conflict(detail: str) -> HTTPException:
    """It cannot be done to what it is now."""
    return HTTPException(HTTPStatus.CONFLICT, detail)


async def acknowledge_alerts(
    connection: Connection, alerts: list[int], who: str, note: str | None, *, by: str = "console"
) -> None:
    """Acknowledge alerts that nobody has, each with its line of the audit."""
    if alerts:
        await actions.acknowledge(connection, alerts, who)
        line = {"who": who, "event": "acknowledged", "note": note, "detail": {"by": by}}
        await audit.notes(connection, [{**line, "id": alert, "alert": alert} for alert in alerts])


async def _held(connection: Connection, alert: int) -> LockedAlert:
    held = await actions.lock_alert(connection, alert)
    if held is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no alert of this id")
    return held


router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["answers"])


async def _shown(using: Dependencies, connection: Connection, alert: int, status: int = HTTPStatus.OK) -> Response:
    found = await alerts_by_id(connection, [alert], using.clock())
    return answer(shapes.alert(found[0]), status=status)


@router.post("/alerts/{alert_id}/acknowledge", response_model=schemas.Alert)
async def acknowledge(using: Using, alert_id: Id, actor: Operator, body: Acknowledge | None = None) -> Response:
    """Say that you have seen it and answer for it. It closes nothing; whoever was first stays written down."""

    async def work(connection: Connection) -> Response:
        held = await _held(connection, alert_id)
        if held.acknowledged_at is None:
            await acknowledge_alerts(connection, [alert_id], actor.name, body.note if body else None)
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)


@router.post("/incidents/{incident_id}/acknowledge", response_model=schemas.Alerts)
async def acknowledge_incident(
    using: Using, incident_id: Id, actor: Operator, body: Acknowledge | None = None
) -> Response:
    """Acknowledge every alert of an incident that nobody has; returns those."""

    async def work(connection: Connection) -> Response:
        if not await actions.incident_exists(connection, incident_id):
            raise HTTPException(HTTPStatus.NOT_FOUND, "no incident of this id")
        ids = await actions.alerts_to_acknowledge(connection, incident_id, LARGEST_ID)
        await acknowledge_alerts(connection, ids, actor.name, body.note if body else None)
        found = await alerts_by_id(connection, ids, using.clock()) if ids else []
        return answer({"alerts": [shapes.alert(a) for a in found], "next": None})

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/notes", response_model=schemas.Alert)
async def note(using: Using, alert_id: Id, actor: Operator, body: Noted) -> Response:
    """Write something down with an alert."""

    async def work(connection: Connection) -> Response:
        await _held(connection, alert_id)
        await audit.note(connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="noted", note=body.note)
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/shelve", response_model=schemas.Alert)
async def shelve(using: Using, alert_id: Id, actor: Operator, body: Shelve) -> Response:
    """Tell nobody of it for some time, 24 hours at most. A new shelving takes the place of the one before."""
    now = using.clock()
    if (body.until is None) == (body.minutes is None):
        raise WrongField("until", "give one of `until` and `minutes`")
    until = body.until or now + timedelta(minutes=body.minutes or 0)
    if not now < until <= now + timedelta(minutes=LONGEST_SHELVING_MIN, seconds=5):
        raise WrongField("until", "must be within the next 24 hours")

    async def work(connection: Connection) -> Response:
        held = await _held(connection, alert_id)
        if held.state not in _LASTS:
            raise conflict("the alert is over: there is nothing to be told of any more")
        before = await actions.shelvings(connection, alert_id)
        if [(until, body.reason)] != [(end, reason) for _, end, reason in before]:
            for id_, _, _ in before:
                await people.lift_silence(connection, id_, actor.name)
            id_ = await people.put_silence(
                connection,
                Silence(
                    id=0, alert=alert_id, up_to_level=5, starts_at=now, ends_at=until, reason=body.reason,
                    author=actor.name,
                ),
            )  # fmt: skip
            await audit.note(
                connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="shelved", note=body.reason,
                detail={"until": until.isoformat(), "silence": id_},
            )  # fmt: skip
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/unshelve", response_model=schemas.Alert)
async def unshelve(using: Using, alert_id: Id, actor: Operator) -> Response:
    """Let people be told of it again."""

    async def work(connection: Connection) -> Response:
        await _held(connection, alert_id)
        lifted = [
            await people.lift_silence(connection, id_, actor.name)
            for id_, _, _ in await actions.shelvings(connection, alert_id)
        ]
        if any(lifted):
            await audit.note(connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="unshelved")
        found = await alerts_by_id(connection, [alert_id], using.clock())
        if found[0].shelved_until is not None:
            raise conflict("a silence of its station, its river or the site covers it: lift that one")
        return answer(shapes.alert(found[0]))

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/confirm", response_model=schemas.Alert)
async def confirm(using: Using, alert_id: Id, actor: Operator, body: Acknowledge | None = None) -> Response:
    """Say that somebody has looked, and it is true. Whoever was told of an unverified one is told."""

    async def work(connection: Connection) -> Response:
        held = await _held(connection, alert_id)
        if held.state == "withdrawn":
            raise conflict("the alert was withdrawn; raise one by hand if there is water")
        if held.confirmed_at is None:
            await actions.confirm(connection, alert_id, actor.name)
            await audit.note(
                connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="confirmed",
                note=body.note if body else None,
            )  # fmt: skip
            if not held.verified and held.paged_at is not None:
                await announcements.announce(connection, [(alert_id, "confirmed")], using.clock())
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/withdraw", response_model=schemas.Alert)
async def withdraw(using: Using, alert_id: Id, actor: Operator, body: Withdraw) -> Response:
    """Say that somebody has looked, and it was no water: unverified alerts, and those raised by hand.

    Readings that prove it wrong raise it again: a flood is never hidden.
    """

    async def work(connection: Connection) -> Response:
        held = await _held(connection, alert_id)
        if held.state != "withdrawn":
            if held.state == "resolved":
                raise conflict("the alert is over")
            if held.verified and held.kind != "manual":
                raise conflict("readings have verified it: only an unverified alert can be withdrawn")
            await actions.dismiss(connection, alert_id, actor.name)
            await audit.note(
                connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="withdrawn", note=body.reason
            )
            if held.paged_at is not None:
                await announcements.announce(connection, [(alert_id, "withdrawn")], using.clock())
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)


@router.post("/alerts", response_model=schemas.Alert, status_code=HTTPStatus.CREATED)
async def raise_by_hand(using: Using, actor: Manager, body: ByHand) -> Response:
    """Raise what you see and no sensor does; people are told at once."""
    if (body.station_id is None) == (body.river_id is None):
        raise WrongField("station_id", "give one of `station_id` and `river_id`")
    directory = await using.directory.newest()
    if body.station_id is not None and StationId(body.station_id) not in directory.registry.stations:
        raise WrongField("station_id", "no station of this id")
    if body.river_id is not None and body.river_id not in {river.id for river in directory.rivers}:
        raise WrongField("river_id", "no river of this id")
    message = {"ja": body.message.ja, "en": body.message.en or body.message.ja}
    detail = {"message": message, "text": message["ja"].split("\n", 1)[0], "author": actor.name}
    if body.request is not None:
        detail["request"] = body.request

    async def work(connection: Connection) -> Response:
        if body.request is not None:
            await actions.change_configuration(connection)  # the same request twice at once waits here
            before = await actions.raised_by_hand(connection, body.request)
            if before is not None:
                return await _shown(using, connection, before)
        id_ = await actions.raise_by_hand(
            connection, station=body.station_id, level=body.flood_level, detail=detail,
            subject="" if body.river_id is None else f"river:{body.river_id}",
            status=body.status or using.site.status,
        )  # fmt: skip
        await audit.note(
            connection, who=actor.name, subject_id=id_, alert=id_, event="raised", note=message["ja"],
            detail={"flood_level": body.flood_level},
        )  # fmt: skip
        await announcements.announce(connection, [(id_, "raised")], using.clock())
        return await _shown(using, connection, id_, HTTPStatus.CREATED)

    return await committed(using.database, work)


@router.post("/alerts/{alert_id}/resolve", response_model=schemas.Alert)
async def resolve(using: Using, alert_id: Id, actor: Manager, body: Acknowledge | None = None) -> Response:
    """End an alert that was raised by hand. All others end with their readings."""

    async def work(connection: Connection) -> Response:
        held = await _held(connection, alert_id)
        if held.kind != "manual":
            raise conflict("the readings end it; only what was raised by hand is ended by hand")
        if held.state == "withdrawn":
            raise conflict("the alert was withdrawn")
        if held.state != "resolved":
            await record.end_alert(connection, alert_id, using.clock())
            await audit.note(
                connection, who=actor.name, subject_id=alert_id, alert=alert_id, event="resolved",
                note=body.note if body else None,
            )  # fmt: skip
            await announcements.announce(connection, [(alert_id, "resolved")], using.clock())
        return await _shown(using, connection, alert_id)

    return await committed(using.database, work)
