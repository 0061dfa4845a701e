"""`kawamori journal`: the gateway's rows that could not be delivered."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from kawamori.operate.commands.common import Json, clear_errors
from kawamori.settings import load


def journal(
    resend: Annotated[
        bool, typer.Option("--resend", help="Let the gateway send them again at its next start.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the rows that the gateway could not deliver. Stop the gateway first: it holds its journal alone."""
    from gateway.journal import Journal

    with clear_errors():
        settings = load()
        opened = Journal(settings.gateway.journal)
        try:
            rows = opened.aside()
            for row in rows if resend else ():
                opened.take_back(row.seq, opened.PIECE)
        finally:
            opened.close()
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows]))
        return
    for row in rows:
        at = datetime.fromtimestamp(row.at, UTC)
        typer.echo(f"{row.seq}: {row.size} bytes, {at:%Y-%m-%dT%H:%M:%SZ}, {row.reason}")
    typer.echo(f"{len(rows)} rows {'go again' if resend else 'set aside'}")
