"""`kawamori …`: gathers the commands; each topic has its file in `kawamori/operate/commands/`."""

import sys

import typer

from kawamori.operate.commands import accounts, check, database, demo, gateways, journal, services, stations
from kawamori.operate.commands.common import SERVICES, clear_errors

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Kawamori (川守), the river keeper: water levels from the sensor to the person who must decide.",
)
app.add_typer(database.app, name="db")
app.add_typer(stations.app, name="station")
app.add_typer(accounts.app, name="user")
basemap = typer.Typer(no_args_is_help=True, help="The operator's own map under the stations.")
app.add_typer(basemap, name="basemap")
app.add_typer(gateways.app, name="gateways")
quarantine = typer.Typer(no_args_is_help=True, help="What was refused, and trying it again.")
app.add_typer(quarantine, name="quarantine")

for command in (
    services.gateway, journal.journal, services.ingest, services.alerts, services.api, services.watchdog, services.up,
    check.check, demo.demo,
):  # fmt: skip
    app.command()(command)


def _add_simulators() -> None:
    from simulators.commands import bench, replay, simulate

    app.command()(simulate)
    app.command()(replay)
    app.command()(bench)


def _add_basemap() -> None:
    from kawamori.operate.commands import basemap as commands

    for name, command in commands.COMMANDS.items():
        basemap.command(name)(clear_errors()(command))


def _add_quarantine() -> None:
    from ingest import commands

    for name, command in commands.COMMANDS.items():
        quarantine.command(name)(clear_errors()(command))


if not set(sys.argv[1:2]) & set(SERVICES):  # a service starts without loading what it does not need
    _add_simulators()
    _add_basemap()
    _add_quarantine()

if __name__ == "__main__":
    app()
