"""`kawamori db`: the schema's steps, and the retention of raw readings."""

import json
from typing import Annotated

import typer

from kawamori.observe import configure_logs
from kawamori.operate.commands.common import Json, clear_errors
from kawamori.settings import load

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


def migrate(url: str) -> list[str]:
    """Bring the database at `url` to the newest schema; returns the names of the applied steps."""
    from kawamori.storage.migrate import migrate as apply_steps

    return apply_steps(url)


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema."""
    with clear_errors():
        done = migrate(load().database())
        typer.echo("\n".join(f"applied {name}" for name in done) or "nothing to do")


@app.command("status")
def status_command(as_json: Json = False) -> None:
    """List the schema's steps."""
    from kawamori.storage.migrate import status

    with clear_errors():
        steps = status(load().database())
        if as_json:
            typer.echo(json.dumps([{"step": name, "applied": applied} for name, applied in steps]))
        else:
            typer.echo("\n".join(f"{'applied' if applied else 'missing'}  {name}" for name, applied in steps))


@app.command("retain")
def retain_command(
    older_than: Annotated[
        str | None, typer.Option(help="Raw readings older than this go, like P400D; else KAWAMORI_RETAIN__RAW.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Drop very old raw readings, chunk by chunk while the site runs; hours, days and alerts stay."""
    from kawamori.runtime import now
    from kawamori.settings import duration
    from kawamori.storage.retention import QuarantineLimits, retain

    with clear_errors():
        settings = load()
        configure_logs("retain", settings.log_level)
        raw = settings.retain.raw if older_than is None else duration("--older-than", older_than)
        limits = QuarantineLimits(age=settings.retain.quarantine, bytes_each=settings.retain.quarantine_bytes)
        done = retain(
            settings.database(), now=now(), raw=raw, feed=settings.retain.feed, quarantine=limits, dry_run=dry_run
        )
        if as_json:
            chunks = [{"from": c.start.isoformat(), "to": c.end.isoformat(), "bytes": c.size} for c in done.chunks]
            typer.echo(json.dumps({"kept_from": done.kept_from.isoformat(), "chunks": chunks, "dry_run": dry_run,
                                   "batches": done.batches, "quarantine": done.quarantine}))  # fmt: skip
            return
        verb = "would drop" if dry_run else "dropped"
        for chunk in done.chunks:
            typer.echo(f"{verb} readings {chunk.start:%Y-%m-%d} to {chunk.end:%Y-%m-%d} ({chunk.size / 1e6:.1f} MB)")
        typer.echo(f"{verb} {done.batches} rows of the change feed, {done.quarantine} of quarantine")
        typer.echo(f"raw readings are taken from {done.kept_from:%Y-%m-%d %H:%M} UTC on")
