"""Logs, metrics and health: what a service says of itself."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

log = structlog.get_logger


def configure_logs(service: str, level: str = "info") -> None:
    """One JSON object a line on standard error, with the service's name."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)


class Health:
    """Health of a service: each part reports its fault, or None."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._warnings: dict[str, Callable[[], str | None]] = {}

    def check(self, part: str, what_is_wrong: Callable[[], str | None]) -> None:
        """Register a part; the function answers None while all is well."""
        self._checks[part] = what_is_wrong

    def warn(self, part: str, what_to_look_at: Callable[[], str | None]) -> None:
        """Register what a person should look at while the work still goes on."""
        self._warnings[part] = what_to_look_at

    def troubles(self) -> dict[str, str]:
        """What is wrong now, by part."""
        return {part: why for part, check in self._checks.items() if (why := check()) is not None}

    def report(self) -> tuple[int, str]:
        """The answer of /readyz: 503 while something is wrong, and a line for each trouble and warning."""
        troubles = self.troubles()
        lines = [f"{part}: {why}" for part, why in troubles.items()] or ["ready"]
        lines += [f"warning: {part}: {why}" for part, look in self._warnings.items() if (why := look()) is not None]
        return 503 if troubles else 200, "\n".join(lines) + "\n"


async def _send(send: Callable[[dict[str, Any]], Any], status: int, body: bytes, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})


def health_app(health: Health) -> Callable[..., Any]:
    """A small ASGI application: /healthz (alive), /readyz (able to work), /metrics (Prometheus)."""

    async def app(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Any]) -> None:
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/healthz":
                await _send(send, 200, b"alive\n", b"text/plain")
            case "/readyz":
                status, text = health.report()
                await _send(send, status, text.encode(), b"text/plain; charset=utf-8")
            case "/metrics":
                await _send(send, 200, generate_latest(), CONTENT_TYPE_LATEST.encode())
            case _:
                await _send(send, 404, b"not here\n", b"text/plain")

    return app


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the service's stop event ends it."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the runtime."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()


async def serve(
    app: Callable[..., Any],
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    listener: socket.socket | None = None,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    """Serve an ASGI application until `stop` is set, on a socket that listens already where one is given."""
    config = uvicorn.Config(
        cast("Any", app),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = Server(config, on_started)
    task = asyncio.create_task(server.serve([listener] if listener else None), name="http")
    waiter = asyncio.create_task(stop.wait(), name="http-stop")
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        server.should_exit = True
    await task
    if not stop.is_set():
        raise RuntimeError(f"the HTTP server on {host}:{port} ended unexpectedly")
