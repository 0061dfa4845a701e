"""Notices for every screen (kawamori.domain.notices): the stored facts they are made of, and which were announced."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from kawamori.domain.notices import (
    LOOK_BACK,
    DrillRule,
    Height,
    Notice,
    Starts,
    Undelivered,
    of_drills,
    of_services,
    of_set_aside,
    of_silences,
    of_thresholds,
)
from kawamori.domain.rules.level import LevelRule
from kawamori.storage.database import Connection, query
from kawamori.storage.people import silences

#: The columns of `heights_lately` before those that the level rule may fill in.
_KNOWN = (
    "station", "name_ja", "name_en", "level", "value_m", "since", "lowest_m", "next_lowest_m", "crest_m", "highest",
)  # fmt: skip


def _height(row: Sequence[Any]) -> Height:
    *known, hold, consecutive, parameters, by = row
    try:
        rule = msgspec.convert(parameters or {}, LevelRule, strict=False)
    except (msgspec.ValidationError, ValueError):
        rule = LevelRule()  # of another version: what it says is not known here
    return Height(
        **dict(zip(_KNOWN, known, strict=True)), hold=rule.hold if hold is None else hold,
        consecutive=consecutive or rule.consecutive, by=by,
    )  # fmt: skip


async def notices_now(connection: Connection) -> tuple[list[Notice], datetime]:
    """Everything that stands now or is announced, by the database's clock, and that clock's time."""
    rows = await (await connection.execute(query("ingest_seen"))).fetchall()
    ((ingest_seen, now),) = rows
    stations = await (await connection.execute(query("stations_and_rivers"))).fetchall()
    lasting = await silences(connection, now)
    heights = await connection.execute(query("heights_lately"), {"now": now, "since": now - LOOK_BACK})
    found_heights = [_height(row) for row in await heights.fetchall()]
    drills = [
        DrillRule(id=r[0], where=r[1], status=r[2], since=r[3], by=r[4])
        for r in await (await connection.execute(query("drill_rules"))).fetchall()
    ]
    starts = [
        Starts(service=r[0], count=r[1], first=r[2], last=r[3], alive=r[4])
        for r in await (await connection.execute(query("service_starts"))).fetchall()
    ]
    aside = [
        Undelivered(gateway=r[0], rows=r[1], since=r[2])
        for r in await (await connection.execute(query("gateways_with_rows_set_aside"))).fetchall()
    ]
    found = [
        *of_services(starts, ingest_seen, now),
        *of_silences(lasting.values(), [(station, river) for station, river in stations]),
        *of_thresholds(found_heights),
        *of_drills(drills),
        *of_set_aside(aside),
    ]
    return found, now


class ToldNotice(NamedTuple):
    """A notice that people were told of, and not yet that it is over."""

    key: str
    kind: str
    text_ja: str
    text_en: str
    since: datetime


async def notices_told(connection: Connection) -> dict[str, ToldNotice]:
    """What people were told of and was not over when last looked at, by key."""
    rows = await (await connection.execute(query("notices_told"))).fetchall()
    return {row[0]: ToldNotice(*row) for row in rows}


async def begin_notice(connection: Connection, notice: Notice) -> int | None:
    """Remember that people are told of it; its id, None where another has told them."""
    values = {name: getattr(notice, name) for name in Notice.__slots__}
    row = await (await connection.execute(query("begin_notice"), values)).fetchone()
    return None if row is None else int(row[0])


async def end_notice(connection: Connection, key: str) -> int | None:
    """Remember that it is over; its id, None where it was already."""
    row = await (await connection.execute(query("end_notice"), {"key": key})).fetchone()
    return None if row is None else int(row[0])
