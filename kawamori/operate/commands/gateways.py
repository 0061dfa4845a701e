"""`kawamori gateways`: the gateways whose batches are accepted."""

import asyncio
import json
from typing import Annotated

import typer

from kawamori.operate.commands.common import Json, clear_errors
from kawamori.settings import load

app = typer.Typer(no_args_is_help=True, help="Whose batches are believed. (`kawamori gateway` runs one.)")


def register_own_gateway(url: str, name: str) -> None:
    """Register the gateway that runs beside the services on one machine, unless it was retired."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import add_gateway

    async def write() -> None:
        async with Database(url, "gateways", size=1) as database:
            await add_gateway(database, name, again=False)

    asyncio.run(write())


@app.command("add")
def add(name: Annotated[str, typer.Argument(help="Its KAWAMORI_GATEWAY__ID.")]) -> None:
    """Register a gateway, or take a retired one back; what it sent before is tried again out of quarantine."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import add_gateway

    with clear_errors():

        async def write() -> int:
            async with Database(load().database(), "gateways", size=1) as database:
                return await add_gateway(database, name)

        waiting = asyncio.run(write())
        typer.echo(f"registered {name}" + (f"; {waiting} messages of quarantine are tried again" if waiting else ""))


@app.command("retire")
def retire(name: Annotated[str, typer.Argument(help="Whose batches are believed no more.")]) -> None:
    """Retire a gateway: its silence raises no alert, and what it still sends goes to quarantine."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import retire_gateway

    with clear_errors():

        async def write() -> None:
            async with Database(load().database(), "gateways", size=1) as database:
                await retire_gateway(database, name)

        asyncio.run(write())
        typer.echo(f"retired {name}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Which gateways are registered, which are retired, and which spoke without being registered."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import KnownGateway, known_gateways

    with clear_errors():

        async def read() -> list[KnownGateway]:
            async with Database(load().database(), "gateways", size=1) as database:
                return await known_gateways(database)

        for one in asyncio.run(read()):
            seen = one.seen_at and one.seen_at.isoformat(timespec="seconds")
            if as_json:
                typer.echo(json.dumps({"gateway_id": one.name, "state": one.state, "seen_at": seen}))
            else:
                typer.echo(f"{one.state:10}  {one.name:20}  {seen or 'never heard'}")
