"""`kawamori demo`: the whole chain with simulated rivers on private servers."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from kawamori.operate.commands.common import SERVICES, clear_errors, require_own_packages
from kawamori.operate.commands.database import migrate
from kawamori.operate.commands.gateways import register_own_gateway
from kawamori.settings import Settings, load

#: What every screen of the demo says, by scenario and `--fast`.
_NOTICES = {
    ("typhoon", False): {
        "JA": "デモ：模擬の河川です。台風の夜の途中から、実際の速さで進みます。",
        "EN": "Demo: simulated rivers, at their true pace, in the middle of a typhoon night.",
    },
    ("typhoon", True): {
        "JA": "デモ：模擬の河川です。台風は60倍の速さで進みます（1秒＝1分）。",
        "EN": "Demo: simulated rivers. The typhoon runs 60 times faster (1 s = 1 min).",
    },
    ("calm", False): {"JA": "デモ：模擬の河川です。平常時です。", "EN": "Demo: simulated rivers on a calm day."},
    ("calm", True): {
        "JA": "デモ：模擬の河川です。平常時を60倍の速さで進めます（1秒＝1分）。",
        "EN": "Demo: simulated rivers on a calm day, 60 times faster (1 s = 1 min).",
    },
}


def demo(
    duration: Annotated[float | None, typer.Option(help="End after so many seconds.")] = None,
    scenario: Annotated[str, typer.Option(help="typhoon or calm.")] = "typhoon",
    fast: Annotated[bool, typer.Option("--fast", help="Begin in fair weather, and go sixty times as fast.")] = False,
) -> None:
    """Watch a typhoon flood rise through a small city's rivers: everything, on this machine, nothing left behind."""
    from kawamori import runtime
    from kawamori.operate.servers import private_folder
    from kawamori.operate.supervise import supervise

    if (scenario, fast) not in _NOTICES:
        raise typer.BadParameter("must be typhoon or calm", param_hint="--scenario")
    with clear_errors(), ExitStack() as stack:
        require_own_packages()
        settings = load()
        folder = stack.enter_context(private_folder("demo"))
        environment = {**os.environ, **_servers(settings, stack)}
        environment.setdefault("KAWAMORI_GATEWAY__JOURNAL", str(folder / "journal.db"))
        environment.setdefault("KAWAMORI_ALERTS__LOG", str(Path("kawamori-demo-notifications.log").absolute()))
        environment.setdefault("KAWAMORI_LOG_LEVEL", "warning")
        environment.setdefault("KAWAMORI_API__OPEN", "true")
        environment.setdefault("KAWAMORI_SITE__NAME_JA", "川守デモ市")
        environment.setdefault("KAWAMORI_SITE__NAME_EN", "Kawamori demo city")
        for language, notice in _NOTICES[scenario, fast].items():
            environment.setdefault(f"KAWAMORI_SITE__NOTICE_{language}", notice)
        notifications = Path(environment["KAWAMORI_ALERTS__LOG"])
        notifications.write_text("")
        migrate(environment["KAWAMORI_DATABASE_URL"])
        register_own_gateway(environment["KAWAMORI_DATABASE_URL"], settings.gateway.id)
        url_file = folder / "api-url"
        environment["KAWAMORI_DEMO_URL_FILE"] = str(url_file)
        simulate = ("simulate", "--scenario", scenario, *(["--fast"] if fast else []))
        commands = {name: (name,) for name in SERVICES} | {"simulate": simulate}

        async def service(stop: asyncio.Event) -> None:
            async def announce() -> None:
                url = await _first_level(url_file)
                typer.echo(f"\nkawamori is ready: {url}\n")
                typer.echo(f"notifications: {notifications}   (Ctrl-C ends everything)")
                sys.stdout.flush()
                if duration is not None:
                    await asyncio.sleep(duration)
                    stop.set()

            announcing = asyncio.create_task(announce(), name="announce")
            try:
                await supervise(commands, environment, stop)
            finally:
                announcing.cancel()

        runtime.run(service)


def _servers(settings: Settings, stack: ExitStack) -> dict[str, str]:
    """The URLs of the site's own servers where they are set, else of private ones that end with the stack."""
    from kawamori.operate.servers import private_broker, private_database

    urls = {}
    if settings.database_url is None:
        typer.echo("starting a private TimescaleDB …")
        urls["KAWAMORI_DATABASE_URL"] = stack.enter_context(private_database()).url
    else:
        urls["KAWAMORI_DATABASE_URL"] = settings.database()
    if settings.mqtt_url is None:
        typer.echo("starting a private Mosquitto …")
        urls["KAWAMORI_MQTT_URL"] = stack.enter_context(private_broker()).url
    else:
        urls["KAWAMORI_MQTT_URL"] = settings.mqtt_url.get_secret_value()
    return urls


async def _first_level(url_file: Path) -> str:
    """Wait until the API shows a level of now; returns its address."""
    begun = time.monotonic()
    while True:
        if url := await asyncio.to_thread(_read_if_there, url_file):
            try:
                with await asyncio.to_thread(
                    urllib.request.urlopen, f"{url}/api/v1/levels/latest", timeout=2
                ) as answer:
                    stations = json.load(answer)["stations"]
                if any(s["freshness"] == "fresh" for s in stations):
                    return url
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                pass
        if time.monotonic() - begun > 60:
            typer.echo("still waiting for a first level after 60 s: see the messages above", err=True)
            begun = time.monotonic()
        await asyncio.sleep(0.1)


def _read_if_there(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
