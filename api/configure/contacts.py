"""Contacts: people, groups and rotas that may be told, and messages that try whether they arrive.

Each change is one transaction with its audit.
"""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Body, HTTPException, Path, Response

from api.answer.alerts import committed, conflict
from api.configure.contact_checks import (
    check_contact,
    contact_of,
    contact_shape,
    users_of,
)
from api.contract import schemas
from api.contract.problems import REFUSALS
from api.contract.requests import ContactBody
from api.dependencies import Manager, Operator, Reader, Using, answer
from kawamori.domain import people as domain
from kawamori.domain.people import Person
from kawamori.storage import actions, audit, people
from kawamori.storage.database import Connection
from kawamori.storage.outbox import Draft, put_notifications

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["configuration"])


def _plain(found: Any) -> dict[str, Any]:
    """For the audit: secrets masked."""
    return contact_shape(found)


@router.get("/contacts", response_model=schemas.Contacts)
async def contacts(using: Using, _actor: Reader) -> Response:
    """Everybody who may be told. Of addresses that are secrets only the host is shown."""
    async with using.database.transaction() as connection:
        found = await people.contacts(connection)
    return answer({"contacts": [contact_shape(c) for c in found.values()]})


@router.get("/contacts/{contact_id}", response_model=schemas.Contact)
async def contact(using: Using, contact_id: Name, _actor: Reader) -> Response:
    """One contact."""
    async with using.database.transaction() as connection:
        found = (await people.contacts(connection)).get(contact_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
    return answer(contact_shape(found))


@router.put("/contacts/{contact_id}", response_model=schemas.Contact)
async def put_contact(using: Using, contact_id: Name, actor: Manager, body: Annotated[ContactBody, Body()]) -> Response:
    """Add a contact, or change it. An address that is sent as it is shown is kept."""

    async def work(connection: Connection) -> Response:
        await actions.change_configuration(connection)
        everybody = await people.contacts(connection)
        before = everybody.get(contact_id)
        found = contact_of(contact_id, body, before)
        check_contact(found, everybody)
        if found != before:
            await people.put_contact(connection, found)
            await audit.note(
                connection, who=actor.name, subject="contact", subject_id=contact_id,
                event="added" if before is None else "changed",
                detail={"before": before and _plain(before), "after": _plain(found)},
            )  # fmt: skip
        return answer(contact_shape(found))

    return await committed(using.database, work)


@router.delete("/contacts/{contact_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_contact(using: Using, contact_id: Name, actor: Manager) -> Response:
    """Remove a contact that nothing names any more."""

    async def work(connection: Connection) -> Response:
        await actions.change_configuration(connection)
        everybody = await people.contacts(connection)
        if contact_id not in everybody:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
        users = users_of(contact_id, everybody, await people.escalations(connection))
        if users:
            raise conflict(f"still named by {', '.join(users)}")
        await people.remove_contact(connection, contact_id)
        await audit.note(
            connection, who=actor.name, subject="contact", subject_id=contact_id, event="removed",
            detail={"before": _plain(everybody[contact_id])},
        )  # fmt: skip
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return await committed(using.database, work)


@router.post("/contacts/{contact_id}/test", response_model=schemas.Tested, status_code=HTTPStatus.ACCEPTED)
async def try_contact(using: Using, contact_id: Name, actor: Operator) -> Response:
    """Send a message marked 【試験】 by each channel of everybody it stands for now; follow them by their ids."""
    tried = uuid4().hex

    async def work(connection: Connection) -> Response:
        everybody = await people.contacts(connection)
        if contact_id not in everybody:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
        found = domain.persons([contact_id], everybody, using.clock())
        places = [(person, address) for person in found for address in person.addresses]
        if not places:
            raise conflict("nobody behind it has an address now")
        drafts = []
        for number, (person, address) in enumerate(places):
            subject, words = try_message(person, actor.name)
            drafts.append(
                Draft(
                    contact_id=person.id, channel=address.channel, recipient=address.address, event="test",
                    key=f"test-{contact_id}-{tried}-{number}", subject=subject, body=words,
                    payload={"alerts": [], "status": "test", "language": person.language},
                )
            )  # fmt: skip
        await put_notifications(connection, drafts)
        await audit.note(
            connection, who=actor.name, subject="contact", subject_id=contact_id, event="tested",
            detail={"channels": [address.channel for _, address in places]},
        )  # fmt: skip
        ids = await actions.notifications_by_key(connection, [draft.key for draft in drafts])
        return answer({"notifications": ids}, status=HTTPStatus.ACCEPTED)

    return await committed(using.database, work)


def try_message(person: Person, who: str) -> tuple[str, str]:
    """Subject and body of a message that only shows that it arrives. Pure."""
    if person.language == "ja":
        return (
            "【試験】川守からの通知の試験です",
            f"【試験】{person.name} 様\n{who} が通知の試験を行いました。対応は必要ありません。",
        )
    return (
        "[TEST] A test of Kawamori's messages",
        f"[TEST] {person.name},\n{who} has tested whether messages reach you. There is nothing to be done.",
    )
