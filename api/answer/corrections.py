"""People's corrections of readings. They are recorded here; ingest brings the readings to them, and alerts follow."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import AwareDatetime

from api.answer.alerts import committed
from api.contract import schemas
from api.contract.problems import REFUSALS, WrongField
from api.contract.requests import CorrectionBody
from api.dependencies import Id, IdCursor, Limit, Manager, Reader, Using, answer
from api.read.routes import sensor_of
from kawamori.domain.correction import Correction, CorrectionKind
from kawamori.domain.limits import bounds_of, limits_of
from kawamori.domain.registry import Registry, Sensor
from kawamori.storage import audit
from kawamori.storage.corrections import (
    CorrectionRow,
    add_correction,
    corrections_of_station,
    reading_stands_at,
    undo_correction,
)
from kawamori.storage.database import Connection
from kawamori.storage.page_keys import LARGEST_ID

#: Ingest holds the readings of a correction in memory at once: 45,000 of one a minute.
LONGEST = timedelta(days=31)


def _shape(found: CorrectionRow, station: str) -> dict[str, Any]:
    return {
        "id": found.id, "station_id": station, "quantity": found.quantity, "starts_at": found.starts_at,
        "ends_at": found.ends_at, "kind": found.kind, "amount": found.amount, "reason": found.why, "who": found.who,
        "made_at": found.made_at, "undone_at": found.undone_at, "undone_by": found.undone_by,
        "applied": found.applied, "refused": found.refused,
    }  # fmt: skip


def correction_from(
    body: CorrectionBody, at: datetime, sensor: Sensor, who: str, now: datetime, registry: Registry
) -> Correction:
    """The correction that is meant; raises WrongField. Pure."""
    meant = [name for name in ("value", "offset", "condemn") if getattr(body, name) is not None]
    if len(meant) != 1:
        raise WrongField("value", "give exactly one of `value`, `offset` and `condemn`")
    end = body.to or at
    if end < at:
        raise WrongField("to", "must not be earlier than the reading of the address")
    if end - at > LONGEST:
        raise WrongField("to", f"must be within {LONGEST.days} days; correct a longer span in parts")
    if end > now + timedelta(minutes=5):
        raise WrongField("to", "must not lie ahead: what is not measured yet cannot be wrong")
    if registry.kept_from is not None and at < registry.kept_from:
        raise WrongField("time", "of readings so old only the summaries are kept")
    if body.value is not None:
        if body.to is not None and body.to != at:
            raise WrongField("to", "one value is for one reading; a span is shifted (`offset`) or condemned")
        bounds = bounds_of(limits_of(registry)[sensor.id])
        if body.value < bounds.sure_low:
            raise WrongField("value", f"below what is possible here, {bounds.sure_low:g} {sensor.unit.symbol}")
        if body.value > bounds.sure_high:
            raise WrongField("value", f"above what is possible here, {bounds.sure_high:g} {sensor.unit.symbol}")
    amount = body.value if body.value is not None else body.offset
    return Correction(0, sensor.id, at, end, CorrectionKind(meant[0]), amount, who, body.reason)


def _asked_before(standing: list[CorrectionRow], meant: Correction) -> CorrectionRow | None:
    """The correction that says the same already, if nothing newer of that very span stands."""
    for row in standing:
        if row.undone_at is None and (row.sensor, row.starts_at, row.ends_at) == meant[1:4]:
            return row if (row.kind, row.amount) == (meant.kind, meant.amount) else None
    return None


def _detail(found: CorrectionRow, station: str) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in _shape(found, station).items()
        if name in ("id", "quantity", "starts_at", "ends_at", "kind", "amount")
    }


router = APIRouter(prefix="/api/v1/stations/{station_id}", responses=REFUSALS, tags=["readings"])


async def _correction(connection: Connection, station: str, correction: int) -> CorrectionRow:
    found = await corrections_of_station(connection, station, before=correction + 1, limit=1)
    if not found or found[0].id != correction:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no correction of this id")
    return found[0]


@router.put("/readings/{time}", response_model=schemas.Correction)
async def correct(
    using: Using, station_id: str, time: Annotated[AwareDatetime, Path()], actor: Manager, body: CorrectionBody
) -> Response:
    """Correct or condemn the reading of that very time, or with `to` all from it until then, for a reason.

    The former values are kept; readings that arrive later or again obey it, and alerts follow, within seconds.
    """
    directory = await using.directory.newest()
    sensor = sensor_of(directory, station_id, body.quantity)
    meant = correction_from(body, time, sensor, actor.name, using.clock(), directory.registry)

    async def work(connection: Connection) -> Response:
        if not await reading_stands_at(connection, sensor.id, meant.starts_at, meant.ends_at):
            raise HTTPException(HTTPStatus.NOT_FOUND, "no reading of this time; times are exact, as the API gives them")
        standing = await corrections_of_station(connection, station_id, before=LARGEST_ID, limit=100)
        if (same := _asked_before(standing, meant)) is not None:
            return answer(_shape(same, station_id))
        found = await _correction(connection, station_id, await add_correction(connection, meant))
        await audit.note(
            connection, who=actor.name, subject="readings", subject_id=station_id, event="corrected",
            note=meant.why, detail=_detail(found, station_id),
        )  # fmt: skip
        return answer(_shape(found, station_id))

    return await committed(using.database, work)


@router.get("/corrections", response_model=schemas.Corrections)
async def corrections(
    using: Using, _actor: Reader, station_id: str, limit: Limit = 100, cursor: IdCursor | None = None
) -> Response:
    """What people said of this station's readings, undone or not, the newest first."""
    async with using.database.transaction() as connection:
        found = await corrections_of_station(connection, station_id, before=cursor or LARGEST_ID, limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return answer({"corrections": [_shape(row, station_id) for row in found[:limit]], "next": more})


@router.delete("/corrections/{correction_id}", response_model=schemas.Correction)
async def undo(using: Using, station_id: str, correction_id: Id, actor: Manager) -> Response:
    """Let a correction hold no more: the readings are again what the devices said, or an older correction."""

    async def work(connection: Connection) -> Response:
        if await undo_correction(connection, station_id, correction_id, actor.name):
            found = await _correction(connection, station_id, correction_id)
            await audit.note(
                connection, who=actor.name, subject="readings", subject_id=station_id, event="correction_undone",
                detail=_detail(found, station_id),
            )  # fmt: skip
        return answer(_shape(await _correction(connection, station_id, correction_id), station_id))

    return await committed(using.database, work)
