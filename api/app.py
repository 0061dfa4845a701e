"""The ASGI application, made from what it depends on; nothing happens at import."""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.gzip import GZipMiddleware

from api import html
from api.answer import acknowledge_page, alerts, corrections
from api.auth.actors import Writes
from api.configure import contacts, escalations, rules, silences
from api.contract import problems
from api.dependencies import Dependencies
from api.feeds import routes as feeds
from api.live.levels import Levels
from api.pages.console import Page, SecurityHeaders, docs_html
from api.pages.lite import lite_routes
from api.read import basemap, system
from api.read.routes import read_routes
from kawamori.observe import Health

DESCRIPTION = """Water levels, their history, and alerts of a city's rivers. Times are RFC 3339 with offset, units SI,
levels metres above the station's gauge zero. Errors are `application/problem+json` (RFC 9457). Values are
provisional (暫定値); alerts are automatic (自動判定)."""


#: Of 584 kB of levels it leaves 66 in 7 ms; level 9 leaves 64 in 27.
COMPRESSION = 6


def _styled(style: str) -> Callable[[], Awaitable[Response]]:
    async def sheet() -> Response:
        return Response(style, media_type="text/css; charset=utf-8")

    return sheet


def create_app(using: Dependencies, health: Health, page: Path | None) -> FastAPI:
    """The application that answers for these dependencies."""
    app = FastAPI(
        title="Kawamori",
        description=DESCRIPTION,
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.add_middleware(Writes)
    app.add_middleware(SecurityHeaders, pictures_from=using.api.tiles_origin)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=COMPRESSION)
    levels = Levels(using.database, using.directory, using.clock)
    app.state.using, app.state.system = using, system.SystemState()
    app.include_router(feeds.router)  # before `/alerts/{id}`, which would take `7.cap` for an id
    app.include_router(read_routes(using, levels))
    for room in (system, basemap, alerts, contacts, escalations, silences, rules, corrections, acknowledge_page):
        app.include_router(room.router)
    app.include_router(lite_routes(using, levels))

    @cache
    def docs_page() -> str:
        return docs_html(app.openapi())

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(), media_type="text/html; charset=utf-8")

    for name in ("docs", "chronology", "acknowledge"):
        app.add_api_route(f"/api/{name}.css", _styled(html.style(name)), include_in_schema=False)

    @app.get("/healthz", include_in_schema=False)
    async def alive() -> Response:
        return Response("alive\n", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        status, text = health.report()
        return Response(text, status, media_type="text/plain; charset=utf-8")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.default = Page(page)
    return app
