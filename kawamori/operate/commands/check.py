"""`kawamori check`: are the settings, the database and the broker as they must be?"""

import asyncio
import os

import typer

from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.observe import configure_logs
from kawamori.operate.commands.common import clear_errors
from kawamori.settings import load, unknown_variables


def check() -> None:
    """Say whether the settings, the database and the broker are as they must be."""
    with clear_errors():
        settings = load()
        configure_logs("check", "warning")
        unknown = unknown_variables(os.environ)
        if unknown:
            raise ConfigurationError("\n".join(f"{name}: there is no such setting" for name in unknown))
        from kawamori.mqtt.publisher import Publisher
        from kawamori.storage.migrate import status

        missing = [name for name, applied in status(settings.database()) if not applied]
        typer.echo(f"database: TimescaleDB, {'schema up to date' if not missing else 'run `kawamori db migrate`'}")

        async def broker() -> None:
            async with asyncio.timeout(5), Publisher(settings.mqtt(), f"kawamori-check-{os.getpid()}") as link:
                await link.wait_connected()

        try:
            asyncio.run(broker())
        except TimeoutError:
            raise KawamoriError("broker: no answer within 5 s at KAWAMORI_MQTT_URL") from None
        typer.echo("broker: answers")
        if missing:
            raise typer.Exit(1)
