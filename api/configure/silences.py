"""Silences: maintenance windows during which nobody is told. Each change is one transaction with its audit."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException, Query, Response

from api.answer.alerts import committed
from api.contract import schemas
from api.contract.problems import REFUSALS, WrongField
from api.contract.requests import SilenceBody
from api.dependencies import Dependencies, Id, IdCursor, Limit, Manager, Using, answer
from kawamori.domain import people as domain
from kawamori.domain.reading import RiverId, StationId
from kawamori.domain.rules import KINDS
from kawamori.domain.silence import Silence, Weekly
from kawamori.storage import actions, audit, people
from kawamori.storage import alerts as record
from kawamori.storage.actions import SilenceRow
from kawamori.storage.database import Connection
from kawamori.storage.page_keys import LARGEST_ID

#: A window longer than this is no maintenance.
LONGEST_SILENCE = timedelta(days=366)

router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["configuration"])


def _silence_shape(found: SilenceRow) -> dict[str, Any]:
    return {
        "id": found.id,
        "alert_id": found.alert,
        "station_id": found.station,
        "river_id": found.river,
        "kinds": found.kinds,
        "up_to_level": found.up_to_level,
        "starts_at": found.starts_at,
        "ends_at": found.ends_at,
        "weekly": found.weekly,
        "reason": found.reason,
        "author": found.author,
        "lifted_at": found.lifted_at,
        "lifted_by": found.lifted_by,
    }


def silence_of(body: SilenceBody, now: Any, author: str) -> Silence:
    """The silence that is meant; raises WrongField. Pure."""
    starts_at = body.starts_at or now
    if body.ends_at <= starts_at:
        raise WrongField("ends_at", "must be later than `starts_at`")
    if body.ends_at <= now:
        raise WrongField("ends_at", "must lie ahead")
    if body.ends_at - starts_at > LONGEST_SILENCE:
        raise WrongField("ends_at", f"must be within {LONGEST_SILENCE.days} days of `starts_at`")
    for place, kind in enumerate(body.kinds or ()):
        if kind not in KINDS:
            raise WrongField(f"kinds.{place}", f"must be one of {', '.join(sorted(KINDS))}")
    weekly = None
    if body.weekly is not None:
        hours = tuple(
            domain.Hours(days=h.days, start=h.start.replace(tzinfo=None), end=h.end.replace(tzinfo=None))
            for h in body.weekly.hours
        )
        weekly = Weekly(hours=hours, time_zone=body.weekly.time_zone)
    return Silence(
        id=0, station=body.station_id, river=body.river_id, kinds=body.kinds, up_to_level=body.up_to_level,
        starts_at=starts_at, ends_at=body.ends_at, weekly=weekly, reason=body.reason, author=author,
    )  # fmt: skip


async def _covered(connection: Connection, silence: Silence) -> list[int]:
    """The alerts that last and that a silence is about: screens are to show them anew."""
    return [
        a.id for a in await record.open_alerts(connection, sorted(KINDS))
        if silence.covers(alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
    ]  # fmt: skip


@router.get("/silences", response_model=schemas.Silences)
async def silences(
    using: Using,
    over: Annotated[bool, Query(description="Those too that hold no more")] = False,
    limit: Limit = 100,
    cursor: IdCursor = LARGEST_ID,
) -> Response:
    """Shelved alerts and maintenance windows, newest first."""
    async with using.database.transaction() as connection:
        found = await actions.silences_page(connection, over=over, before=cursor, limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return answer({"silences": [_silence_shape(s) for s in found[:limit]], "next": more})


@router.post("/silences", response_model=schemas.Silence, status_code=HTTPStatus.CREATED)
async def add_silence(using: Using, actor: Manager, body: SilenceBody) -> Response:
    """Announce a maintenance window: recorded and shown all the same, but nobody is told."""
    directory = await using.directory.newest()
    if body.station_id is not None and StationId(body.station_id) not in directory.registry.stations:
        raise WrongField("station_id", "no station of this id")
    if body.river_id is not None and RiverId(body.river_id) not in {river.id for river in directory.rivers}:
        raise WrongField("river_id", "no river of this id")
    if body.river_id is not None and body.station_id is not None:
        raise WrongField("river_id", "a silence is for a station or for a river; give one")
    silence = silence_of(body, using.clock(), actor.name)

    async def work(connection: Connection) -> Response:
        id_ = await people.put_silence(connection, silence)
        found = (await actions.silences_page(connection, over=True, before=id_ + 1, limit=1))[0]
        shape = _silence_shape(found)
        await audit.note(
            connection, who=actor.name, subject="silence", subject_id=id_, event="added", note=silence.reason,
            detail={"after": msgspec.to_builtins(shape)},
        )  # fmt: skip
        await _retell(using, connection, silence, actor.name, "silenced", silence.reason)
        return answer(shape, status=HTTPStatus.CREATED)

    return await committed(using.database, work)


@router.post("/silences/{silence_id}/lift", response_model=schemas.Silence)
async def lift_silence(using: Using, silence_id: Id, actor: Manager) -> Response:
    """End a silence before its time."""

    async def work(connection: Connection) -> Response:
        def this(rows: list[SilenceRow]) -> SilenceRow:
            if not rows or rows[0].id != silence_id:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no silence of this id")
            return rows[0]

        before = this(await actions.silences_page(connection, over=True, before=silence_id + 1, limit=1))
        known = (await people.silences(connection, using.clock())).get(silence_id)
        if await people.lift_silence(connection, silence_id, actor.name):
            await audit.note(
                connection, who=actor.name, subject="silence", subject_id=silence_id, event="lifted",
                detail={"before": msgspec.to_builtins(_silence_shape(before))},
            )  # fmt: skip
            if known is not None:
                await _retell(using, connection, known, actor.name, "unsilenced", None)
        after = this(await actions.silences_page(connection, over=True, before=silence_id + 1, limit=1))
        return answer(_silence_shape(after))

    return await committed(using.database, work)


async def _retell(
    using: Dependencies, connection: Connection, silence: Silence, who: str, event: str, note: str | None
) -> None:
    """Screens hear at once of the alerts that a silence is about."""
    if silence.in_force(using.clock()):
        covered = await _covered(connection, silence)
        lines = [{"id": a, "alert": a, "who": who, "event": event, "note": note} for a in covered]
        await audit.notes(connection, lines)
