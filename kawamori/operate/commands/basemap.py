"""`kawamori basemap import`, `list` and `remove`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kawamori.basemap import LONGEST_ATTRIBUTION, LONGEST_NAME, check, layers, put, remove
from kawamori.errors import ConfigurationError
from kawamori.settings import load


def import_files(
    files: Annotated[list[Path], typer.Argument(help="GeoJSON (WGS 84) or PMTiles version 3.", metavar="FILE…")],
    name: Annotated[str | None, typer.Option(help="What the layer is called; else the file's name.")] = None,
    attribution: Annotated[str | None, typer.Option(help="Whose map it is, shown on it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the files.")] = False,
) -> None:
    """Draw files under the stations, in the place of layers of the same names. All are checked before one is kept."""
    from kawamori.basemap.stations import outside, stations_box

    called = _names(files, name, attribution)
    checked = [check(file) for file in files]
    box = stations_box(load())
    for file, found in zip(files, checked, strict=True):
        for line in (*found.said, *outside(found.bounds, box)):
            typer.echo(f"{file.name}: {line}")
    if dry_run:
        return
    for file, found, layer in zip(files, checked, called, strict=True):
        kept = put(_folder(), file, found, name=layer, attribution=attribution)
        typer.echo(f"imported {kept.name} ({kept.bytes / 1e3:.0f} kB)")


def list_layers(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")] = False,
) -> None:
    """Which layers there are, in the order of their import."""
    found = layers(_folder())
    if as_json:
        told = ("name", "kind", "file", "attribution", "min_zoom", "max_zoom", "bounds", "bytes")
        typer.echo(json.dumps([{field: getattr(one, field) for field in told} for one in found], ensure_ascii=False))
        return
    for layer in found:
        typer.echo(f"{layer.kind}  {layer.bytes / 1e3:8.0f} kB  {layer.name}  {layer.attribution}".rstrip())


def remove_layer(name: Annotated[str, typer.Argument(help="As `kawamori basemap list` says it.")]) -> None:
    """Draw a layer no more, and delete its file."""
    if not remove(_folder(), name):
        raise ConfigurationError("NAME: there is no layer of this name")
    typer.echo(f"removed {name}")


COMMANDS: dict[str, Callable[..., None]] = {"import": import_files, "list": list_layers, "remove": remove_layer}


def _folder() -> Path:
    folder = load().api.basemap
    if folder is None:
        raise ConfigurationError("KAWAMORI_API__BASEMAP is not set: in which folder is the base map kept?")
    return folder


def _names(files: list[Path], name: str | None, attribution: str | None) -> list[str]:
    """What each file's layer is to be called; raises ConfigurationError."""
    called = [file.stem for file in files] if name is None else [name]
    if len(called) != len(files):
        raise ConfigurationError("--name: is for one file")
    if len(set(called)) < len(called):
        raise ConfigurationError("FILE: two layers would have the same name")
    if not all(one.isprintable() and 0 < len(one) <= LONGEST_NAME for one in called):
        raise ConfigurationError(f"--name: must be 1 to {LONGEST_NAME} characters, none of them control characters")
    if attribution is not None and not (attribution.isprintable() and len(attribution) <= LONGEST_ATTRIBUTION):
        raise ConfigurationError(f"--attribution: must be at most {LONGEST_ATTRIBUTION} characters on one line")
    return called
