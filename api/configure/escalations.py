"""Escalations: who is told, and who next when nobody answers. Each change is one transaction with its audit."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from api.answer.alerts import committed, conflict
from api.configure.contact_checks import (
    check_escalation,
    escalation_of,
    escalation_shape,
)
from api.contract import schemas
from api.contract.problems import REFUSALS
from api.contract.requests import EscalationBody
from api.dependencies import Manager, Reader, Using, answer
from kawamori.storage import actions, audit, people
from kawamori.storage.database import Connection

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["configuration"])


@router.get("/escalations", response_model=schemas.Escalations)
async def escalations(using: Using, _actor: Reader) -> Response:
    """Who is told, and who next when nobody answers."""
    async with using.database.transaction() as connection:
        found = await people.escalations(connection)
    return answer({"escalations": [escalation_shape(e) for e in found.values()]})


@router.get("/escalations/{escalation_id}", response_model=schemas.Escalation)
async def escalation(using: Using, escalation_id: Name, _actor: Reader) -> Response:
    """One escalation."""
    async with using.database.transaction() as connection:
        found = (await people.escalations(connection)).get(escalation_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no escalation of this id")
    return answer(escalation_shape(found))


@router.put("/escalations/{escalation_id}", response_model=schemas.Escalation)
async def put_escalation(using: Using, escalation_id: Name, actor: Manager, body: EscalationBody) -> Response:
    """Add an escalation, or change it."""
    directory = await using.directory.newest()

    async def work(connection: Connection) -> Response:
        await actions.change_configuration(connection)
        everything = await people.escalations(connection)
        before = everything.get(escalation_id)
        found = escalation_of(escalation_id, body)
        rivers = [river.id for river in directory.rivers]
        check_escalation(found, everything, await people.contacts(connection), rivers)
        if found != before:
            await people.put_escalation(connection, found)
            await audit.note(
                connection, who=actor.name, subject="escalation", subject_id=escalation_id,
                event="added" if before is None else "changed",
                detail={"before": before and escalation_shape(before), "after": escalation_shape(found)},
            )  # fmt: skip
        return answer(escalation_shape(found))

    return await committed(using.database, work)


@router.delete("/escalations/{escalation_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_escalation(using: Using, escalation_id: Name, actor: Manager) -> Response:
    """Remove an escalation that no other goes on to."""

    async def work(connection: Connection) -> Response:
        await actions.change_configuration(connection)
        everything = await people.escalations(connection)
        if escalation_id not in everything:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no escalation of this id")
        users = [e.id for e in everything.values() if e.then == escalation_id and e.id != escalation_id]
        if users:
            raise conflict(f"still named by escalation {', '.join(users)}")
        await people.remove_escalation(connection, escalation_id)
        await audit.note(
            connection, who=actor.name, subject="escalation", subject_id=escalation_id, event="removed",
            detail={"before": escalation_shape(everything[escalation_id])},
        )  # fmt: skip
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return await committed(using.database, work)
