"""`kawamori gateway`, `ingest`, `alerts`, `api` and `watchdog`, and `kawamori up`, which keeps them running."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import typer

from kawamori.observe import configure_logs
from kawamori.operate.commands.common import SERVICES, clear_errors, require_own_packages, warn_of_unknown_variables
from kawamori.operate.commands.database import migrate
from kawamori.operate.commands.gateways import register_own_gateway
from kawamori.settings import Settings, load


def _serve(name: str, run: Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    from kawamori import runtime

    with clear_errors():
        require_own_packages()
        settings = load()
        configure_logs(name, settings.log_level)
        warn_of_unknown_variables()
        runtime.run(lambda stop: run(settings, stop))


def gateway() -> None:
    """Receive devices' messages, journal them, forward them until they are stored."""
    from gateway.service import run

    _serve("gateway", run)


def ingest() -> None:
    """Validate and store what gateways forward. Several may run at once."""
    from ingest.service import run

    _serve("ingest", run)


def alerts() -> None:
    """Watch the thresholds and tell people."""
    from alerts.service import run

    _serve("alerts", run)


def api() -> None:
    """Serve the HTTP API and the page."""
    from api.service import run

    def ready(url: str) -> None:
        typer.echo(f"kawamori api: {url}")
        if file := os.environ.get("KAWAMORI_DEMO_URL_FILE"):
            part = Path(f"{file}.part")
            part.write_text(url)
            part.rename(file)  # a reader of the file never finds half of it

    _serve("api", lambda settings, stop: run(settings, stop, ready))


def watchdog() -> None:
    """Tell the watchers when no alert service runs; `kawamori up` does that too. Best on another machine."""
    from alerts.watchdog import run

    _serve("watchdog", run)


def up() -> None:
    """Run all services on this machine, restart each that ends, and tell the watchers when nothing judges."""
    from alerts.watchdog import run as watch
    from kawamori import runtime
    from kawamori.operate.supervise import supervise

    with clear_errors():
        require_own_packages()
        settings = load()
        configure_logs("up", settings.log_level)
        warn_of_unknown_variables()
        migrate(settings.database())
        register_own_gateway(settings.database(), settings.gateway.id)
        tell = _crash_loop_teller(settings)
        commands = {name: (name,) for name in SERVICES}

        async def run(stop: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(supervise(commands, dict(os.environ), stop, tell), name="supervise")
                group.create_task(_guarded(lambda: watch(settings, stop), stop), name="watchdog")

        runtime.run(run)


async def _guarded(work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Do the work whatever breaks in it: the services are kept running."""
    from kawamori.observe import log
    from kawamori.runtime import sleep_or_stop

    while not stop.is_set():
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the root of a unit of work
            log().error("the watchdog broke: report this with the log", exc_info=error)
            await sleep_or_stop(60.0, stop)


def _crash_loop_teller(settings: Settings) -> Callable[[str, int, float], Awaitable[None]]:
    """Return a function that reports a crash loop of the alert service to the watchers, without the database."""

    async def tell(name: str, count: int, seconds: float) -> None:
        if name != "alerts":  # the others are told of by it
            return
        from alerts.channels.choice import make_channels
        from alerts.delivery import send_directly, watchers
        from kawamori.runtime import now

        await send_directly(
            make_channels(settings.alerts), ["log:log", *watchers(settings)],
            f"【サービス障害】判定・通知（alerts）が {seconds:.0f} 秒に {count} 回終了しました",
            "判定も通知も動いていません。水位は別の手段で確かめ、ログを見てください。\n\n"
            f"The alert service has ended {count} times in the last {seconds:.0f} s: nothing is judged and nobody is"
            " told. Watch the levels by other means, and look at its log.",
            f"crash-loop-{name}-{now():%Y%m%d%H%M}",
        )  # fmt: skip

    return tell
