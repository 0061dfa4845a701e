"""The read side of the HTTP contract under /api/v1: each route parses, asks once, shapes the answer."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Header, HTTPException, Query, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.contract import schemas, shapes
from api.contract.problems import PROBLEM, WrongField, busy
from api.dependencies import (
    Anybody,
    Cursor,
    Dependencies,
    From,
    Id,
    IdCursor,
    Limit,
    Reader,
    Text,
    To,
    Word,
    answer,
    possible_time,
)
from api.live.levels import Levels
from api.live.stream import Hub
from api.read.recent_levels import RecentLevels
from api.registry_cache import Directory
from kawamori.domain.reading import StationId
from kawamori.domain.registry import Sensor, Station
from kawamori.storage.alert_pages import AlertsWanted, alerts_by_id, alerts_page
from kawamori.storage.audit_pages import audit_of_alert, audit_page
from kawamori.storage.charts import CHART_POINTS, Resolution, choose_resolution, next_bucket, readings_page
from kawamori.storage.database import Database
from kawamori.storage.incident_pages import incidents_page
from kawamori.storage.notifications import notifications_by_id, notifications_of_alert, notifications_page
from kawamori.storage.page_keys import FIRST, LARGEST_ID, LAST
from kawamori.storage.quarantine_pages import quarantine_page, quarantined_payload
from kawamori.storage.registry import cross_section_of, datums_of, devices_of_station

TIME_ZONE = "Asia/Tokyo"
DatumName = Annotated[Literal["zero", "tp"], Query(description="Above gauge zero, or above the sea (T.P.)")]


class EventStream(StreamingResponse):
    """Server-Sent Events, where there is a seat; what feeds it is closed when the client is gone."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes], hub: Hub) -> None:
        super().__init__(frames, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._frames, self._hub = frames, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end of the frames or of the client."""
        try:
            with self._hub.seat() as seated:
                answer = super().__call__ if seated else busy("as many screens listen as this server can serve")
                await answer(scope, receive, send)
        finally:
            await self._frames.aclose()


def _span(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    end = end or now
    start = start or end - timedelta(hours=24)
    if start >= end:
        raise WrongField("from", "must be earlier than `to`")
    return start, end


def _station(directory: Directory, station_id: str) -> Station:
    found = directory.registry.stations.get(StationId(station_id))
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "no station of this id")
    return found


def _sensor(directory: Directory, station: Station, quantity: str) -> Sensor:
    if quantity not in directory.registry.quantities:
        raise WrongField("quantity", f"must be one of {', '.join(sorted(directory.registry.quantities))}")
    found = directory.sensors.get((station.id, quantity))
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"the station does not measure {quantity}")
    return found


def sensor_of(directory: Directory, station_id: str, quantity: str) -> Sensor:
    """The sensor of a station for a quantity; raises 404, or WrongField for a quantity that is none."""
    return _sensor(directory, _station(directory, station_id), quantity)


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _numbered_time(text: str) -> datetime:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(text))
    return possible_time(at)


def _reading_cursor(text: str, asked: Resolution) -> tuple[Resolution, datetime]:
    """The resolution and the start that a page's `next` stands for."""
    try:
        name, _, micros = text.partition(".")
        resolution, start = Resolution(name), _numbered_time(micros)
    except (ValueError, OverflowError):
        raise WrongField("cursor", "not a cursor of these readings") from None
    if resolution is Resolution.AUTO or asked not in (Resolution.AUTO, resolution):
        raise WrongField("cursor", "belongs to another resolution")
    return resolution, start


def _alert_cursor(text: str) -> tuple[datetime, int]:
    try:
        micros, _, number = text.partition(".")
        key = _numbered_time(micros), int(number)
    except (ValueError, OverflowError):
        raise WrongField("cursor", "not a cursor of these alerts") from None
    if not 0 < key[1] <= LARGEST_ID:
        raise WrongField("cursor", "not a cursor of these alerts")
    return key


def read_routes(using: Dependencies, levels: Levels) -> APIRouter:  # noqa: C901 - a list of small routes
    """Every route that reads."""
    router = APIRouter(prefix="/api/v1", responses={422: PROBLEM, 503: PROBLEM})
    recent = RecentLevels()

    @router.get("/levels/latest", response_model=schemas.LevelsLatest, tags=["levels"])
    async def latest_levels(
        only: Annotated[list[Word] | None, Query(alias="station", max_length=200, description="Only these")] = None,
    ) -> Response:
        """Every water level station now, in one call; or those asked for. Values are provisional (暫定値)."""
        body, _ = await levels.now(only)
        return answer(body)

    @router.get("/levels/recent", response_model=schemas.RecentLevels, tags=["levels"])
    async def recent_levels(hours: Annotated[int, Query(ge=1, le=24)] = 6) -> Response:
        """The last hours of every water level station in ten-minute means, for a glance."""
        return answer(await recent.of(hours, using.database, await using.directory.get(), using.clock()))

    @router.get("/stations", response_model=schemas.Stations, tags=["stations"])
    async def stations() -> Response:
        """Every station, with what is in force now."""
        directory = await using.directory.get()
        return answer({"stations": [shapes.station(s, directory) for s in directory.registry.stations.values()]})

    @router.get(
        "/stations.geojson",
        response_class=Response,
        responses={200: {"content": {"application/geo+json": {}}}},
        tags=["stations"],
    )
    async def stations_geojson() -> Response:
        """Stations as points and rivers as lines."""
        return answer(shapes.geojson(await using.directory.get()), "application/geo+json")

    @router.get(
        "/stations/{station_id}", response_model=schemas.StationDetail, responses={404: PROBLEM}, tags=["stations"]
    )
    async def station(station_id: str) -> Response:
        """One station, with its gauge's zeros by their dates and its cross-section."""
        directory = await using.directory.having(station_id)
        found = _station(directory, station_id)
        section = await cross_section_of(using.database, found.id)
        datums = [shapes.datum(datum) for datum in await datums_of(using.database, found.id)]
        more = {"datums": datums, "cross_section": shapes.cross_section(section)}
        return answer(shapes.station(found, directory) | more)

    @router.get(
        "/stations/{station_id}/devices", response_model=schemas.Devices, responses={404: PROBLEM}, tags=["stations"]
    )
    async def devices(station_id: str) -> Response:
        """What measures here and what did, the newest deployment first, and how each box said it was."""
        found = _station(await using.directory.having(station_id), station_id)
        deployed = await devices_of_station(using.database, found.id)
        return answer({"devices": [shapes.deployed(one) for one in deployed]})

    @router.get(
        "/stations/{station_id}/readings",
        response_model=schemas.Readings,
        responses={404: PROBLEM},
        tags=["readings"],
    )
    async def readings(
        station_id: str,
        start: From = None,
        to: To = None,
        quantity: str = "water_level",
        resolution: Resolution = Resolution.AUTO,
        limit: Annotated[int, Query(ge=1, le=10_000)] = CHART_POINTS,
        cursor: Cursor = None,
        datum: DatumName = "zero",
    ) -> Response:
        """A history, oldest first; the last 24 hours where nothing else is asked.

        `auto` takes the finest resolution with at most 2,000 points. Summaries cover whole buckets. Heights in T.P. are
        those above the gauge zero of their time (of a summary's: of its beginning); there is none before the first.
        """
        directory = await using.directory.having(station_id, quantity)
        sensor = _sensor(directory, _station(directory, station_id), quantity)
        raised = await _raised(using.database, sensor, datum)
        start, end = _span(start, to, using.clock())
        if cursor is not None:
            resolution, start = _reading_cursor(cursor, resolution)
        elif resolution is Resolution.AUTO:
            kept_from = directory.registry.kept_from
            resolution = await choose_resolution(using.database, sensor, start, end, kept_from)
        rows = await readings_page(using.database, sensor, resolution, start, end, limit + 1)
        raw = resolution is Resolution.RAW
        more = f"{resolution}.{_micros(rows[limit][0])}" if len(rows) > limit else None
        return answer(
            {
                "station_id": station_id,
                "quantity": quantity,
                "unit": sensor.unit.symbol,
                "resolution": resolution,
                "datum": datum,
                "points": [
                    shapes.raw_point(high) if raw else shapes.bucket_point(high, resolution, sensor)
                    for row in rows[:limit]
                    if (high := raised(row))
                ],
                "next": more,
            }
        )

    @router.get(
        "/stations/{station_id}/readings.csv",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, 404: PROBLEM},
        tags=["readings"],
    )
    async def readings_csv(
        station_id: str,
        start: From = None,
        to: To = None,
        quantity: str = "water_level",
        resolution: Resolution = Resolution.RAW,
        datum: DatumName = "zero",
    ) -> Response:
        """The whole history as a file for spreadsheets: UTF-8 with BOM, the station's time with offset.

        Heights in T.P. are those above the gauge zero of their time; there is none before the first.
        """
        directory = await using.directory.having(station_id, quantity)
        sensor = _sensor(directory, _station(directory, station_id), quantity)
        raised = await _raised(using.database, sensor, datum)
        start, end = _span(start, to, using.clock())
        if resolution is Resolution.AUTO:
            kept_from = directory.registry.kept_from
            resolution = await choose_resolution(using.database, sensor, start, end, kept_from)
        zone = ZoneInfo(sensor.time_zone)
        name = quantity if datum == "zero" else f"{quantity}-{datum}"
        day = f"{start.astimezone(zone):%Y%m%d}-{end.astimezone(zone):%Y%m%d}"
        return StreamingResponse(
            _csv(using.database, sensor, resolution, start, end, raised),
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{name}-{resolution}-{day}.csv"',
            },
            media_type="text/csv; charset=utf-8",
        )

    @router.get("/alerts", response_model=schemas.Alerts, tags=["alerts"])
    async def alerts(
        state: schemas.AlertState | None = None,
        station: Text = None,
        river: Text = None,
        kind: Text = None,
        status: schemas.Status | None = None,
        min_level: Annotated[int, Query(ge=0, le=5)] = 0,
        start: From = None,
        to: To = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Alerts that touch the span, the newest start first. Judged automatically (自動判定)."""
        if start and to and start >= to:
            raise WrongField("from", "must be earlier than `to`")
        wanted = AlertsWanted(
            start=start or FIRST, end=to or LAST, state=state, station=station, river=river, kind=kind,
            status=status, min_level=min_level,
        )  # fmt: skip
        before = _alert_cursor(cursor) if cursor is not None else (LAST, LARGEST_ID)
        found = await alerts_page(using.database, wanted, using.clock(), before, limit=limit + 1)
        page = found[:limit]
        more = f"{_micros(page[-1].started_at)}.{page[-1].id}" if len(found) > limit else None
        return answer({"alerts": [shapes.alert(a) for a in page], "next": more})

    @router.get("/alerts/{alert_id}", response_model=schemas.AlertDetail, responses={404: PROBLEM}, tags=["alerts"])
    async def alert(alert_id: Id, actor: Anybody) -> Response:
        """One alert, whom it was told to, and what happened to it."""
        trusted = actor is not None
        async with using.database.transaction() as connection:
            found = await alerts_by_id(connection, [alert_id], using.clock())
            if not found:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no alert of this id")
            told = await notifications_of_alert(connection, alert_id)
            past = await audit_of_alert(connection, alert_id)
        return answer(
            {
                **shapes.alert(found[0]),
                "notifications": [shapes.notification(n, trusted=trusted) for n in told],
                "history": [shapes.entry(e, trusted=trusted) for e in past],
            }
        )

    @router.get("/incidents", response_model=schemas.Incidents, tags=["alerts"])
    async def incidents(
        is_open: Annotated[bool | None, Query(alias="open")] = None, limit: Limit = 100, cursor: IdCursor = LARGEST_ID
    ) -> Response:
        """Incidents, newest first: a river's flood wave is one, the equipment's troubles are another."""
        found = await incidents_page(using.database, is_open=is_open, before=cursor, limit=limit + 1)
        more = str(found[limit - 1].id) if len(found) > limit else None
        return answer({"incidents": [shapes.incident(i) for i in found[:limit]], "next": more})

    @router.get("/notifications", response_model=schemas.Notifications, tags=["alerts"])
    async def notifications(
        actor: Anybody,
        limit: Limit = 100,
        cursor: IdCursor = LARGEST_ID,
        ids: Annotated[list[int] | None, Query(alias="id", max_length=100)] = None,
    ) -> Response:
        """What was told to whom, newest first; or these very ones."""
        if ids is not None and not all(0 < id_ <= LARGEST_ID for id_ in ids):
            raise WrongField("id", "must be ids of notifications")
        if ids is None:
            found = await notifications_page(using.database, before=cursor, limit=limit + 1)
        else:
            found = await notifications_by_id(using.database, ids)
        more = str(found[limit - 1].id) if ids is None and len(found) > limit else None
        page = found if ids is not None else found[:limit]
        told = [shapes.notification(n, trusted=actor is not None) for n in page]
        return answer({"notifications": told, "next": more})

    @router.get("/audit", response_model=schemas.Audit, responses={401: PROBLEM}, tags=["alerts"])
    async def audit(
        _actor: Reader,
        subject: Text = None,
        subject_id: Text = None,
        start: From = None,
        to: To = None,
        limit: Limit = 100,
        cursor: IdCursor = LARGEST_ID,
    ) -> Response:
        """Who changed what, when and why, newest first. Nothing is ever removed from it."""
        found = await audit_page(
            using.database, start=start or FIRST, end=to or LAST, subject=subject,
            subject_id=subject_id, before=cursor, limit=limit + 1,
        )  # fmt: skip
        more = str(found[limit - 1].id) if len(found) > limit else None
        return answer({"entries": [shapes.entry(e, trusted=True) for e in found[:limit]], "next": more})

    @router.get("/quarantine", response_model=schemas.Quarantine, tags=["quarantine"])
    async def quarantine(limit: Limit = 100, cursor: IdCursor = LARGEST_ID, device: Text = None) -> Response:
        """What was refused and why, newest first; of long messages the beginning."""
        found = await quarantine_page(using.database, device=device, before=cursor, limit=limit + 1)
        more = str(found[limit - 1].id) if len(found) > limit else None
        return answer({"messages": [shapes.refused(m) for m in found[:limit]], "next": more})

    @router.get(
        "/quarantine/{message_id}",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
            404: PROBLEM,
        },
        tags=["quarantine"],
    )
    async def quarantined(message_id: Id) -> Response:
        """A refused message, byte for byte as it came."""
        found = await quarantined_payload(using.database, message_id)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no message of this id in quarantine")
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="quarantine-{message_id}.bin"',
            "X-Content-Type-Options": "nosniff",  # the bytes are a stranger's
        }
        return Response(found, headers=headers, media_type="application/octet-stream")

    @router.get("/site", response_model=schemas.Site, tags=["site"])
    async def site() -> Response:
        """Whose rivers these are, and whether tonight is real."""
        at = using.site
        notice = {"ja": at.notice_ja or at.notice_en, "en": at.notice_en or at.notice_ja}
        return answer(
            {
                "name": {"ja": at.name_ja, "en": at.name_en},
                "status": at.status,
                "notice": notice if notice["ja"] else None,
                "time_zone": TIME_ZONE,
            }
        )

    @router.get("/flood-levels", response_model=schemas.FloodLevels, tags=["site"])
    async def flood_levels() -> Response:
        """The flood levels' names and colours in force, and those to come."""
        directory = await using.directory.get()
        in_force = [directory.levels[level] for level in sorted(directory.levels)]
        return answer({"flood_levels": in_force, "to_come": directory.levels_to_come})

    @router.get(
        "/stream",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
        tags=["live"],
    )
    async def stream(
        last_event_id: Annotated[str | None, Header()] = None,
        resume: Annotated[
            str | None, Query(alias="last_event_id", description="For clients that cannot set the header")
        ] = None,
    ) -> Response:
        """Server-Sent Events `reading`, `level`, `alert`, `alert_gone`, `station`, `heartbeat` (each 5 s), `resync`.

        `level` carries the rows of `/levels/latest` that have changed, as `{as_of, server_behind, stations}`, at most
        once a second; whoever fetches all rows after joining the stream and takes these in is never behind.

        Each event is delivered at least once to a client that comes back with the last id it saw. `resync`
        says that this was not possible: fetch everything anew, and go on listening. 503 where as many clients
        listen as the server serves at once.
        """
        return EventStream(using.feed.subscribe(last_event_id or resume), using.feed.hub)

    return router


#: A row of a history in a height system, None where it has no height there.
Raised = Callable[[tuple[Any, ...]], tuple[Any, ...] | None]


async def _raised(database: Database, sensor: Sensor, datum: DatumName) -> Raised:
    """What makes a row of a history one in that height system; raises WrongField where the sensor has none."""
    if datum == "zero":
        return lambda row: row
    datums = await datums_of(database, sensor.station) if sensor.quantity == "water_level" else []
    if not datums:
        raise WrongField("datum", "only water levels of a station whose gauge zero is registered have heights in T.P.")
    return partial(shapes.above_sea, datums)


async def _csv(
    database: Database, sensor: Sensor, resolution: Resolution, start: datetime, end: datetime,
    raised: Raised,
) -> AsyncIterator[bytes]:  # fmt: skip
    """A history as CSV, page by page, so that ten years need no memory."""
    zone = ZoneInfo(sensor.time_zone)
    same = [sensor.station, sensor.quantity, sensor.unit.symbol]
    raw = resolution is Resolution.RAW
    columns = ["value", "flag", "reasons"] if raw else shapes.bucket_columns(sensor)
    yield b"\xef\xbb\xbf"
    page: list[Any] = [["station_id", "quantity", "unit", "time", *columns]]
    size = 5000
    while page:
        text = io.StringIO()
        csv.writer(text).writerows(page)
        yield text.getvalue().encode()
        if start >= end:
            return
        rows = await readings_page(database, sensor, resolution, start, end, size)
        page = []
        for row in rows:
            if high := raised(row):
                cells = shapes.raw_cells(high) if raw else shapes.bucket_cells(high, resolution, sensor)
                page.append([*same, row[0].astimezone(zone).isoformat(), *cells])
        start = next_bucket(rows[-1][0], resolution, sensor) if len(rows) == size else end
