"""Is alerting itself alive? Who leads, how far behind, what waits to be sent, how the last self-test ended."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kawamori.storage.database import Database

#: A batch may wait this long for its evaluation: a takeover by another engine takes 15 s.
BEHIND = timedelta(seconds=20)
#: A message may wait this long: the second channel is tried after a minute.
UNSENT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """Whether people would be told now, and if not why: `database`, `no_engine`, `behind`, `unsent`, `self_test`."""

    ok: bool
    why: list[str] = field(default_factory=list)
    leader: str | None = None
    lease_until: datetime | None = None
    behind_s: float = 0.0
    oldest_unsent_s: float = 0.0
    #: When, and whether it came out.
    self_test: tuple[datetime, bool] | None = None


def judge(
    *, leader: str | None, until: datetime | None, now: datetime, waits_since: datetime | None,
    unsent_since: datetime | None, self_test: tuple[datetime, bool] | None,
) -> Alerting:  # fmt: skip
    """What these facts mean. Pure."""
    behind = max(timedelta(0), now - waits_since) if waits_since else timedelta(0)
    unsent = max(timedelta(0), now - unsent_since) if unsent_since else timedelta(0)
    why = []
    if until is None or until < now:
        why.append("no_engine")
    if behind > BEHIND:
        why.append("behind")
    if unsent > UNSENT:
        why.append("unsent")
    if self_test is not None and not self_test[1]:
        why.append("self_test")
    return Alerting(
        ok=not why, why=why, leader=leader if until is not None and until >= now else None, lease_until=until,
        behind_s=round(behind.total_seconds(), 1), oldest_unsent_s=round(unsent.total_seconds(), 1),
        self_test=self_test,
    )  # fmt: skip


async def alerting_now(database: Database) -> Alerting:
    """How alerting is at this moment, by the database's clock; raises StorageUnavailable."""
    holder, until, now, waits, unsent, tested_at, tested = (await database.fetch("alerting_state"))[0]
    return judge(
        leader=holder, until=until, now=now, waits_since=waits, unsent_since=unsent,
        self_test=None if tested_at is None else (tested_at, tested == "self_test_passed"),
    )  # fmt: skip
