"""`kawamori simulate`, `kawamori replay` and `kawamori bench`."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kawamori import runtime
from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.observe import configure_logs
from kawamori.settings import load

if TYPE_CHECKING:
    from simulators.replay import Removed


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
    unit_column: Annotated[str | None, typer.Option(help="Column of each value's unit.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of all values where no column says it; else m.")] = None,
    quantity: Annotated[str, typer.Option(help="What the values measure.")] = "water_level",
    time_zone: Annotated[str | None, typer.Option(help="Zone of times without an offset, e.g. Asia/Tokyo.")] = None,
    repeated_hour: Annotated[
        str | None, typer.Option(help="first or second: which pass of a local hour that comes twice is meant.")
    ] = None,
    comma: Annotated[str | None, typer.Option(help="decimal or thousands: what a comma in a number means.")] = None,
    only: Annotated[str | None, typer.Option(help="COLUMN=WORD: leave out all other rows.")] = None,
    speed: Annotated[float, typer.Option(min=0, help="Times the recording's speed; 0 as fast as it goes.")] = 0.0,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times: at a speed the first row is now, else the last.")
    ] = False,
    thresholds: Annotated[Path | None, typer.Option(help="CSV station,level,value_m.", exists=True)] = None,
    shuffle: Annotated[int | None, typer.Option(help="Send the rows in a random order with this seed.")] = None,
    repeat_share: Annotated[float, typer.Option(min=0, max=1, help="Send this share of the rows twice.")] = 0.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many rows.")] = None,
    allow_refused: Annotated[
        bool, typer.Option("--allow-refused", help="Status 0 though some rows give no measurement.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take off what was last played from this file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Play a recorded flood through the broker; stations that are not registered yet are registered first.

    A row that gives no measurement is named by its line and makes the status 1, unless --allow-refused is given.
    """
    from simulators import replay as player

    if repeated_hour not in (None, "first", "second"):
        raise typer.BadParameter("must be first or second", param_hint="--repeated-hour")
    if comma not in (None, "decimal", "thousands"):
        raise typer.BadParameter("must be decimal or thousands", param_hint="--comma")
    options = player.Options(
        file=file, station_column=station_column, time_column=time_column, value_column=value_column,
        unit_column=unit_column, unit=unit, quantity=quantity, time_zone=time_zone,
        repeated_hour=repeated_hour,  # type: ignore[arg-type] # one of two words, looked at above
        comma=comma,  # type: ignore[arg-type] # likewise
        only=only, speed=speed, shift_to_now=shift_to_now, thresholds=thresholds, shuffle=shuffle,
        repeat_share=repeat_share, limit=limit,
    )  # fmt: skip

    def progress(sent: int, of: int, seconds: float) -> None:
        if sys.stderr.isatty() and sent:
            left = (of - sent) * seconds / sent
            typer.echo(f"\r{sent:,} of {of:,} rows, {sent / seconds:,.0f}/s, {left:,.0f} s left   ", nl=False, err=True)

    try:
        settings = load()
        configure_logs("replay", settings.log_level)
        if remove:
            _say_removed(asyncio.run(player.remove(options, settings)), as_json=as_json)
            return
        summary = asyncio.run(player.replay(options, settings, progress))
    except KawamoriError as error:
        _fail(error)
        return
    for words in (*summary.notes, *summary.told):
        typer.echo(words, err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), ensure_ascii=False))
    else:
        typer.echo(
            f"played {summary.sent:,} rows of {summary.stations} stations in {summary.seconds:.1f} s"
            f" ({summary.sent / max(summary.seconds, 1e-9):,.0f}/s); {summary.refused} rows refused,"
            f" {summary.without_value} without a measurement"
        )
    if summary.refused + summary.without_value and not allow_refused:
        raise typer.Exit(1)


def _say_removed(gone: "Removed", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(gone), ensure_ascii=False))
        return
    typer.echo(f"took off {gone.readings:,} readings; {gone.left:,} rows of the file had no such reading (any more)")
    if gone.stations_gone:
        typer.echo(f"stations no longer registered: {', '.join(gone.stations_gone)}")
    for name in gone.stations_kept:
        typer.echo(f"{name}: stays registered, because the record of alerts names it or something else measures there")


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
