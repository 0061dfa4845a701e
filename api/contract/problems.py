"""Every error as RFC 9457 problem+json: what went wrong for the caller, never a trace."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.contract import schemas
from kawamori.errors import StorageUnavailable
from kawamori.observe import log

#: How the API's description shows a refusal, and every refusal that a route which writes may give.
PROBLEM: dict[str, Any] = {"model": schemas.Problem, "content": {"application/problem+json": {}}}
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 404, 409, 413, 415, 422, 503), PROBLEM)

RETRY_AFTER_S = 5


class WrongField(Exception):
    """A parameter whose value cannot be worked with."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """A problem+json answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")


def busy(why: str) -> Response:
    """The answer to whoever may try again in some seconds."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}; try again", headers)


def wrong_fields(errors: list[dict[str, str]]) -> Response:
    """The answer that names each wrong field."""
    names = ", ".join(dict.fromkeys(error["field"] for error in errors))
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"not understood: {names}", errors=errors)


#: Where one of several shapes is meant, its name stands in the way to the field.
_SHAPES = ("person", "group", "rota")


def _field(place: Sequence[int | str]) -> str:
    parts = place[2:] if len(place) > 2 and place[0] == "body" and place[1] in _SHAPES else place[1:]
    return ".".join(str(part) for part in parts) or "body"


def _within(place: tuple[int | str, ...], places: Iterable[tuple[int | str, ...]]) -> bool:
    """Whether a list is said to be too short only because something in it is wrong."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        places = [tuple(e["loc"]) for e in error.errors()]
        return wrong_fields(
            [
                {"field": _field(e["loc"]), "message": e["msg"]}
                for e in error.errors()
                if e["type"] != "too_short" or not _within(tuple(e["loc"]), places)
            ]
        )

    @app.exception_handler(WrongField)
    async def wrong(_request: Request, error: WrongField) -> Response:
        return wrong_fields([{"field": error.field, "message": error.message}])

    @app.exception_handler(StorageUnavailable)
    async def unavailable(_request: Request, error: StorageUnavailable) -> Response:
        say = log().error if error.needs_a_person else log().warning
        say("the database did not answer a request", error=str(error))
        return busy("the database does not answer right now")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log().error("a request failed: report this with the log", path=request.url.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; the operator's log says why")
