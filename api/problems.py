"""Every error as RFC 9457 problem+json: what went wrong for the caller, never a trace."""

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from kawamori.errors import StorageUnavailable
from kawamori.observe import log

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


def wrong_fields(errors: list[dict[str, str]]) -> Response:
    """The answer that names each wrong field."""
    names = ", ".join(dict.fromkeys(error["field"] for error in errors))
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"not understood: {names}", errors=errors)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return wrong_fields(
            [
                {"field": ".".join(str(part) for part in e["loc"][1:]) or "body", "message": e["msg"]}
                for e in error.errors()
            ]
        )

    @app.exception_handler(WrongField)
    async def wrong(_request: Request, error: WrongField) -> Response:
        return wrong_fields([{"field": error.field, "message": error.message}])

    @app.exception_handler(StorageUnavailable)
    async def unavailable(_request: Request, error: StorageUnavailable) -> Response:
        log().warning("the database did not answer a request", error=str(error))
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the database does not answer right now; try again",
            {"Retry-After": str(RETRY_AFTER_S)},
        )

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log().error("a request failed: report this with the log", path=request.url.path, exc_info=error)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; the operator's log says why")
