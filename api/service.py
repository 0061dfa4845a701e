"""The API as a service: bind, follow the feed, serve, and end in good order."""

import asyncio
import errno
import socket
from collections.abc import Callable
from datetime import timedelta

from api.app import create_app
from api.auth.actors import Auth
from api.clock import DatabaseClock
from api.dependencies import Dependencies
from api.live.level_events import LiveLevels
from api.live.levels import Levels
from api.live.stream import Hub, LiveFeed
from api.pages.console import find_page, page_version
from api.registry_cache import RegistryCache
from kawamori.errors import ConfigurationError
from kawamori.observe import Health, log, serve
from kawamori.runtime import stopping
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.system import say_started

#: A page gives up after 8 s: it is told a moment before.
ANSWER = timedelta(seconds=7)
#: The follower reads more at once than any page, and nobody waits for it; more than this it never needs.
PASS = timedelta(seconds=30)
#: Ports to try after the wanted one.
NEXT_PORTS = 100
#: What the kernel keeps for a client that does not read; left alone it would grow to megabytes each.
SEND_BUFFER = 128 * 1024


def listener(host: str, port: int, frozen_after: timedelta) -> socket.socket:
    """A socket that listens on the port, or on the next free one; raises ConfigurationError.

    The kernel lets go of a client that has taken nothing of what waits for it for `frozen_after`: a frozen
    browser, a laptop whose lid was shut. It keeps probing a closed window for ever otherwise.
    """
    last = min(port + NEXT_PORTS, 65535)
    for candidate in range(port, last + 1):
        try:
            family, _, _, _, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            listening = socket.create_server(address[:2], family=family, backlog=1024)
            # accepted connections inherit both
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, frozen_after // timedelta(milliseconds=1))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(
                    f"KAWAMORI_API__HOST, KAWAMORI_API__PORT: cannot listen there: {error.strerror}"
                ) from error
        else:
            # asyncio sets it only on sockets that name their protocol, which these do not; without it the kernel
            # holds every answer's second packet back for 40 ms. Accepted connections inherit it.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listening
    raise ConfigurationError(f"KAWAMORI_API__PORT: no port from {port} to {last} is free")


def address(listening: socket.socket) -> str:
    """How a browser on this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - recognised, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def run(settings: Settings, stop: asyncio.Event, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until `stop` is set; `on_ready` gets the page's address once it answers."""
    with listener(settings.api.host, settings.api.port, settings.api.frozen_after) as listening:
        url = address(listening)
        async with (
            Database(settings.database(), "api", size=8, within=ANSWER) as database,
            # of its own: however many ask, one follows and one tells how alerting is
            Database(settings.database(), "live", size=3, within=PASS) as live,
        ):
            await say_started(live, "api")
            clock = DatabaseClock()
            directory = RegistryCache(live.within(ANSWER), clock)
            page = find_page()
            feed = LiveFeed(
                live, directory, clock, Hub(settings.api.stream_clients), page_version(page), resuming=database
            )
            health = Health()
            health.check("live feed", feed.trouble)
            using = Dependencies(
                database=database, directory=directory, feed=feed, clock=clock, site=settings.site,
                auth=Auth(database, open_to_all=settings.api.open), public_url=settings.alerts.public_url,
                api=settings.api, host_ahead=lambda: clock.host_off,
            )  # fmt: skip
            app = create_app(using, health, page)
            live_levels = LiveLevels(Levels(live.within(ANSWER), directory, clock), feed)

            def ready() -> None:
                log().info("serving", url=url)
                if on_ready is not None:
                    on_ready(url)

            async with asyncio.TaskGroup() as server:
                server.create_task(serve(app, url, 0, stop, listener=listening, on_started=ready), name="serve")
                async with stopping(stop) as group:
                    group.create_task(clock.follow(live.within(ANSWER), stop), name="clock")
                    group.create_task(feed.listen(stop), name="listen")
                    group.create_task(feed.follow(stop), name="follow")
                    group.create_task(feed.heartbeats(stop), name="heartbeats")
                    group.create_task(live_levels.follow(stop), name="levels")
                feed.hub.close()
