"""What every command does first: look at the settings and packages, and turn our errors into one line and a status."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.observe import log
from kawamori.settings import unknown_variables

#: What `kawamori up` keeps running, in this order; none needs another to be there first.
SERVICES = ("gateway", "ingest", "alerts", "api")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn our errors into one line and an exit status: 2 for wrong configuration, 1 for the rest."""
    try:
        yield
    except ConfigurationError as error:
        typer.echo(f"kawamori: {error}", err=True)
        raise typer.Exit(2) from None
    except KawamoriError as error:
        typer.echo(f"kawamori: {error}", err=True)
        raise typer.Exit(1) from None


def require_own_packages() -> None:
    """Refuse to start when a package of another project (PyPI has an `alerts`) stands in for one of ours."""
    home = Path(__file__).parents[3]
    for name in (*SERVICES, "simulators"):
        spec = find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).parent.parent != home:
            raise ConfigurationError(f"the package `{name}` is not the one beside {home}: use the project's own .venv")


def warn_of_unknown_variables() -> None:
    """Warn of KAWAMORI_ variables that match no setting: a misspelt one has no effect."""
    if unknown := unknown_variables(os.environ):
        log().warning("variables that set nothing: misspelt, or of another version", variables=unknown)
