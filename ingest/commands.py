"""`kawamori quarantine …`: what was refused and why, and trying it again."""

import asyncio
import json
import time
from collections import Counter
from datetime import datetime
from typing import Annotated

import typer

from ingest.replay import replayed
from ingest.validate import IngestValidator
from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.settings import Settings, load
from kawamori.storage import quarantine
from kawamori.storage.audit import note
from kawamori.storage.database import Database
from kawamori.storage.loading import load_registry
from kawamori.storage.readings import newest_times

Reason = Annotated[str | None, typer.Option("--reason", help="Only where the reason contains this text.")]
Device = Annotated[str | None, typer.Option("--device", help="Only of this device.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="The oldest so many.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]

#: A replay of which nothing moves for so long waits for an ingest that is not there.
_NOTHING_MOVES_S = 30.0
_LOOK_S = 0.3


def list_(
    reason: Reason = None,
    device: Device = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many lines.")] = 50,
    as_json: Json = False,
) -> None:
    """Say what quarantine holds, by reason and device, the most frequent first."""

    async def read() -> list[quarantine.Summed]:
        async with Database(load().database(), "quarantine", size=1) as database:
            return await quarantine.by_reason(database, reason=reason, device=device, limit=limit)

    for one in asyncio.run(read()):
        if as_json:
            typer.echo(json.dumps({"reason": one.reason, "device_id": one.device_id, "messages": one.messages,
                                   "first_at": one.first_at.isoformat(), "last_at": one.last_at.isoformat()},
                                  ensure_ascii=False))  # fmt: skip
        else:
            typer.echo(
                f"{one.messages:8}  {one.device_id or '-':20}  last {one.last_at:%Y-%m-%d %H:%M} UTC  {one.reason}"
            )


def replay(
    reason: Reason = None,
    device: Device = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be accepted now.")] = False,
) -> None:
    """Store what a mended registry or a newer version now accepts, once; a running ingest does it."""
    settings = load()
    if device == "" or reason == "":
        raise ConfigurationError("--device, --reason: must not be empty")
    if dry_run:
        asyncio.run(_would(settings, reason, device, limit))
    else:
        asyncio.run(_replay(settings, reason, device, limit))


async def _would(settings: Settings, reason: str | None, device: str | None, limit: int | None) -> None:
    refused: Counter[str] = Counter()
    accepted = after = 0
    async with Database(settings.database(), "quarantine", size=2) as database:
        async with database.transaction() as connection:
            newest = await newest_times(connection)
        validator = IngestValidator(await load_registry(database, with_rules=False), settings.ingest, newest)
        while page := await quarantine.held(database, after, reason=reason, device=device):
            after = page[-1].id
            page = page if limit is None else page[: limit - accepted - refused.total()]
            for why in replayed(validator, page).results.values():
                accepted += why is None
                refused.update([] if why is None else [why])
            if limit is not None and accepted + refused.total() >= limit:
                break
    typer.echo(f"would be accepted: {accepted}; refused again: {refused.total()}")
    for why, count in refused.most_common(20):
        typer.echo(f"{count:8}  {why}")


async def _replay(settings: Settings, reason: str | None, device: str | None, limit: int | None) -> None:
    async with Database(settings.database(), "quarantine", size=1) as database:
        async with database.transaction() as connection:
            asked, at = await quarantine.ask_for_replay(connection, reason=reason, device=device, limit=limit)
            if at is not None:
                await note(connection, subject="quarantine", subject_id="replay", event="asked",
                           detail={"messages": asked, "reason": reason, "device": device})  # fmt: skip
        if at is None:
            typer.echo("nothing to replay")
            return
        typer.echo(f"asked ingest to try {asked} messages again", err=True)
        found = await _watched(database, at)
        typer.echo(f"stored: {found.replayed}; refused again: {found.refused}")
        for why, count in await quarantine.replay_refused(database, at):
            typer.echo(f"{count:8}  {why}")


async def _watched(database: Database, at: datetime) -> quarantine.Progress:
    """Wait until all of it was tried; raises KawamoriError when nothing moves."""
    last, moved_at, said_at = -1, time.monotonic(), time.monotonic()
    while True:
        found = await quarantine.replay_progress(database, at)
        if not found.waiting:
            return found
        moment = time.monotonic()
        if found.waiting != last:
            last, moved_at = found.waiting, moment
        if moment - moved_at > _NOTHING_MOVES_S:
            raise KawamoriError(
                f"{found.waiting} messages wait for an ingest that takes them: start one (`kawamori ingest`); they are"
                " tried as soon as it runs"
            )
        if moment - said_at > 2:
            said_at = moment
            typer.echo(f"stored {found.replayed}, refused {found.refused}, waiting {found.waiting}", err=True)
        await asyncio.sleep(_LOOK_S)


COMMANDS = {"list": list_, "replay": replay}
