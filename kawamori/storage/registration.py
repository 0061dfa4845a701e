"""Registering what a sheet, a simulation or a replay asks for: one transaction with its lines of the audit."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from kawamori.domain.quantity import Unit
from kawamori.domain.registration.doubts import Known, KnownQuantity
from kawamori.domain.registration.examine import Registration, examine
from kawamori.domain.registration.plans import Sheet, StationPlan
from kawamori.domain.registration.register import registered
from kawamori.domain.registration.standing import SUBJECTS, Change, Registered, changes, nothing_registered
from kawamori.storage.actions import change_configuration
from kawamori.storage.audit import SOFTWARE, notes
from kawamori.storage.database import Connection, Database, query

#: What thresholds and limits are compared with.
RECENT = timedelta(days=7)


async def register(
    database: Database, plans: Sequence[StationPlan], *, keep_registered: bool = False, who: str = SOFTWARE
) -> Registration:  # fmt: skip
    """Write the plans in one transaction: all of them or none. What is registered so already is not written again.

    With `keep_registered` stations, sensors and deployments that are missing are added, and what is registered stays.
    """
    async with database.transaction() as connection:
        return await register_in(connection, plans, keep_registered=keep_registered, who=who)


async def register_in(
    connection: Connection, plans: Sequence[StationPlan], *, keep_registered: bool = False, who: str = SOFTWARE
) -> Registration:  # fmt: skip
    """The same within the caller's transaction."""
    now = await change_configuration(connection)
    sheet = Sheet(stations=tuple(plans))
    before = await _standing(connection, sheet)
    done = registered(before, sheet, now, keep_registered=keep_registered)
    changed = list(changes(before, done.rows))
    await _write(connection, changed, who)
    return Registration(changed, done.remarks, done.known)


async def register_sheet(
    database: Database, sheet: Sheet, *, who: str, dry_run: bool = False, strict: bool = False
) -> Registration:  # fmt: skip
    """Register a sheet after looking at all of it; raises ConfigurationError with one line a wrong field.

    Nothing is written in a dry run, nor where anything is wrong, nor, when `strict`, where anything is doubtful.
    """
    async with database.transaction() as connection:
        now = await change_configuration(connection)
        before = await _standing(connection, sheet)
        found = examine(sheet, before, await _known(connection, sheet, now), now, strict=strict)
        if not dry_run:
            await _write(connection, found.changes, who)
        return found


async def _standing(connection: Connection, sheet: Sheet) -> Registered:
    """What is registered of all that a sheet names."""
    names = {
        "gateways": [plan.gateway_id for plan in sheet.gateways],
        "rivers": sorted({plan.river_id for plan in sheet.stations}),
        "stations": sorted({plan.station_id for plan in sheet.stations}),
        "devices": sorted({s.device_id for plan in sheet.stations for s in plan.sensors}
                          | {plan.device_id for plan in sheet.devices}),
    }  # fmt: skip
    found = nothing_registered()
    for subject, key in SUBJECTS.items():
        cursor = await connection.execute(query(f"registered_{subject}"), names)
        columns = [column.name for column in cursor.description or ()][len(key) :]
        if subject == "deployment":
            columns[:2] = "station_id", "sensor"
        for row in await cursor.fetchall():
            found[subject][tuple(row[: len(key)])] = dict(zip(columns, row[len(key) :], strict=True))
    return found


async def _known(connection: Connection, sheet: Sheet, now: datetime) -> Known:
    async def rows(name: str, values: dict[str, Any] | None = None) -> list[Any]:
        return await (await connection.execute(query(name), values)).fetchall()

    stations = {"stations": [plan.station_id for plan in sheet.stations]}
    return Known(
        units={r[0]: Unit(symbol=r[0], dimension=r[1], scale=r[2], shift=r[3]) for r in await rows("all_units")},
        quantities={r[0]: KnownQuantity(r[1], r[2]) for r in await rows("known_quantities")},
        others={r[0]: r[1] for r in await rows("alike_stations", stations)},
        recent={
            (r[0], r[1]): (r[2], r[3])
            for r in await rows("recent_extremes", {**stations, "start": now - RECENT, "end": now})
        },
    )


async def _write(connection: Connection, changed: Sequence[Change], who: str) -> None:
    for subject in SUBJECTS:
        gone = [c.named for c in changed if c.subject == subject and c.after is None]
        put = [{**c.named, **c.after} for c in changed if c.subject == subject and c.after is not None]
        for name, rows in ((f"remove_{subject}", gone), (f"put_{subject}", put)):
            if rows:
                await connection.execute(query(name), {"rows": Jsonb(msgspec.to_builtins(rows))})
    await notes(connection, [_line(change, who) for change in changed])


def _line(change: Change, who: str) -> dict[str, Any]:
    """A change's line of the audit, with the dates of its key."""
    dates = {name: part for name, part in change.named.items() if name == "valid_from"}
    detail = {name: {**dates, **row} for name, row in (("before", change.before), ("after", change.after)) if row}
    return {
        "who": who, "subject": change.subject, "id": change.id, "event": change.event,
        "detail": msgspec.to_builtins(detail),
    }  # fmt: skip
