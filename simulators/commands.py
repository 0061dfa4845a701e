"""`kawamori simulate`, `kawamori replay` and `kawamori bench`."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kawamori import runtime
from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.observe import configure_logs
from kawamori.settings import load


def simulate(
    scenario: Annotated[str, typer.Option(help="typhoon or calm.")] = "typhoon",
    fast: Annotated[bool, typer.Option("--fast", help="Begin now, and go sixty times as fast.")] = False,
) -> None:
    """Publish the demo city's rivers to the broker, for as long as you let it."""
    from simulators.publish import run

    if scenario not in ("typhoon", "calm"):
        raise typer.BadParameter("must be typhoon or calm", param_hint="--scenario")
    try:
        settings = load()
        configure_logs("simulate", settings.log_level)
        runtime.run(lambda stop: run(settings, stop, scenario, fast=fast))
    except KawamoriError as error:
        _fail(error)


def replay(
    file: Annotated[Path, typer.Argument(help="CSV or CSV.gz: station, time and value in each row.", exists=True)],
    station_column: Annotated[str | None, typer.Option(help="Column of the station's name.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    value_column: Annotated[str | None, typer.Option(help="Column of the value.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of the values: m, cm, mm …")] = "m",
    quantity: Annotated[str, typer.Option(help="What the values measure.")] = "water_level",
    time_zone: Annotated[str | None, typer.Option(help="Zone of times without an offset, e.g. Asia/Tokyo.")] = None,
    speed: Annotated[float, typer.Option(min=0, help="Times the recording's speed; 0 as fast as it goes.")] = 0.0,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times: at a speed the first row is now, else the last.")
    ] = False,
    thresholds: Annotated[Path | None, typer.Option(help="CSV station,level,value_m.", exists=True)] = None,
    shuffle: Annotated[int | None, typer.Option(help="Send the rows in a random order with this seed.")] = None,
    repeat_share: Annotated[float, typer.Option(min=0, max=1, help="Send this share of the rows twice.")] = 0.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many rows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Play a recorded flood through the broker; its stations are registered first."""
    from simulators import replay as player

    options = player.Options(
        file=file, station_column=station_column, time_column=time_column, value_column=value_column, unit=unit,
        quantity=quantity, time_zone=time_zone, speed=speed, shift_to_now=shift_to_now, thresholds=thresholds,
        shuffle=shuffle, repeat_share=repeat_share, limit=limit,
    )  # fmt: skip

    def progress(sent: int, of: int, seconds: float) -> None:
        if sys.stderr.isatty() and sent:
            left = (of - sent) * seconds / sent
            typer.echo(f"\r{sent:,} of {of:,} rows, {sent / seconds:,.0f}/s, {left:,.0f} s left   ", nl=False, err=True)

    try:
        settings = load()
        configure_logs("replay", settings.log_level)
        summary = asyncio.run(player.replay(options, settings, progress))
    except KawamoriError as error:
        _fail(error)
        return
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        typer.echo(
            f"played {summary.sent:,} rows of {summary.stations} stations in {summary.seconds:.1f} s"
            f" ({summary.sent / max(summary.seconds, 1e-9):,.0f}/s); {summary.refused} rows without a value"
        )


def bench(
    parts: Annotated[list[str] | None, typer.Argument(help="Which parts; the usual ones when none is named.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A minute or two in all; figures are rough.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Keep everything measured in this file.")] = None,
    earlier: Annotated[Path | None, typer.Option("--read", help="Measure nothing: take an earlier run's file.")] = None,
    docs: Annotated[
        Path | None, typer.Option(help="Put table and pictures into this folder's performance.md and pictures/.")
    ] = None,
) -> None:
    """Measure speed on servers of its own: every ratio within one run, nothing left behind."""
    from simulators.bench.docs import read, write
    from simulators.bench.run import NAMED, PARTS, run

    if unknown := set(parts or []) - set(PARTS | NAMED):
        raise typer.BadParameter(f"no part is named {', '.join(sorted(unknown))}; there are {', '.join(PARTS | NAMED)}")
    try:
        report = read(earlier) if earlier else run(parts or [], quick=quick, json_file=json_file)
        if docs is not None:
            write(report, docs)
    except KawamoriError as error:
        _fail(error)
        return
    typer.echo(report.table())
    if report.failed:
        raise typer.Exit(1)


def _fail(error: KawamoriError) -> None:
    typer.echo(f"kawamori: {error}", err=True)
    raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1)
