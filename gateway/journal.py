"""The journal: what devices were told is safe, on disk until ingest has committed it.

One row a batch, exactly as it travels, so that a batch sent again is the same batch. SQLite in WAL mode with
`synchronous=FULL`: `append` returns after the fsync. Blocking; the service calls it in a thread of its own.
"""

import sqlite3
import uuid
from pathlib import Path

from kawamori.errors import ConfigurationError, StorageUnavailable
from kawamori.wire import Batch, UplinkReading, UplinkStatus, UplinkUndecoded, encode

_SCHEMA = """
CREATE TABLE IF NOT EXISTS epoch (epoch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (seq INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
"""


class Journal:
    """Batches in order of arrival; `epoch` names this journal, `seq` counts within it and is never used twice."""

    def __init__(self, path: Path) -> None:
        """Open or create; raises ConfigurationError when the place cannot hold a journal."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # two gateways on one journal would mix their batches
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            found = self._db.execute("SELECT epoch FROM epoch").fetchone()
            self.epoch: str = found[0] if found else uuid.uuid4().hex
            if not found:
                self._db.execute("INSERT INTO epoch VALUES (?)", (self.epoch,))
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
            self._last: int = last[0] if last else 0
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"KAWAMORI_GATEWAY__JOURNAL: cannot open the journal {path}: {error}") from error

    def append(
        self,
        parts: list[tuple[list[UplinkReading], list[UplinkUndecoded], list[UplinkStatus]]],
        acknowledged: list[int],
    ) -> list[tuple[int, bytes]]:
        """Store each part as a batch and forget the acknowledged ones, in one commit; returns (seq, payload) each.

        Raises StorageUnavailable when the disk does not take it: then nothing was stored.
        """
        rows = [
            (self._last + n, encode(Batch(self.epoch, self._last + n, *part))) for n, part in enumerate(parts, start=1)
        ]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO batch (seq, payload) VALUES (?, ?)", rows)
            self._db.executemany("DELETE FROM batch WHERE seq = ?", [(seq,) for seq in acknowledged])
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StorageUnavailable(f"the journal did not take it: {error}") from error
        if rows:
            self._last = rows[-1][0]
        return rows

    def after(self, seq: int, limit: int) -> list[tuple[int, bytes]]:
        """The next batches in order, as they travel."""
        return self._db.execute(
            "SELECT seq, payload FROM batch WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        ).fetchall()

    def newest(self, limit: int) -> list[tuple[int, bytes]]:
        """The newest batches, newest first."""
        return self._db.execute("SELECT seq, payload FROM batch ORDER BY seq DESC LIMIT ?", (limit,)).fetchall()

    def get(self, seq: int) -> bytes | None:
        """One batch, if it is still here."""
        found = self._db.execute("SELECT payload FROM batch WHERE seq = ?", (seq,)).fetchone()
        return found[0] if found else None

    def count(self) -> int:
        """How many batches are waiting."""
        return int(self._db.execute("SELECT count(*) FROM batch").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
