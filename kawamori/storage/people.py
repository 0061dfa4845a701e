"""Contacts, escalations and silences, as the rows hold them: objects of kawamori.domain as JSON."""

from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from kawamori.domain.escalation import Escalation
from kawamori.domain.people import Contact, Group, Person, Rota
from kawamori.domain.silence import Silence
from kawamori.storage.database import Connection, query

CONTACT_KINDS: dict[str, type[Contact]] = {"person": Person, "group": Group, "rota": Rota}


def _settings(found: Any, *columns: str) -> Jsonb:
    """What of an object has no column of its own."""
    return Jsonb({name: value for name, value in msgspec.to_builtins(found).items() if name not in columns})


async def contacts(connection: Connection) -> dict[str, Contact]:
    """Everybody, by id."""
    rows = await (await connection.execute(query("all_contacts"))).fetchall()
    return {
        id_: msgspec.convert({**settings, "id": id_, "name": name}, CONTACT_KINDS[kind])
        for id_, kind, name, settings in rows
    }


async def put_contact(connection: Connection, contact: Contact) -> None:
    """Add a contact, or change it."""
    kind = next(kind for kind, type_ in CONTACT_KINDS.items() if isinstance(contact, type_))
    settings = _settings(contact, "id", "name")
    await connection.execute(
        query("put_contact"), {"id": contact.id, "kind": kind, "name": contact.name, "settings": settings}
    )


async def remove_contact(connection: Connection, id_: str) -> bool:
    """Remove a contact; whether there was one."""
    return (await connection.execute(query("remove_contact"), {"id": id_})).rowcount == 1


async def escalations(connection: Connection) -> dict[str, Escalation]:
    """Every escalation, by id."""
    rows = await (await connection.execute(query("all_escalations"))).fetchall()
    return {
        id_: msgspec.convert({**settings, "id": id_, "name": name, "river": river}, Escalation)
        for id_, name, river, settings in rows
    }


async def put_escalation(connection: Connection, escalation: Escalation) -> None:
    """Add an escalation, or change it."""
    await connection.execute(
        query("put_escalation"),
        {
            "id": escalation.id, "name": escalation.name, "river": escalation.river,
            "settings": _settings(escalation, "id", "name", "river"),
        },
    )  # fmt: skip


async def remove_escalation(connection: Connection, id_: str) -> bool:
    """Remove an escalation; whether there was one."""
    return (await connection.execute(query("remove_escalation"), {"id": id_})).rowcount == 1


async def silences(connection: Connection, after: datetime) -> dict[int, Silence]:
    """The silences that end after a moment and were not lifted, by id."""
    rows = await (await connection.execute(query("all_silences"), {"after": after})).fetchall()
    names = (
        "id",
        "alert",
        "station",
        "river",
        "kinds",
        "up_to_level",
        "starts_at",
        "ends_at",
        "weekly",
        "reason",
        "author",
    )
    return {row[0]: msgspec.convert(dict(zip(names, row, strict=True)), Silence) for row in rows}


async def put_silence(connection: Connection, silence: Silence) -> int:
    """Add a silence; returns its id, whatever the object's own says."""
    values = {
        name: getattr(silence, name)
        for name in ("alert", "station", "river", "up_to_level", "starts_at", "ends_at", "reason", "author")
    }
    values["kinds"] = None if silence.kinds is None else list(silence.kinds)
    values["weekly"] = None if silence.weekly is None else Jsonb(msgspec.to_builtins(silence.weekly))
    row = await (await connection.execute(query("put_silence"), values)).fetchone()
    assert row is not None
    return int(row[0])


async def lift_silence(connection: Connection, id_: int, who: str) -> bool:
    """End a silence before its time; whether it was still to come or in force."""
    return (await connection.execute(query("lift_silence"), {"id": id_, "who": who})).rowcount == 1
