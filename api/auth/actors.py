"""Who is asking, and may they? A token's digest among the accounts; where the site is open, the name they give."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.problems import WrongField, problem
from kawamori.domain.accounts import LONGEST_NAME, MANAGER, has_control, token_digest
from kawamori.storage.accounts import account_of
from kawamori.storage.database import Database

NAME_HEADER = "X-Kawamori-Name"
#: No write is larger.
LARGEST_BODY = 64 * 1024
#: A body that has not come by then is not waited for.
_BODY_S = 15.0


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who may act; what they do is written down under this name."""

    name: str
    role: str


#: Who reads where the site is open, and gave no name.
SOMEBODY = Actor("", MANAGER)


def given_name(text: str) -> str:
    """The name in the header, percent-encoded UTF-8; raises WrongField. Pure."""
    try:
        name = unquote_to_bytes(text).decode().strip()
    except UnicodeDecodeError:
        raise WrongField(NAME_HEADER, "must be percent-encoded UTF-8") from None
    if not 1 <= len(name) <= LONGEST_NAME:
        raise WrongField(NAME_HEADER, f"must be 1 to {LONGEST_NAME} characters")
    if has_control(name):
        raise WrongField(NAME_HEADER, "must not contain control characters")
    return name


def _refused(detail: str) -> HTTPException:
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": 'Bearer realm="kawamori"'})


class Auth:
    """Tells the routes who asks."""

    def __init__(self, database: Database, *, open_to_all: bool) -> None:
        self._database = database
        self._open = open_to_all

    async def anybody(self, request: Request) -> Actor | None:
        """Whoever asks, for routes that show everybody something; raises 401 for a token that is not known."""
        header = request.headers.get("authorization")
        if header is not None:
            return await self._bearer(header)
        if not self._open:
            return None
        text = request.headers.get(NAME_HEADER)
        return SOMEBODY if text is None else Actor(given_name(text), MANAGER)

    async def reader(self, request: Request) -> Actor:
        """Somebody who may see addresses and the audit."""
        actor = await self.anybody(request)
        if actor is None:
            raise _refused("a token is needed: Authorization: Bearer …")
        return actor

    async def operator(self, request: Request) -> Actor:
        """Somebody who may answer alerts."""
        actor = await self.reader(request)
        if not actor.name:
            raise WrongField(NAME_HEADER, "is needed: who is acting?")
        return actor

    async def manager(self, request: Request) -> Actor:
        """Somebody who may change rules and people too."""
        actor = await self.operator(request)
        if actor.role != MANAGER:
            raise HTTPException(HTTPStatus.FORBIDDEN, f"this needs the role {MANAGER}; yours is {actor.role}")
        return actor

    async def _bearer(self, header: str) -> Actor:
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _refused("only `Authorization: Bearer …` is understood")
        found = await account_of(self._database, token_digest(token))
        if found is None:
            raise _refused("this token is not known, or was revoked")
        return Actor(*found)


#: What a route depends on.
Asks = Callable[[Request], Awaitable[Actor]]


class Writes:
    """Let no write pass that another site's page could send by itself (it is no JSON), or that is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the body read."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if scope["path"].startswith("/api/") and scope["method"] != "DELETE" and kind != b"application/json":
            answer = problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "writes are Content-Type: application/json")
            await answer(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        body = b"" if not length.isdigit() or int(length) > LARGEST_BODY else await self._read(receive)
        if body is None or not length.isdigit() or int(length) > LARGEST_BODY:
            answer = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_BODY} bytes")
            await answer(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None when it is too large or does not come."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(_BODY_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > LARGEST_BODY:
                        return None
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            return None
