"""The engines' lease: which of them judges, and what it says of itself."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.types.json import Jsonb

from kawamori.storage.changes import Cursor, hold_cursor
from kawamori.storage.database import Connection, query

#: What cannot be judged is named one by one up to so many.
_NAMED = 50


async def take_lease(connection: Connection, holder: str, length: timedelta) -> tuple[int, datetime] | None:
    """Hold or renew the engines' lease for this transaction and `length` beyond it; its token, and the database's time
    when the transaction began. None where another holds it.

    The row stays locked until the transaction ends, so that two engines never write at once; a token that has changed
    says that another led in between. Time is the database's: engines' clocks may differ.
    """
    values = {"holder": holder, "length": length}
    row = await (await connection.execute(query("hold_lease"), values)).fetchone()
    if row is None:
        row = await (await connection.execute(query("take_lease"), values)).fetchone()
    return None if row is None else (int(row[0]), row[1])


class Visit(NamedTuple):
    """What an engine that holds the lease begins its visit to the change feed with."""

    token: int
    #: The database's time when the transaction began.
    at: datetime
    #: The last change that was evaluated.
    cursor: Cursor
    #: Whether late readings wait to be judged.
    late_waits: bool


async def begin_visit(connection: Connection, holder: str, length: timedelta, follower: str) -> Visit | None:
    """Take or renew the lease (see `take_lease`), then lock the follower's cursor; None where another engine leads."""
    values = {"holder": holder, "length": length, "follower": follower}
    row = await (await connection.execute(query("hold_lease_and_cursor"), values)).fetchone()
    if row is not None:
        return Visit(int(row[0]), row[1], Cursor(int(row[2]), row[3]), row[4])
    lease = await take_lease(connection, holder, length)
    if lease is None:
        return None
    cursor = await hold_cursor(connection, follower)
    (late_waits,) = await (await connection.execute(query("late_waits"))).fetchone() or (False,)
    return Visit(*lease, cursor, late_waits)


async def describe_alerting(
    connection: Connection, *, has_listeners: bool, self_test_every: timedelta | None, clock_off_s: float | None,
    not_judged: Mapping[str, str],
) -> None:  # fmt: skip
    """Say, as who holds the lease, whether anybody would be told of a flood, how often the chain is tested, how far
    this machine's clock is off, and what cannot be judged and why.
    """
    values = {
        "has_listeners": has_listeners, "self_test_every": self_test_every, "clock_off_s": clock_off_s,
        "not_judged": Jsonb(dict(sorted(not_judged.items())[:_NAMED])),
    }  # fmt: skip
    await connection.execute(query("describe_alerting"), values)
