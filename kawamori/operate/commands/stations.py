"""`kawamori station import`: register stations out of a sheet."""

import asyncio
import os
import pwd
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.operate.commands.common import clear_errors
from kawamori.settings import load

app = typer.Typer(no_args_is_help=True, help="Stations and what is on them.")


@app.command("import")
def import_stations(
    file: Annotated[Path, typer.Argument(help="JSON: a list of stations, see docs/operations.md.", exists=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what is doubtful too.")] = False,
) -> None:
    """Register stations with their sensors, devices and thresholds; those already there are updated."""
    from kawamori.domain.registration.doubts import BUILT_IN
    from kawamori.domain.registration.examine import Registration, examine
    from kawamori.domain.registration.standing import nothing_registered
    from kawamori.operate.sheet import read_sheet
    from kawamori.runtime import now
    from kawamori.storage.database import Database
    from kawamori.storage.registration import register_sheet

    with clear_errors():
        sheet = read_sheet(file)
        typer.echo(f"{len(sheet.stations)} stations, {sum(len(p.sensors) for p in sheet.stations)} sensors")
        settings = load()

        async def write() -> Registration:
            async with Database(settings.database(), "import", size=1) as database:
                return await register_sheet(database, sheet, who=unix_user(), dry_run=dry_run, strict=strict)

        def alone(why: str) -> Registration:
            typer.echo(f"warning: no database was asked ({why}): what is registered already is not known", err=True)
            return examine(sheet, nothing_registered(), BUILT_IN, now(), strict=strict)

        try:
            found = alone("none is set") if dry_run and settings.database_url is None else asyncio.run(write())
        except ConfigurationError:
            raise
        except KawamoriError as error:
            if not dry_run:
                raise
            found = alone(str(error))
        for remark in found.remarks:
            typer.echo(f"warning: {remark}", err=True)
        counts = Counter(change.event for change in found.changes)
        done = ", ".join(f"{count} {event}" for event, count in sorted(counts.items()))
        verb = "would be registered" if dry_run else "registered"
        typer.echo(f"{verb}: {done or 'nothing new, all of it is registered already'}")


def unix_user() -> str:
    """Who did it, for the audit: the software's own name is not a person's."""
    try:
        return f"unix:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"unix:{os.getuid()}"
