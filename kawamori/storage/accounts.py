"""Accounts: who may act on the site, by the digest of a token."""

from dataclasses import dataclass
from datetime import datetime

from kawamori.storage.database import Connection, Database, query


@dataclass(frozen=True, slots=True)
class Account:
    """A person with a token; `role` is one of kawamori.domain.accounts."""

    name: str
    role: str
    created_at: datetime
    revoked_at: datetime | None


async def account_of(database: Database, digest: bytes) -> tuple[str, str] | None:
    """Return the name and role of the account whose valid token has this digest; None where there is none."""
    rows = await database.fetch("account_of", {"digest": digest})
    return (rows[0][0], rows[0][1]) if rows else None


async def add_account(connection: Connection, name: str, role: str, digest: bytes) -> bool:
    """Add an account; False where an account of that name has a valid token."""
    values = {"name": name, "role": role, "digest": digest}
    return await (await connection.execute(query("add_account"), values)).fetchone() is not None


async def accounts(database: Database) -> list[Account]:
    """Return all accounts, the revoked ones too."""
    return [Account(*row) for row in await database.fetch("all_accounts")]


async def revoke_account(connection: Connection, name: str) -> bool:
    """Revoke an account's token; returns whether it was valid until now."""
    return (await connection.execute(query("revoke_account"), {"name": name})).rowcount == 1
