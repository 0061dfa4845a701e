"""Contacts, escalations and silences, as the rows hold them: objects of kawamori.domain as JSON."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from kawamori.domain.escalation import Escalation
from kawamori.domain.people import Contact, Group, Person, Rota
from kawamori.domain.silence import Silence
from kawamori.domain.text import one_line
from kawamori.observe import log
from kawamori.storage.database import Connection, query

#: Rows that are logged by name at most.
_MOST_LOGGED = 1000
CONTACT_KINDS: dict[str, type[Contact]] = {"person": Person, "group": Group, "rota": Rota}


def _settings(found: Any, *columns: str) -> Jsonb:
    """What of an object has no column of its own."""
    return Jsonb({name: value for name, value in msgspec.to_builtins(found).items() if name not in columns})


K = TypeVar("K")
V = TypeVar("V")
#: What was logged already: a row that is not understood is read every second.
_logged: set[str] = set()


def _understood(
    what: str, rows: Iterable[tuple[K, Callable[[], V]]], problems: list[str] | None
) -> dict[K, V]:  # fmt: skip
    """The rows that this version understands; another costs itself alone, is logged once, and goes to `problems`."""
    found: dict[K, V] = {}
    for id_, make in rows:
        try:
            found[id_] = make()
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            text = f"{what} {id_}: {one_line(str(error))[:200]}"
            if problems is not None:
                problems.append(text)
            if text not in _logged and len(_logged) < _MOST_LOGGED:
                _logged.add(text)
                log().error("a row of the set-up is not understood and left out: mend it, or run the newer version",
                            row=f"{what} {id_}", error=str(error)[:200])  # fmt: skip
    return found


async def contacts(connection: Connection, problems: list[str] | None = None) -> dict[str, Contact]:
    """Everybody, by id. Whom this version does not understand is left out, and named in `problems`."""
    rows = await (await connection.execute(query("all_contacts"))).fetchall()
    return _understood(
        "contact",
        ((r[0], partial(_contact, *r)) for r in rows),
        problems,
    )


def _contact(id_: str, kind: str, name: str, settings: Any) -> Contact:
    return msgspec.convert({**settings, "id": id_, "name": name}, CONTACT_KINDS[kind])


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


async def escalations(connection: Connection, problems: list[str] | None = None) -> dict[str, Escalation]:
    """Every escalation, by id; one that this version does not understand is left out, and named in `problems`."""
    rows = await (await connection.execute(query("all_escalations"))).fetchall()
    return _understood("escalation", ((r[0], partial(_escalation, *r)) for r in rows), problems)


def _escalation(id_: str, name: str, river: str | None, settings: Any) -> Escalation:
    return msgspec.convert({**settings, "id": id_, "name": name, "river": river}, Escalation)


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


_SILENCE = (
    "id", "alert", "station", "river", "kinds", "up_to_level", "starts_at", "ends_at", "weekly", "reason", "author",
)  # fmt: skip


async def silences(
    connection: Connection, after: datetime, problems: list[str] | None = None
) -> dict[int, Silence]:  # fmt: skip
    """The silences that end after a moment and were not lifted, by id.

    One that this version does not understand silences nothing, and is named in `problems`.
    """
    rows = await (await connection.execute(query("all_silences"), {"after": after})).fetchall()
    return _understood("silence", ((r[0], partial(_silence, r)) for r in rows), problems)


def _silence(row: Sequence[Any]) -> Silence:
    return msgspec.convert(dict(zip(_SILENCE, row, strict=True)), Silence)


async def row_problems(connection: Connection, now: datetime) -> list[str]:
    """The rows of the set-up that this version does not understand, by name."""
    problems: list[str] = []
    await contacts(connection, problems)
    await escalations(connection, problems)
    await silences(connection, now, problems)
    return problems


async def put_silence(connection: Connection, silence: Silence) -> int:
    """Add a silence; returns its new id; the object's own is ignored."""
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
