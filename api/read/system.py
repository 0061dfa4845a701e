"""How every link from the sensor to the person is, as one answer that a broken part does not spoil."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from api.clock import WRONG_AFTER
from api.contract import schemas, shapes
from api.contract.problems import PROBLEM
from api.dependencies import Dependencies, Using, answer
from api.single_flight import SingleFlight
from kawamori.errors import KawamoriError
from kawamori.observe import log
from kawamori.storage import people, system
from kawamori.storage.database import Database
from kawamori.storage.levels import latest_levels

#: One slow question must not keep the others' answers back.
PATIENCE = timedelta(seconds=2)
#: Each answer takes most of the pool's connections for a moment: one is learned at a time, and kept for so long.
KEPT = timedelta(seconds=2)
#: Rows of the registry that cannot be used, named in one answer.
MOST_PROBLEMS = 50


router = APIRouter(prefix="/api/v1", responses={503: PROBLEM}, tags=["site"])


class SystemState:
    """The state as it was last learned: all who ask within two seconds get the same."""

    def __init__(self) -> None:
        self._once: SingleFlight[dict[str, Any]] = SingleFlight()
        self._kept: dict[str, Any] | None = None
        self._kept_at = 0.0

    async def now(self, using: Dependencies) -> dict[str, Any]:
        """What is known now; raises StorageUnavailable when the database does not answer at all."""
        begun = time.monotonic()
        if self._kept is None or begun - self._kept_at >= KEPT.total_seconds():
            self._kept, self._kept_at = await self._once.do(lambda: _state(using)), begun
        return self._kept


@router.get("/system", name="system", response_model=schemas.System)
async def system_now(using: Using, request: Request) -> Response:
    """How every link from the sensor to the person is; a part that could not be learned is named in `unknown`.

    All who ask within two seconds get the same answer: `as_of` is when it was learned.
    """
    state: SystemState = request.app.state.system
    return answer(await state.now(using))


def host_clock(ahead: timedelta | None) -> dict[str, Any] | None:
    """This host's clock beside the database's, which all ages are told by."""
    if ahead is None:
        return None
    return {"host_ahead_s": round(ahead.total_seconds(), 1), "ok": abs(ahead) <= WRONG_AFTER}


async def _state(using: Dependencies) -> dict[str, Any]:
    """Everything that can be learned now; raises StorageUnavailable when the database does not answer at all."""
    at = using.clock()
    begun = time.perf_counter()
    asked = using.database.within(PATIENCE)
    await asked.ping()
    answers_ms = round((time.perf_counter() - begun) * 1000, 2)

    async def gateways() -> list[dict[str, Any]]:
        links, now = await system.links_now(asked)
        return [
            {
                "gateway_id": name, "seen_at": one.seen_at, "backlog": one.backlog, "alive": one.heard(now),
                "waiting": one.waiting(now), "set_aside": one.set_aside,
            }
            for name, one in links.gateways.items()
        ]  # fmt: skip

    async def ingest() -> list[dict[str, Any]]:
        return [shapes.process(one) for one in await system.processes(asked, "ingest")]

    async def database() -> dict[str, Any]:
        return {"answers_ms": answers_ms, "size_bytes": await system.database_size(asked)}

    async def stations() -> dict[str, int]:
        found, version = await latest_levels(asked)
        levels = shapes.latest_levels(found, await using.directory.get(version), at)["stations"]
        return {name: sum(level["freshness"] == name for level in levels) for name in ("fresh", "late", "dead")}

    async def alerting() -> dict[str, Any]:
        state = await system.alerting_now(asked)
        async with asked.transaction() as connection:
            problems = await people.row_problems(connection, at)
        return {
            "alerting": shapes.alerting(state), "notices": [shapes.notice(one) for one in state.notices],
            "problems": problems + await system.judging_problems(asked),
        }  # fmt: skip

    async def intake() -> dict[str, Any]:
        return (await system.intake(asked))._asdict()

    parts: dict[str, Callable[[], Awaitable[Any]]] = {
        "alerting": alerting, "gateways": gateways, "ingest": ingest, "database": database,
        "stations": stations, "intake": intake, "quarantine": partial(_quarantine, asked, at),
        "registry": partial(_registry, using), "unknown_gateways": partial(_unknown_gateways, asked),
    }  # fmt: skip
    found: dict[str, Any] = dict.fromkeys(parts)
    unknown: list[str] = []

    async def learn(name: str, part: Callable[[], Awaitable[Any]]) -> None:
        try:
            found[name] = await part()
        except KawamoriError as error:
            log().warning("a part of the system's state could not be learned", part=name, error=repr(error))
            unknown.append(name)

    async with asyncio.TaskGroup() as group:
        for name, part in parts.items():
            group.create_task(learn(name, part), name=f"system: {name}")
    people_told = found.pop("alerting") or dict.fromkeys(("alerting", "notices", "problems"))
    return {
        "as_of": at,
        **people_told,
        **found,
        "stream": {"clients": using.feed.hub.count},
        "page_version": using.feed.page,
        "clock": host_clock(using.host_ahead()),
        "unknown": sorted(unknown),
    }


async def _quarantine(asked: Database, at: datetime) -> dict[str, Any]:
    found = shapes.quarantined(await system.quarantine_facts(asked, at))
    grown = await system.quarantine_growth(asked)
    return found | {"bytes_last_day": grown.bytes, "not_kept_last_day": grown.not_kept, "warning": grown.warning()}


async def _registry(using: Dependencies) -> dict[str, Any]:
    """What in the registry a person has to mend."""
    found = (await using.directory.get()).registry
    return {
        "version": found.version, "trouble": using.directory.trouble, "problem_count": len(found.problems),
        "problems": [{"subject": p.subject, "reason": p.reason} for p in found.problems[:MOST_PROBLEMS]],
    }  # fmt: skip


async def _unknown_gateways(asked: Database) -> dict[str, Any]:
    found = await system.strangers(asked)
    return {"count": found.names, "last_name": found.last_name, "last_at": found.last_at}
