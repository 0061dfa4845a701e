"""What the routes work with, who asks, and the parameters and the answer that all rooms share."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Path, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints

from api.auth.actors import Actor, Auth
from api.live.stream import LiveFeed
from api.registry_cache import RegistryCache
from kawamori.runtime import Clock
from kawamori.settings import ApiSettings, SiteSettings
from kawamori.storage.database import Database
from kawamori.storage.page_keys import LARGEST_ID

_SPACE_FOR_PLUS = re.compile(r" (\d\d:?\d\d)$")
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What the routes work with."""

    database: Database
    directory: RegistryCache
    feed: LiveFeed
    clock: Clock
    site: SiteSettings
    auth: Auth
    #: Where people open the page, as they may type it.
    public_url: str | None = None
    api: ApiSettings = field(default_factory=ApiSettings)
    #: How far this host's clock is ahead of the database's; None while that is not known.
    host_ahead: Callable[[], timedelta | None] = lambda: None


async def _of_the_application(request: Request) -> Dependencies:
    found: Dependencies = request.app.state.using
    return found


Using = Annotated[Dependencies, Depends(_of_the_application)]


async def _anybody(request: Request, using: Using) -> Actor | None:
    return await using.auth.anybody(request)


async def _reader(request: Request, using: Using) -> Actor:
    return await using.auth.reader(request)


async def _operator(request: Request, using: Using) -> Actor:
    return await using.auth.operator(request)


async def _manager(request: Request, using: Using) -> Actor:
    return await using.auth.manager(request)


#: Whoever asks, for routes that show everybody something.
Anybody = Annotated[Actor | None, Depends(_anybody)]
#: Somebody who may see addresses and the audit; who may answer alerts; who may change rules and people too.
Reader = Annotated[Actor, Depends(_reader)]
Operator = Annotated[Actor, Depends(_operator)]
Manager = Annotated[Actor, Depends(_manager)]


def _plus(text: object) -> object:
    """A `+` that was not escaped in the address arrives as a space."""
    return _SPACE_FOR_PLUS.sub(r"+\1", text) if isinstance(text, str) else text


def possible_time(at: datetime) -> datetime:
    """A time in UTC; raises ValueError for one that nothing is measured at."""
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError("must lie between the years 1900 and 2200")
    return at.astimezone(UTC)


Time = Annotated[AwareDatetime, BeforeValidator(_plus), AfterValidator(possible_time)]
From = Annotated[Time | None, Query(alias="from", description="RFC 3339 with offset, included")]
To = Annotated[Time | None, Query(description="RFC 3339 with offset, excluded")]
Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
IdCursor = Annotated[int, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")]
#: The database knows no NUL.
Word = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]*$")]
Text = Annotated[Word | None, Query()]


def answer(body: Any, media_type: str = "application/json", status: int = HTTPStatus.OK) -> Response:
    """An answer that no cache keeps: a river's level is old in a minute."""
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, media_type)
