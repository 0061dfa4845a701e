"""When gateways, processes and devices were last heard of, and what they said of themselves.

Everything here runs inside the caller's transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from kawamori.domain.freshness import GATEWAY_SILENT_AFTER
from kawamori.domain.reading import SensorId
from kawamori.storage.database import Connection, query


async def see_gateways(connection: Connection, waiting: Mapping[str, int]) -> None:
    """These gateways are there now, and have so many rows still to forward; those not registered are left out."""
    if not waiting:
        return
    ordered = dict(sorted(waiting.items()))  # two workers that meet take the rows in one order
    values = {"gateways": list(ordered), "waiting": list(ordered.values()), "silent": GATEWAY_SILENT_AFTER}
    await connection.execute(query("see_gateways"), values)


async def see_set_aside(connection: Connection, counts: Mapping[str, int]) -> None:
    """So many rows these gateways could not deliver and set aside."""
    if counts:
        ordered = dict(sorted(counts.items()))
        await connection.execute(query("see_set_aside"), {"gateways": list(ordered), "rows": list(ordered.values())})


async def see_clocks(connection: Connection, off_s: Mapping[str, float]) -> None:
    """How many seconds these gateways' clocks are ahead of the database's (negative: behind)."""
    if off_s:
        ordered = dict(sorted(off_s.items()))
        await connection.execute(query("see_clocks"), {"gateways": list(ordered), "offs": list(ordered.values())})


async def see_unknown_gateways(connection: Connection, messages: Mapping[str, int]) -> None:
    """So many messages came from gateways that are not registered; '' stands for what is no name."""
    if messages:
        ordered = dict(sorted(messages.items()))
        values = {"gateways": list(ordered), "counts": list(ordered.values())}
        await connection.execute(query("see_unknown_gateways"), values)


async def see_process(
    connection: Connection, name: str, service: str, ways: Mapping[SensorId, str], committed: Collection[str]
) -> None:
    """This process of the service is there now, committed these gateways' rows, and heard sensors through them."""
    await connection.execute(query("see_process"), {"name": name, "service": service})
    if committed:
        await connection.execute(query("see_commits"), {"gateways": sorted(committed)})
    if ways:
        ordered = dict(sorted(ways.items()))
        values = {"sensors": list(ordered), "gateways": list(ordered.values())}
        await connection.execute(query("see_ways"), values)


async def save_statuses(connection: Connection, statuses: Sequence[tuple[str, datetime, bytes]]) -> None:
    """Keep the newest status of each device: (device, received_at, JSON)."""
    if statuses:
        newest = {device: (device, at, status) for device, at, status in sorted(statuses, key=lambda s: s[1])}
        await connection.cursor().executemany(
            query("save_status"),
            [
                {"device_id": d, "received_at": at, "status": status.decode()}
                for d, at, status in sorted(newest.values())
            ],
        )
