"""The built web console at `/`, the security headers on everything, and the plain documentation page."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import html


def security_headers(pictures_from: str | None = None) -> dict[str, str]:
    """The headers of every answer: a browser asks nobody but us, save for map pictures where a site has said so."""
    pictures = f" {pictures_from}" if pictures_from else ""
    return {
        "Content-Security-Policy": f"default-src 'self'; img-src 'self' data:{pictures}; style-src 'self';"
        " script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


SECURITY_HEADERS = security_headers()
#: The build puts a hash into the name of everything under assets/.
FOR_EVER = "public, max-age=31536000, immutable"


class SecurityHeaders:
    """Put the security headers on every answer."""

    def __init__(self, app: ASGIApp, pictures_from: str | None = None) -> None:
        self._app = app
        self._headers = security_headers(pictures_from)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def find_page() -> Path | None:
    """The built page: inside the installed package, or beside it in a clone."""
    api = Path(__file__).parent.parent
    for folder in (api.parent / "dashboard" / "dist", api / "static"):
        if (folder / "index.html").is_file():
            return folder
    return None


def page_version(folder: Path | None) -> str | None:
    """Which build of the page is handed out, so that an older one on a screen learns that it is older."""
    try:
        found = json.loads((folder / "version.json").read_text()) if folder else {}
    except (OSError, ValueError):
        return None
    return str(found["version"]) if "version" in found else None


class Page:
    """Serve the built page; its own addresses without a file are all the same page."""

    def __init__(self, folder: Path | None) -> None:
        self._files = StaticFiles(directory=folder) if folder else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that no route took."""
        if scope["type"] != "http":
            return
        response = await self._answer(scope)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path: str = scope["path"]
        if path == "/api" or path.startswith("/api/"):
            raise HTTPException(HTTPStatus.NOT_FOUND, "nothing is here; /api/docs tells what there is")
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        if self._files is None:
            if path != "/":
                raise HTTPException(HTTPStatus.NOT_FOUND, "the page has not been built")
            return Response(
                html.render("not_built.html"), HTTPStatus.OK, {"Cache-Control": "no-cache"}, "text/html; charset=utf-8"
            )
        name = path.lstrip("/")
        if not name or name.startswith("station/") or "." not in name:
            name = "index.html"
        response = await self._files.get_response(name, scope)
        response.headers["Cache-Control"] = FOR_EVER if name.startswith("assets/") else "no-cache"
        return response


def docs_html(openapi: dict[str, Any]) -> str:
    """The operations as one plain page that asks no other host for anything."""

    def kind(schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            schema = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        options = [kind(option) for option in schema.get("anyOf", []) if option.get("type") != "null"]
        if options:
            return ", ".join(options)
        words = schema.get("enum") or [schema.get("format") or schema.get("type", "")]
        return " | ".join(str(word) for word in words)

    operations = [
        {
            "method": method.upper(),
            "path": path,
            "description": operation.get("description", ""),
            "parameters": [
                {
                    "name": p["name"],
                    "where": p["in"],
                    "kind": kind(p["schema"]),
                    "description": p.get("description", ""),
                }
                for p in operation.get("parameters", [])
            ],
        }
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    return html.render("api.html", description=openapi["info"]["description"], operations=operations)
