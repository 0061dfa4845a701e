"""How every link from the sensor to the person is, as one answer that a broken part does not spoil."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from api import shapes
from kawamori.domain.freshness import GATEWAY_SILENT_AFTER
from kawamori.errors import KawamoriError
from kawamori.observe import log
from kawamori.storage import history, system
from kawamori.storage.alerts import gateway_facts

if TYPE_CHECKING:
    from api.routes import Dependencies

#: One slow question must not keep the others' answers back.
PATIENCE_S = 2.0


async def system_state(using: "Dependencies") -> dict[str, Any]:
    """Everything that can be learned now; raises StorageUnavailable when the database does not answer at all."""
    at = using.clock()
    begun = time.perf_counter()
    await using.database.ping()
    answers_ms = round((time.perf_counter() - begun) * 1000, 2)

    async def gateways() -> list[dict[str, Any]]:
        async with using.database.transaction() as connection:
            found = await gateway_facts(connection)
        return [
            {
                "gateway_id": g.gateway_id, "seen_at": g.seen_at, "backlog": g.backlog,
                "alive": at - g.seen_at <= GATEWAY_SILENT_AFTER,
            }
            for g in found
        ]  # fmt: skip

    async def ingest() -> list[dict[str, Any]]:
        return [shapes.process(one) for one in await system.processes(using.database, "ingest")]

    async def database() -> dict[str, Any]:
        return {"answers_ms": answers_ms, "size_bytes": await system.database_size(using.database)}

    async def stations() -> dict[str, int]:
        found, version = await history.latest_levels(using.database)
        levels = shapes.latest_levels(found, await using.directory.get(version), at)["stations"]
        return {name: sum(level["freshness"] == name for level in levels) for name in ("fresh", "late", "dead")}

    async def alerting() -> dict[str, Any]:
        return shapes.alerting(await system.alerting_now(using.database))

    async def intake() -> dict[str, Any]:
        return (await system.intake(using.database))._asdict()

    async def quarantine() -> dict[str, Any]:
        return shapes.quarantined(await system.quarantine_facts(using.database, at))

    unknown: list[str] = []

    async def learn(name: str, part: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await part
        except (KawamoriError, TimeoutError) as error:
            log().warning("a part of the system's state could not be learned", part=name, error=repr(error))
            unknown.append(name)
            return None

    parts = {
        "alerting": alerting(), "gateways": gateways(), "ingest": ingest(), "database": database(),
        "stations": stations(), "intake": intake(), "quarantine": quarantine(),
    }  # fmt: skip
    found = {name: await learn(name, part) for name, part in parts.items()}
    return {
        "as_of": at,
        **found,
        "stream": {"clients": using.feed.hub.count},
        "page_version": using.feed.page,
        "unknown": unknown,
    }
