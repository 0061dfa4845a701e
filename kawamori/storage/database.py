"""Connections to TimescaleDB: a pool, named queries from .sql files, and errors translated once."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from copy import copy
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, Self, TypeVar, cast
from weakref import WeakSet

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kawamori.errors import StorageBroken, StorageRefused, StorageUnavailable
from kawamori.storage.schema import known_steps, misfit

Connection = psycopg.AsyncConnection[TupleRow]
T = TypeVar("T")

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

#: SQLSTATE classes and codes after which the same work may succeed: connection, resources, operator
#: intervention, system error, serialization failure, deadlock, lock timeout, a session that idled for too long.
_RETRYABLE = ("08", "53", "57", "58", "40001", "40P01", "55P03", "25P03")
#: Classes in which a row is to blame: data exception, integrity constraint violation.
_POISON = ("22", "23")
#: After these the connection is of no more use, whatever is asked next: a standby, or a server that shuts down.
_WRONG_SERVER = ("25006", "57P01", "57P02", "57P03")
#: What a person does about it, by the beginning of the SQLSTATE.
_NEXT_STEP = (
    ("42501", "give the database's user the missing right"),
    ("42", "the schema is not what this version expects: compare `kawamori db status`"),
    ("3F", "the schema is not what this version expects: compare `kawamori db status`"),
    ("25006", "this server is a standby or read-only: let KAWAMORI_DATABASE_URL point at the primary"),
    ("28", "the database's user or password is not accepted: mend KAWAMORI_DATABASE_URL"),
    ("XX", "the database says that it is damaged: look at its log and disk"),
)  # fmt: skip

#: A host that vanished sends no farewell. The kernel gives a line up on which nothing was acknowledged for 10 s,
#: whether something was sent or it was silent.
_LINE: dict[str, Any] = {
    "connect_timeout": 5, "tcp_user_timeout": 10_000,
    "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
}  # fmt: skip
_MS = timedelta(milliseconds=1)
_STATEMENT = timedelta(seconds=60)
#: A server that is alive answers an empty query sooner, whatever else it does.
_CHECKED_WITHIN = timedelta(seconds=2)
#: A server that is alive ends a statement itself: this much later we no longer wait for it to say so.
_GRACE = timedelta(seconds=1)


@cache
def queries() -> dict[str, LiteralString]:
    """Every named query, from kawamori/storage/queries/*.sql."""
    found: dict[str, LiteralString] = {}
    for file in sorted(files("kawamori.storage").joinpath("queries").iterdir(), key=lambda f: f.name):
        parts = _NAME.split(file.read_text("utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"two queries are named {name}")
            found[name] = cast("LiteralString", text.strip())
    return found


def query(name: str) -> LiteralString:
    """The text of a named query."""
    return queries()[name]


def translate(error: psycopg.Error) -> StorageUnavailable | StorageRefused:
    """Our word for a database error.

    Unavailable: try again. Refused: a row is to blame, and only then. Broken: everything else; nothing is wrong with
    the rows, so they are kept, and a person has to act.
    """
    text = str(error).strip().split("\n", 1)[0]
    if error.sqlstate is None:  # the library's own: a connection that broke, or a value it cannot send
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return StorageUnavailable(text)
        return StorageRefused(text) if isinstance(error, psycopg.DataError) else StorageBroken(text)
    if error.sqlstate.startswith(_RETRYABLE):
        return StorageUnavailable(text)
    if error.sqlstate.startswith(_POISON):
        return StorageRefused(text)
    step = next((step for code, step in _NEXT_STEP if error.sqlstate.startswith(code)), "look at the database's log")
    return StorageBroken(f"{text} (SQLSTATE {error.sqlstate}): {step}")


def _is_spoilt(error: BaseException | None) -> bool:
    """Whether the connection on which this happened is to be replaced: what it leads to, or remembers, does not do."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return False
    return error.sqlstate in _WRONG_SERVER or isinstance(translate(error), StorageBroken)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn the library's errors into ours, keeping the cause."""
    try:
        yield
    except (PoolTimeout, OSError) as error:
        raise StorageUnavailable(str(error) or "no connection in time") from error
    except psycopg.Error as error:
        raise translate(error) from error


def _sever(connection: Connection) -> None:
    """Shut the socket down, so that every waiter on it fails at once: a frozen server closes nothing.

    Cancelling instead would ask that same server to stop, and wait for its answer.
    """
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def _severed_at(when: float, connection: Connection) -> Iterator[None]:
    """Fail every wait on the connection that lasts past `when` (the loop's clock) with the library's error."""
    timer = asyncio.get_running_loop().call_at(when, _sever, connection)
    try:
        yield
    finally:
        timer.cancel()


async def _checked(connection: Connection) -> None:
    """Raise when the server does not answer on this connection; the pool then replaces it."""
    with _severed_at(asyncio.get_running_loop().time() + _CHECKED_WITHIN.total_seconds(), connection):
        await AsyncConnectionPool.check_connection(connection)


class Database:
    """A small pool of connections; opens even while the database is away.

    Each connection is tried before it is handed out, unless the caller tries again by himself (`check`).
    Each is first asked for the database's schema: StorageBroken where it does not fit this version.
    A process that freezes inside a transaction keeps its locks for `idle` at most; then the server ends the session.
    A statement may take `within`, or 60 s. Where it is given, no transaction lasts more than a second longer, the wait
    for a connection included, even if the server is frozen or gone: StorageUnavailable is raised, and the connection
    replaced.
    """

    def __init__(
        self, url: str, name: str, size: int = 4, *, idle: timedelta = timedelta(seconds=60), check: bool = True,
        within: timedelta | None = None,
    ) -> None:  # fmt: skip
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            open=False,
            timeout=5,
            reconnect_timeout=5,  # its back-off doubles without a cap: give up early, the next request begins anew
            max_idle=600,
            check=_checked if check else None,
            kwargs={
                "application_name": f"kawamori-{name}",
                **_LINE,
                "options": f"-c timezone=UTC -c statement_timeout={(within or _STATEMENT) // _MS}"
                f" -c idle_in_transaction_session_timeout={idle.total_seconds():.0f}s",
            },
        )
        self.url = url
        #: The longest that a transaction may take.
        self.limit = within and within + _GRACE
        self._handing: set[asyncio.Task[Any]] = set()
        #: Connections on which the schema was found to fit this version: each is asked once.
        self._fitting: WeakSet[Connection] = WeakSet()

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close(timeout=2)

    def within(self, limit: timedelta) -> Self:
        """Return a view of the same pool with a shorter time limit."""
        hurried = copy(self)
        hurried.limit = limit
        return hurried

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction: commits at the end, rolls back on any error."""
        end = None if self.limit is None else asyncio.get_running_loop().time() + self.limit.total_seconds()
        async with translated():
            async with asyncio.timeout_at(end):
                connection = await self._borrow()
            try:
                with nullcontext() if end is None else _severed_at(end, connection):
                    if connection not in self._fitting:
                        await self._compare_schema(connection)
                    async with connection:
                        yield connection
            except (psycopg.Error, StorageUnavailable) as error:
                if _is_spoilt(error) or _is_spoilt(error.__cause__):
                    await asyncio.shield(self._task(connection.close()))  # the pool replaces it
                raise
            finally:
                await asyncio.shield(self._task(self._pool.putconn(connection)))

    async def _compare_schema(self, connection: Connection) -> None:
        """Raise StorageBroken where the database's schema and this version do not fit together."""
        async with connection.transaction():
            (there,) = await (await connection.execute(query("has_schema"))).fetchone() or (False,)
            rows = await (await connection.execute(query("applied_steps"))).fetchall() if there else []
        if (why := misfit(dict(rows), known_steps())) is not None:
            raise StorageBroken(why)
        self._fitting.add(connection)

    async def _borrow(self) -> Connection:
        """A connection of the pool; a waiter that is cancelled leaves none checked out.

        The pool itself gives connections to waiters that are gone, and loses those whose return is cancelled: screens
        that hang up would use it up for good. So what it does is never cancelled.
        """
        coming = self._task(self._pool.getconn())
        try:
            return await asyncio.shield(coming)
        except asyncio.CancelledError:
            coming.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, come: asyncio.Task[Connection]) -> None:
        if not come.cancelled() and come.exception() is None:
            self._task(self._pool.putconn(come.result()))

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)
        return task

    async def fetch(self, name: str, parameters: dict[str, Any] | None = None) -> list[TupleRow]:
        """All rows of a named query, in a transaction of its own."""
        async with self.transaction() as connection:
            cursor = await connection.execute(query(name), parameters or {}, binary=True)
            return await cursor.fetchall()

    async def ping(self) -> None:
        """Raise StorageUnavailable when the database does not answer."""
        async with self.transaction() as connection:
            await connection.execute("SELECT 1")

    async def notifications(self, *channels: str) -> AsyncIterator[str]:
        """Yield a channel's name at each NOTIFY, and "" at least every 5 s; raises StorageUnavailable."""
        async with (
            translated(),
            await psycopg.AsyncConnection.connect(
                self.url, autocommit=True, application_name="kawamori-listen", **_LINE
            ) as connection,
        ):
            for channel in channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield ""
            while True:
                async for notice in connection.notifies(timeout=5, stop_after=1):
                    yield notice.channel
                yield ""
                await asyncio.sleep(0)
