"""Is the system itself alive? Who leads alerting, how far behind, what waits, what comes in, what was refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from kawamori.domain.freshness import INGEST_SILENT_AFTER, GatewayLink, Links
from kawamori.domain.notices import Notice, impairs
from kawamori.errors import KawamoriError, StorageRefused
from kawamori.observe import log
from kawamori.storage.database import Database, query
from kawamori.storage.notices import notices_now

#: A batch may wait this long for its evaluation: a takeover by another engine takes 15 s.
BEHIND = timedelta(seconds=20)
#: A message may wait this long: the second channel is tried after a minute.
UNSENT = timedelta(minutes=2)
#: A service that starts waits no longer than this to write it down.
_STARTED_WITHIN = timedelta(seconds=2)
#: A self-test begins within 5 s of its time and comes out within 60 s.
SELF_TEST_TAKES = timedelta(seconds=65)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """Whether people would be told now, and if not why: `database`, `no_engine`, `behind`, `nobody`, `unsent`,
    `given_up`, `self_test`, `silenced`, `thresholds`, `restarting`, `no_ingest`,
    `not_judged`.
    """

    ok: bool
    why: list[str] = field(default_factory=list)
    leader: str | None = None
    lease_until: datetime | None = None
    behind_s: float = 0.0
    oldest_unsent_s: float = 0.0
    #: When, and whether it came out.
    self_test: tuple[datetime, bool] | None = None
    #: What cannot be judged (a station, a rule on a sensor), and why.
    not_judged: Mapping[str, str] = field(default_factory=dict)
    #: How far the engine's host clock is ahead of the database's; None where it is not known.
    clock_off_s: float | None = None
    #: What everybody must see: what hides floods, and which service fails.
    notices: tuple[Notice, ...] = ()


def judge(
    *, leader: str | None, until: datetime | None, now: datetime, has_listeners: bool | None,
    waits_since: datetime | None, unsent_since: datetime | None, given_up: bool,
    self_test: tuple[datetime, bool] | None, self_test_every: timedelta | None, notices: Sequence[Notice] = (),
    not_judged: Mapping[str, str] | None = None, clock_off_s: float | None = None,
) -> Alerting:  # fmt: skip
    """What these facts mean. Pure."""
    behind = max(timedelta(0), now - waits_since) if waits_since else timedelta(0)
    unsent = max(timedelta(0), now - unsent_since) if unsent_since else timedelta(0)
    why = []
    if until is None or until < now:
        why.append("no_engine")
    if behind > BEHIND:
        why.append("behind")
    if has_listeners is False:
        why.append("nobody")
    if unsent > UNSENT:
        why.append("unsent")
    if given_up:
        why.append("given_up")
    if self_test is not None:
        tested_at, passed = self_test
        if not passed or (self_test_every and now - tested_at > 2 * self_test_every + SELF_TEST_TAKES):
            why.append("self_test")
    if not_judged:
        why.append("not_judged")
    why += dict.fromkeys(word for notice in notices if (word := impairs(notice, now)) is not None)
    return Alerting(
        ok=not why, why=why, leader=leader if until is not None and until >= now else None, lease_until=until,
        behind_s=round(behind.total_seconds(), 1), oldest_unsent_s=round(unsent.total_seconds(), 1),
        self_test=self_test, notices=tuple(notices), not_judged=not_judged or {}, clock_off_s=clock_off_s,
    )  # fmt: skip


async def alerting_now(database: Database) -> Alerting:
    """How alerting is at this moment, by the database's clock; raises StorageUnavailable."""
    (
        (holder, until, listeners, every, now, waits, unsent, given_up, tested_at, tested, clock_off_s, not_judged),
    ) = await database.fetch("alerting_state")
    try:
        async with database.transaction() as connection:
            notices, _ = await notices_now(connection)
    except (
        StorageRefused,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # one row that is not understood must not hide whether anybody leads
        log().error("what stands on every screen could not be worked out: report this with the log", error=str(error))
        notices = []
    return judge(
        leader=holder, until=until, now=now, has_listeners=listeners, waits_since=waits, unsent_since=unsent,
        given_up=given_up, self_test_every=every, notices=notices, clock_off_s=clock_off_s,
        not_judged=not_judged,
        self_test=None if tested_at is None else (tested_at, tested == "self_test_passed"),
    )  # fmt: skip


async def links_now(database: Database) -> tuple[Links, datetime]:
    """The links between the sensors and the database, and the database's time; raises StorageUnavailable."""
    ((seen, gateways, now),) = await database.fetch("links")
    links = Links(
        ingest_seen=seen,
        gateways={
            name: GatewayLink(
                datetime.fromisoformat(at), int(backlog), held and datetime.fromisoformat(held), int(aside)
            )
            for name, at, backlog, held, aside in gateways
        },
    )
    return links, now


async def database_time(database: Database) -> datetime:
    """The database's time at this moment; raises StorageUnavailable."""
    ((at,),) = await database.fetch("database_time")
    assert isinstance(at, datetime)
    return at


class Process(NamedTuple):
    """A service's process that was there in the last quarter of an hour of the service."""

    name: str
    seen_at: datetime
    alive: bool


async def processes(database: Database, service: str) -> list[Process]:
    """The processes of a service; raises StorageUnavailable."""
    found = await database.fetch("processes", {"service": service})
    return [Process(name, seen, now - seen <= INGEST_SILENT_AFTER) for name, seen, now in found]


class Restarts(NamedTuple):
    """How often processes of a service started: more often than its processes are many is a crash loop."""

    service: str
    starts_last_5_min: int
    last_started_at: datetime


async def note_start(database: Database, service: str) -> None:
    """Write down that a process of the service starts; raises StorageUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(query("note_start"), {"service": service})


async def say_started(database: Database, service: str) -> None:
    """Write down that a process of the service starts, before it does anything that may end it.

    A database that is away is waited for no longer than two seconds: then this start is not counted.
    """
    try:
        async with asyncio.timeout(_STARTED_WITHIN.total_seconds()):
            await note_start(database, service)
    except (KawamoriError, TimeoutError) as error:
        log().warning("this start could not be written down", error=str(error) or "no answer in time")


async def restarts(database: Database) -> list[Restarts]:
    """The starts of each service that started within the last day; raises StorageUnavailable."""
    return [Restarts(*row) for row in await database.fetch("restarts")]


#: Quarantine that takes more bytes than this within a day is looked at by a person.
GROWS_FAST = 256 * 1024 * 1024
#: Rows of a log that are looked at to say what came lately; more are told as so many.
MOST_COUNTED = 20_000


class Intake(NamedTuple):
    """What was stored lately."""

    last_batch_at: datetime | None
    batches_last_minute: int
    readings_last_minute: int


async def intake(database: Database) -> Intake:
    """What was stored lately; raises StorageUnavailable."""
    ((last, batches, readings),) = await database.fetch("intake", {"limit": MOST_COUNTED})
    return Intake(last, int(batches), int(readings))


class QuarantineFacts(NamedTuple):
    """What was refused lately."""

    last_hour: int
    last_day: int
    #: Id, time and reason.
    newest: tuple[int, datetime, str] | None


async def quarantine_facts(database: Database, now: datetime) -> QuarantineFacts:
    """What was refused lately; raises StorageUnavailable."""
    ((hour, day, newest),) = await database.fetch("quarantine_facts", {"now": now, "limit": MOST_COUNTED})
    found = None if newest is None else (int(newest[0]), datetime.fromisoformat(newest[1]), str(newest[2]))
    return QuarantineFacts(int(hour), int(day), found)


class Strangers(NamedTuple):
    """Gateways that are not registered and spoke within the last day."""

    names: int
    #: The one that was heard last, '' for what is no name.
    last_name: str | None
    last_at: datetime | None


async def strangers(database: Database) -> Strangers:
    """Who says that it is a gateway and is not registered; raises StorageUnavailable."""
    ((count, name, at),) = await database.fetch("strangers")
    return Strangers(int(count), name, at)


class Growth(NamedTuple):
    """What quarantine took within the last day."""

    messages: int
    bytes: int
    #: Messages past their sender's quota, which were counted and not kept.
    not_kept: int

    def warning(self) -> str | None:
        """What a person should look at, if anything."""
        if self.not_kept:
            return "quota"
        return "growth" if self.bytes > GROWS_FAST else None


async def quarantine_growth(database: Database) -> Growth:
    """What quarantine took within the last day; raises StorageUnavailable."""
    ((messages, size, excess),) = await database.fetch("quarantine_growth")
    return Growth(int(messages), int(size), int(excess))


async def database_size(database: Database) -> int:
    """Bytes on disk; raises StorageUnavailable."""
    ((size,),) = await database.fetch("database_size")
    return int(size)


#: Clocks that differ by more than this are named: ages are shown in seconds.
CLOCK_OFF_S = 5.0


async def judging_problems(database: Database) -> list[str]:
    """What the engine cannot judge and why, and whose clock is off the database's: the engine's or a gateway's."""
    ((not_judged, engine_off, gateways),) = await database.fetch("judging_problems")
    clocks = [("the alert engine's", engine_off)]
    clocks += [(f"gateway {name}'s", off) for name, off in sorted((gateways or {}).items())]
    return [f"{what}: not judged: {why}" for what, why in sorted((not_judged or {}).items())] + [
        f"{whose} clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the database's"
        for whose, off in clocks
        if off is not None and abs(off) > CLOCK_OFF_S
    ]
