"""The journal: what devices were told is safe, on disk until ingest has committed it.

One row a commit, encoded as it travels. SQLite in WAL mode with `synchronous=FULL`: `append` returns after the fsync.
Blocking; the service calls it in a thread of its own.
"""

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kawamori.errors import ConfigurationError, StorageUnavailable, UndecodableMessage
from kawamori.wire import Batch, UplinkReading, UplinkStatus, UplinkUndecoded, encode, split_batch

_SCHEMA = """
CREATE TABLE IF NOT EXISTS epoch (epoch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (seq INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS aside (
    seq INTEGER PRIMARY KEY, payload BLOB NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL
);
"""

#: SQLite's log grows to so much before it is emptied into the file, which may grow by as much then.
_LOG_BYTES = 2 * 1000 * 4096
#: For the pages of a commit that are not rows.
_SLACK = 64 * 1024
_PAGES = ("page_count", "freelist_count")
_PAYLOAD = {table: f"SELECT payload FROM {table} WHERE seq = ?" for table in ("batch", "aside")}  # noqa: S608
_FORGET = {table: f"DELETE FROM {table} WHERE seq = ?" for table in ("batch", "aside")}  # noqa: S608
#: SQLite's codes for a file that is damaged, or none of its own.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Aside(NamedTuple):
    """A row that could not be delivered."""

    seq: int
    size: int
    reason: str
    #: When it was set aside, in seconds since 1970 by the gateway's clock.
    at: float


class Journal:
    """Batches in order of arrival; `epoch` names this journal, `seq` counts within it and is never used twice."""

    #: What is sent again after it was set aside travels in pieces of about so many bytes, where it can be cut.
    PIECE = 64 * 1024

    def __init__(self, path: Path, keep_free: int = 0) -> None:
        """Open or create; raises ConfigurationError when the place cannot hold a journal.

        New rows are refused while the disk has less than `keep_free` bytes left and the journal no room of its own:
        a database needs some disk even to delete.
        """
        self._path = path
        self._folder = path.parent
        self._keep_free = keep_free
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two gateways on one journal would mix their batches
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=OFF")  # or a deletion writes every page of it once more, as zeros
            self._db.executescript(_SCHEMA)
            found = self._db.execute("SELECT epoch FROM epoch").fetchone()
            self.epoch: str = found[0] if found else uuid.uuid4().hex
            if not found:
                self._db.execute("INSERT INTO epoch VALUES (?)", (self.epoch,))
            (self._page,) = self._db.execute("PRAGMA page_size").fetchone()
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
            self._last: int = last[0] if last else 0
        except (OSError, sqlite3.Error) as error:
            if self._is_damage(error):
                raise ConfigurationError(f"KAWAMORI_GATEWAY__JOURNAL: {self._damaged(error)}") from error
            raise ConfigurationError(f"KAWAMORI_GATEWAY__JOURNAL: cannot open the journal {path}: {error}") from error

    @staticmethod
    def _is_damage(error: Exception) -> bool:
        code = getattr(error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _DAMAGE

    def _damaged(self, error: Exception) -> str:
        return (
            f"the journal {self._path} is damaged ({error}): stop the gateway, move the file and those beside it away"
            " (keep them: `sqlite3 FILE .recover` gets rows back), and start it again"
        )

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Raise StorageUnavailable for SQLite's errors, and tell damage from a lack of room."""
        try:
            yield
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StorageUnavailable(self._damaged(error) if self._is_damage(error) else f"{what}: {error}") from error

    def append(
        self,
        parts: list[tuple[list[UplinkReading], list[UplinkUndecoded], list[UplinkStatus]]],
        acknowledged: list[tuple[int, int]],
    ) -> list[tuple[int, bytes]]:
        """Store each part as a row and forget the acknowledged spans, in one commit; returns (seq, payload) each.

        Raises StorageUnavailable when the disk does not take it: then nothing was stored.
        """
        rows = [
            (seq, encode(Batch(self.epoch, seq, undecoded, status, readings=readings)))
            for seq, (readings, undecoded, status) in enumerate(parts, self._last + 1)
        ]
        self._require_room(sum(len(payload) for _, payload in rows))
        with self._translated("the journal did not take it"):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO batch (seq, payload) VALUES (?, ?)", rows)
            self._db.executemany("DELETE FROM batch WHERE seq BETWEEN ? AND ?", acknowledged)
            self._db.execute("COMMIT")
        if rows:
            self._last = rows[-1][0]
        return rows

    def _require_room(self, size: int) -> None:
        """Where the disk is nearly full, make what room there is, and refuse new rows before the disk does.

        A commit takes disk twice: in the log, and when the log is emptied into the file. A log that cannot be emptied
        any more cannot take a deletion either; so on a nearly full disk it is emptied before each commit.
        """
        if not self._keep_free or self._free() >= self._keep_free + _LOG_BYTES + 2 * size:
            return
        try:
            self._empty_log()
            if not size or self._has_room(size):
                return
            self._shrink()
        except sqlite3.Error as error:
            if not size:
                return  # a deletion may fit nevertheless
            if self._is_damage(error):
                raise StorageUnavailable(self._damaged(error)) from error
            raise StorageUnavailable(f"the journal's disk has no room: {error}") from error
        if not self._has_room(size):
            raise StorageUnavailable(f"less than {self._keep_free / 2**20:.3g} MiB are free on the journal's disk")

    def _has_room(self, size: int) -> bool:
        """Whether the disk keeps enough free after these rows; what needs no new pages may use that for a moment."""
        (unused,) = self._db.execute("PRAGMA freelist_count").fetchone()
        log = size + size // 16 + _SLACK
        if unused * self._page >= log:
            return self._free() >= log
        return self._free() >= self._keep_free + 2 * size

    def _shrink(self) -> None:
        """Give the disk back what the file no longer needs, where that is a moment's work: little is left in it."""
        (pages,), (unused,) = (self._db.execute(f"PRAGMA {what}").fetchone() for what in _PAGES)
        if unused > pages / 2 and 4 * (pages - unused) * self._page < self._free():
            self._db.execute("VACUUM")
            self._empty_log()

    def give_back(self) -> None:
        """After a backlog: give the disk back what the journal grew by; raises StorageUnavailable."""
        with self._translated("the journal could not be made smaller"):
            self._empty_log()
            self._shrink()

    def _empty_log(self) -> None:
        """Write the log into the file and give its disk back."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def disk_used(self) -> float:
        """The used share of the journal's disk, 0 to 1."""
        disk = os.statvfs(self._folder)
        return 1 - disk.f_bavail / max(1, disk.f_blocks - disk.f_bfree + disk.f_bavail)

    def after(self, seq: int, size: int) -> list[tuple[int, bytes]]:
        """The next rows in order, about `size` bytes of them and at least one."""
        return self._some("SELECT seq, payload FROM batch WHERE seq > ? ORDER BY seq", seq, size)

    def before(self, seq: int, size: int) -> list[tuple[int, bytes]]:
        """The rows before `seq`, newest first, about `size` bytes of them and at least one."""
        return self._some("SELECT seq, payload FROM batch WHERE seq < ? ORDER BY seq DESC", seq, size)

    def _some(self, sql: str, seq: int, size: int) -> list[tuple[int, bytes]]:
        found = []
        with self._translated("the journal cannot be read"):
            for row in self._db.execute(sql, (seq,)):
                found.append(row)
                size -= len(row[1])
                if size <= 0:
                    break
        return found

    def between(self, first: int, last: int) -> list[tuple[int, bytes]]:
        """The rows of a span that are still here."""
        with self._translated("the journal cannot be read"):
            return self._db.execute(
                "SELECT seq, payload FROM batch WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
            ).fetchall()

    def waiting(self) -> int:
        """How many rows are waiting; what lies between the oldest and the newest, without counting."""
        with self._translated("the journal cannot be read"):
            oldest, newest = self._db.execute("SELECT min(seq), max(seq) FROM batch").fetchone()
        return newest - oldest + 1 if newest else 0

    def split(self, seq: int, most: int) -> bool:
        """Store a row's content again, as rows of about `most` bytes; False where it is one item, or cannot be read."""
        return self._store_again("batch", seq, most)

    def set_aside(self, seq: int, reason: str) -> None:
        """Keep a row where nobody forwards it, until a person has it sent again."""
        with self._translated("the journal did not take it"):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO aside SELECT seq, payload, ?, ? FROM batch WHERE seq = ?", (reason, time.time(), seq)
            )
            self._db.execute("DELETE FROM batch WHERE seq = ?", (seq,))
            self._db.execute("COMMIT")

    def aside(self) -> list[Aside]:
        """The rows that were set aside, oldest first."""
        with self._translated("the journal cannot be read"):
            found = self._db.execute("SELECT seq, length(payload), reason, at FROM aside ORDER BY seq").fetchall()
        return [Aside(*row) for row in found]

    def take_back(self, seq: int, most: int) -> None:
        """Let a row that was set aside be forwarded again, in pieces of about `most` bytes where it can be cut."""
        if self._store_again("aside", seq, most):
            return
        with self._translated("the journal did not take it"):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO batch SELECT seq, payload FROM aside WHERE seq = ?", (seq,))
            self._db.execute("DELETE FROM aside WHERE seq = ?", (seq,))
            self._db.execute("COMMIT")

    def _store_again(self, table: str, seq: int, most: int) -> bool:
        found = self._db.execute(_PAYLOAD[table], (seq,)).fetchone()
        try:
            parts = split_batch(found[0], most) if found else []
        except UndecodableMessage:
            return False
        if len(parts) < 2:
            return False
        rows = [
            (new, encode(Batch(self.epoch, new, part.undecoded, part.status, readings=part.readings)))
            for new, part in enumerate(parts, self._last + 1)
        ]
        self._require_room(sum(len(payload) for _, payload in rows))
        with self._translated("the journal did not take it"):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO batch (seq, payload) VALUES (?, ?)", rows)
            self._db.execute(_FORGET[table], (seq,))
            self._db.execute("COMMIT")
        self._last = rows[-1][0]
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
