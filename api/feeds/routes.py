"""What other systems and the disaster HQ read: CAP messages, their feed, the chronology."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from api.contract import schemas
from api.contract.problems import PROBLEM, WrongField
from api.dependencies import Dependencies, From, Id, Text, To, Using, answer
from api.feeds import cap, chronology
from api.registry_cache import Directory
from kawamori.domain.reading import StationId
from kawamori.storage import actions
from kawamori.storage.alert_pages import Alert, alerts_by_id
from kawamori.storage.database import Connection

FEED_ENTRIES = 100
#: More lines than this are no report; ask for a shorter span.
MOST_LINES = 20_000
LONGEST_SPAN = timedelta(days=366)


def subject_of(alert: Alert, told: list[tuple[str, Any]], directory: Directory) -> cap.Subject:
    """What a CAP message needs to know of an alert."""
    station = directory.registry.stations.get(StationId(alert.station)) if alert.station else None
    river = next((r.name for r in directory.rivers if r.id == alert.river), None)
    name = directory.levels[alert.flood_level].name
    return cap.Subject(alert=alert, told=told, level_name=name, river_name=river, station=station)


router = APIRouter(prefix="/api/v1", responses={422: PROBLEM, 503: PROBLEM}, tags=["bulletins"])


def _base(using: Dependencies, request: Request) -> str:
    return (using.public_url or str(request.base_url)).rstrip("/")


def _sender(using: Dependencies, request: Request) -> cap.Sender:
    names = {"ja": using.site.name_ja, "en": using.site.name_en}
    return cap.Sender(id=using.site.cap_sender, name=names, scope=using.site.cap_scope, web=_base(using, request))


async def _subject(using: Dependencies, connection: Connection, alert_id: int, directory: Directory) -> cap.Subject:
    found = await alerts_by_id(connection, [alert_id], using.clock())
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no alert of this id")
    return subject_of(found[0], await actions.told_of_alert(connection, alert_id), directory)


async def _written(using: Dependencies, request: Request, alert_id: int, number: int | None) -> Response:
    directory = await using.directory.get()
    async with using.database.transaction() as connection:
        about = await _subject(using, connection, alert_id, directory)
    try:
        body = cap.message(about, len(about.told) if number is None else number, _sender(using, request))
    except IndexError:
        raise HTTPException(HTTPStatus.NOT_FOUND, "people were not told so much of this alert") from None
    return Response(body, headers={"Cache-Control": "no-store"}, media_type=cap.MEDIA_TYPE)


_AS_CAP: dict[int | str, dict[str, Any]] = {
    200: {"content": {cap.MEDIA_TYPE: {"schema": {"type": "string"}}}}, 404: PROBLEM,
}  # fmt: skip


@router.get("/alerts/{alert_id}.cap", response_class=Response, responses=_AS_CAP)
async def newest_cap(using: Using, request: Request, alert_id: Id) -> Response:
    """The newest CAP 1.2 message of an alert."""
    return await _written(using, request, alert_id, None)


@router.get("/alerts/{alert_id}/cap/{number}", response_class=Response, responses=_AS_CAP)
async def one_cap(
    using: Using, request: Request, alert_id: Id, number: Annotated[int, Path(ge=1, le=10_000)]
) -> Response:
    """One of the CAP 1.2 messages of an alert, from 1: it refers to those before it."""
    return await _written(using, request, alert_id, number)


@router.get(
    "/alerts.atom",
    response_class=Response,
    responses={200: {"content": {cap.FEED_TYPE: {"schema": {"type": "string"}}}}},
)
async def feed(using: Using, request: Request, status: schemas.Status = "actual") -> Response:
    """The newest 100 CAP messages as an Atom feed; drills only where they are asked for."""
    directory = await using.directory.get()
    async with using.database.transaction() as connection:
        newest = await actions.newest_told(connection, status, FEED_ENTRIES)
        shown = await alerts_by_id(connection, {alert for alert, _ in newest}, using.clock())
        about = {
            alert.id: subject_of(alert, await actions.told_of_alert(connection, alert.id), directory) for alert in shown
        }
    entries = [(about[alert], number) for alert, number in newest if alert in about]
    body = cap.feed(entries, _sender(using, request), _base(using, request), using.clock(), status)
    return Response(body, headers={"Cache-Control": "no-store"}, media_type=cap.FEED_TYPE)


@router.get(
    "/chronology",
    response_model=schemas.Chronology,
    responses={200: {"content": {name: {"schema": {"type": "string"}} for name in ("text/csv", "text/html")}}},
)
async def chronicle(
    using: Using,
    start: From = None,
    to: To = None,
    river: Text = None,
    station: Text = None,
    form: Annotated[Literal["csv", "html", "json"], Query(alias="format")] = "json",
) -> Response:
    """What happened, in order of time (時系列): crossings, messages, answers, outages, changes of rules.

    The last 24 hours where nothing else is asked. CSV opens in spreadsheets as it is; HTML is for A4 paper.
    """
    now = using.clock()
    end = to or now
    begin = start or end - timedelta(hours=24)
    if begin >= end:
        raise WrongField("from", "must be earlier than `to`")
    if end - begin > LONGEST_SPAN:
        raise WrongField("from", f"must lie within {LONGEST_SPAN.days} days of `to`")
    directory = await using.directory.get()
    if station is not None and StationId(station) not in directory.registry.stations:
        raise WrongField("station", "no station of this id")
    if river is not None and river not in {one.id for one in directory.rivers}:
        raise WrongField("river", "no river of this id")
    found = await actions.timeline(
        using.database, begin, end, station=station, river=river, limit=MOST_LINES + 1
    )  # fmt: skip
    if max(map(len, found)) > MOST_LINES:
        raise WrongField("from", f"more than {MOST_LINES} lines: ask for a shorter span")
    lines = chronology.lines(found, directory, begin, end)
    if form == "json":
        return answer({"from": begin, "to": end, "lines": [chronology.shape(line) for line in lines]})
    name = f"chronology-{begin.astimezone(chronology.JST):%Y%m%d%H%M}-{end.astimezone(chronology.JST):%Y%m%d%H%M}"
    if form == "csv":
        return Response(
            chronology.as_csv(lines),
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{name}.csv"',
            },
            media_type="text/csv; charset=utf-8",
        )  # fmt: skip
    title = f"{using.site.name_ja} 時系列"
    text = chronology.as_html(lines, title, begin, end, using.site.status)
    return Response(text, headers={"Cache-Control": "no-store"}, media_type="text/html; charset=utf-8")
