"""Which gateways are believed: registered by a person, retired by a person; both are written into the audit."""

import re
from datetime import datetime
from typing import NamedTuple

from kawamori.errors import ConfigurationError
from kawamori.storage.audit import note
from kawamori.storage.database import Database, query
from kawamori.storage.quarantine import ask_for_gateway

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KnownGateway(NamedTuple):
    """A gateway that is registered or retired, or that spoke without being either."""

    name: str
    #: registered, retired or unknown.
    state: str
    seen_at: datetime | None


async def add_gateway(database: Database, name: str, *, again: bool = True) -> int:
    """Register a gateway, and try what it sent before again; returns how many messages of quarantine that are.

    A retired one is taken back, unless `again` is False. Raises ConfigurationError for what is no name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError("NAME: must be 1 to 64 of A-Z, a-z, 0-9, - and _")
    async with database.transaction() as connection:
        cursor = await connection.execute(query("add_gateway"), {"gateway": name, "again": again})
        if await cursor.fetchone() is None:
            return 0
        await connection.execute(query("forget_unknown_gateway"), {"gateway": name})
        await note(connection, subject="gateway", subject_id=name, event="registered")
        return await ask_for_gateway(connection, name)


async def retire_gateway(database: Database, name: str) -> None:
    """Take a gateway off; raises ConfigurationError where none of this name is registered."""
    async with database.transaction() as connection:
        cursor = await connection.execute(query("retire_gateway"), {"gateway": name})
        if await cursor.fetchone() is None:
            raise ConfigurationError("NAME: no gateway of this name is registered")
        await note(connection, subject="gateway", subject_id=name, event="retired")


async def known_gateways(database: Database) -> list[KnownGateway]:
    """Every gateway that is registered or retired, or that spoke without being either."""
    return [KnownGateway(*row) for row in await database.fetch("known_gateways")]
