"""`kawamori user`: who may answer alerts and change rules."""

import asyncio
import json
from typing import Annotated

import typer

from kawamori.errors import ConfigurationError
from kawamori.operate.commands.common import Json, clear_errors
from kawamori.settings import load

app = typer.Typer(no_args_is_help=True, help="Who may answer alerts, and who may change rules.")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What is written down as who did it.")],
    role: Annotated[str, typer.Option(help="operator answers alerts; manager changes rules and people too.")],
) -> None:
    """Add an account, and print its token: this once, only its digest is stored."""
    from kawamori.domain.accounts import LONGEST_NAME, MANAGER, OPERATOR, is_name, new_token, token_digest
    from kawamori.storage.accounts import add_account
    from kawamori.storage.audit import note
    from kawamori.storage.database import Database

    with clear_errors():
        if role not in (OPERATOR, MANAGER):
            raise ConfigurationError(f"--role: must be {OPERATOR} or {MANAGER}")
        if not is_name(name):
            raise ConfigurationError(f"NAME: must be 1 to {LONGEST_NAME} characters, none of them control characters")
        token = new_token()

        async def write() -> bool:
            async with Database(load().database(), "user", size=1) as database, database.transaction() as connection:
                added = await add_account(connection, name, role, token_digest(token))
                if added:
                    await note(connection, subject="account", subject_id=name, event="added", detail={"role": role})
                return added

        if not asyncio.run(write()):
            raise ConfigurationError("NAME: there is somebody of this name already; revoke that one first")
        typer.echo(token)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Who may act, and who no longer."""
    from kawamori.storage.accounts import Account, accounts
    from kawamori.storage.database import Database

    with clear_errors():

        async def read() -> list[Account]:
            async with Database(load().database(), "user", size=1) as database:
                return await accounts(database)

        found = asyncio.run(read())
        if as_json:
            typer.echo(json.dumps([{"name": a.name, "role": a.role, "since": a.created_at.isoformat(),
                                    "revoked": a.revoked_at and a.revoked_at.isoformat()} for a in found]))  # fmt: skip
            return
        for account in found:
            revoked = f"  revoked {account.revoked_at:%Y-%m-%d %H:%M} UTC" if account.revoked_at else ""
            typer.echo(f"{account.role:8}  {account.name}{revoked}")


@app.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Whose token is to work no more.")]) -> None:
    """Revoke an account's token at once; the audit keeps what the person did."""
    from kawamori.storage.accounts import revoke_account
    from kawamori.storage.audit import note
    from kawamori.storage.database import Database

    with clear_errors():

        async def write() -> bool:
            async with Database(load().database(), "user", size=1) as database, database.transaction() as connection:
                revoked = await revoke_account(connection, name)
                if revoked:
                    await note(connection, subject="account", subject_id=name, event="revoked")
                return revoked

        if not asyncio.run(write()):
            raise ConfigurationError("NAME: nobody of this name may act")
        typer.echo(f"revoked {name}")
