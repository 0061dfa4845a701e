"""Retention: drop old raw readings chunk by chunk, and rows of the feed that every follower has read.

Hour and day summaries, alerts, the audit and revisions stay. Quarantine is bounded by age, and by size for each device:
nothing younger than 14 days goes, unless its device alone fills more than its share. First the boundary is written
down, so that ingest refuses what is older: a reading that came again would be counted a second time in the summaries.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from kawamori.storage.database import query, translate
from kawamori.storage.lock_retry import PATIENCE, Connection, briefly_locking, patiently

#: Behind the boundary so much raw data stays, because judging a late reading looks back 30 days, and the day
#: that it belongs to may have to be summed anew.
MARGIN = timedelta(days=32)
#: Until every ingest has surely seen the boundary: it looks at the registry every 5 s.
SETTLE = timedelta(seconds=15)
#: Quarantine keeps rows for this long whatever is set: a registration is mended within days.
_YOUNGEST = timedelta(days=14)
#: Rows of a feed deleted in one transaction.
_PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of raw readings as it lies on the disk."""

    start: datetime
    end: datetime
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What was dropped, or would be."""

    kept_from: datetime
    chunks: tuple[Chunk, ...]
    batches: int
    #: Rows of quarantine.
    quarantine: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLimits:
    """How long quarantine keeps a row, and how many bytes of one device (or of one gateway, without a device)."""

    age: timedelta = timedelta(days=90)
    bytes_each: int = 64 * 1024 * 1024


def retain(
    url: str,
    *,
    now: datetime,
    raw: timedelta,
    feed: timedelta,
    quarantine: QuarantineLimits | None = None,
    dry_run: bool = False,
    settle: timedelta = SETTLE,
    patience: timedelta = PATIENCE,
) -> Retained:
    """Let go of raw readings older than `raw` (and the margin), of feed rows older than `feed`, and of quarantine.

    Raises StorageUnavailable when others held the tables for all of `patience`; what was dropped until then is
    dropped, and the next run goes on.
    """
    limits = quarantine or QuarantineLimits()
    refused_before = now - max(limits.age, _YOUNGEST)
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="kawamori-retain", options="-c timezone=UTC"
        ) as connection:
            wanted = now.astimezone(UTC) - raw
            if dry_run:
                standing = _kept_from(connection)
                kept_from = max(wanted, standing[0]) if standing else wanted
                return Retained(
                    kept_from=kept_from,
                    chunks=_chunks_before(connection, kept_from - MARGIN),
                    batches=_count(connection, "count_old_batches", before=now - feed),
                    quarantine=_count(connection, "count_old_quarantine", before=refused_before)
                    + _count(connection, "count_overfull_quarantine", most=limits.bytes_each),
                )
            connection.execute(query("keep_from"), {"kept_from": wanted})
            standing = _kept_from(connection)
            kept_from, since = standing or (wanted, now)
            chunks = _chunks_before(connection, kept_from - MARGIN)
            if chunks:
                _wait_until(connection, since + settle)
            for chunk in chunks:
                patiently(connection, f"dropping readings before {chunk.end:%Y-%m-%d}",
                          lambda chunk=chunk: _drop(connection, chunk), patience)  # type: ignore[misc]  # fmt: skip
            for name in ("prune_statements", "prune_totals"):
                _prune(connection, name, before=kept_from - MARGIN)
            _prune(connection, "prune_quarantine_use", before=now - _YOUNGEST)
            return Retained(
                kept_from=kept_from,
                chunks=chunks,
                batches=_prune(connection, "prune_batches", before=now - feed),
                quarantine=_prune(connection, "prune_quarantine", before=refused_before)
                + _prune(connection, "prune_overfull_quarantine", most=limits.bytes_each),
            )
    except psycopg.Error as error:
        raise translate(error) from error


def _kept_from(connection: Connection) -> tuple[datetime, datetime] | None:
    return connection.execute(query("kept_from")).fetchone()


def _wait_until(connection: Connection, moment: datetime) -> None:
    """Wait by the database's clock, which wrote the moment down."""
    row = connection.execute("SELECT extract(epoch FROM %s - clock_timestamp())", (moment,)).fetchone()
    time.sleep(max(0.0, float(row[0])) if row else 0.0)


def _chunks_before(connection: Connection, before: datetime) -> tuple[Chunk, ...]:
    rows = connection.execute(query("chunks_before"), {"before": before}).fetchall()
    return tuple(Chunk(start=start, end=end, size=size) for start, end, size in rows)


def _drop(connection: Connection, chunk: Chunk) -> None:
    connection.execute(query("drop_chunk"), {"range_start": chunk.start, "range_end": chunk.end})


def _count(connection: Connection, name: str, **parameters: object) -> int:
    row = connection.execute(query(name), parameters).fetchone()
    return int(row[0]) if row else 0


def _prune(connection: Connection, name: str, **parameters: object) -> int:
    """Delete page by page, so that no transaction holds the feed back for long."""
    deleted = 0
    while True:
        with briefly_locking(connection):
            found = connection.execute(query(name), {**parameters, "limit": _PAGE}).rowcount
        deleted += found
        if found < _PAGE:
            return deleted
