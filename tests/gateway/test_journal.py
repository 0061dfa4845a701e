"""The journal: what it holds, what it sets aside, and what it says of a damaged file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Raw

from gateway.journal import Journal
from kawamori import wire
from kawamori.errors import ConfigurationError, StorageUnavailable

AT = datetime(2026, 7, 14, tzinfo=UTC)


def reading(value: int) -> wire.UplinkReading:
    raw = b'{"time":"2026-07-14T02:10:00+09:00","quantity":"water_level","value":%d,"unit":"m"}' % value
    return wire.UplinkReading("d", AT, Raw(raw))


def values(rows: list[tuple[int, bytes]]) -> list[float]:
    return [
        wire.decode_reading(item.reading).value
        for _, payload in rows
        for item in wire.readings_of(wire.decode_raw_batch(payload))
    ]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def test_a_row_is_split_into_rows_of_the_wanted_size_and_numbers_are_never_used_twice(journal: Journal) -> None:
    ((seq, _),) = journal.append([([reading(n) for n in range(100)], [], [])], [])
    assert journal.split(seq, 2000)
    rows = journal.after(0, 2**30)
    assert values(rows) == list(range(100))
    assert all(len(payload) <= 2000 and wire.decode_raw_batch(payload).seq == number for number, payload in rows)
    assert journal.append([([reading(1)], [], [])], [])[0][0] == rows[-1][0] + 1
    assert not journal.split(rows[0][0], 2**20)


def test_a_row_that_was_set_aside_is_seen_and_can_be_sent_again(tmp_path: Path, journal: Journal) -> None:
    ((first, payload), (second, _)) = journal.append([([reading(1)], [], []), ([reading(2)], [], [])], [])
    journal.set_aside(first, "the broker does not take it")
    assert [seq for seq, _ in journal.after(0, 2**30)] == [second]
    (aside,) = journal.aside()
    assert (aside.seq, aside.size, aside.reason) == (first, len(payload), "the broker does not take it")
    journal.close()
    again = Journal(tmp_path / "journal.db")
    again.take_back(first, Journal.PIECE)
    assert values(again.after(0, 2**30)) == [1, 2]
    assert not again.aside()


def test_a_damaged_journal_is_called_damaged_and_not_full(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(ConfigurationError, match=r"is damaged .*move the file"):
        Journal(path)


def test_damage_that_is_found_later_is_told_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.append([([reading(n) for n in range(1000)], [], []) for _ in range(20)], [])
    journal.close()
    with path.open("r+b") as file:
        file.seek(40_960)
        file.write(b"\xff" * (path.stat().st_size - 40_960))
    journal = Journal(path)
    with pytest.raises(StorageUnavailable, match=r"is damaged .*move the file"):
        journal.after(0, 2**30)


def test_after_a_backlog_the_disk_has_back_what_the_journal_grew_by(journal: Journal, tmp_path: Path) -> None:
    rows = [row for _ in range(50) for row in journal.append([([reading(n) for n in range(1000)], [], [])], [])]
    assert journal.waiting() == 50
    kept = rows[-1][0]
    journal.append([], [(rows[0][0], kept - 1)])
    grown = sum(file.stat().st_size for file in tmp_path.rglob("*"))
    journal.give_back()
    assert sum(file.stat().st_size for file in tmp_path.rglob("*")) < grown / 10
    assert len(values(journal.after(0, 10**9))) == 1000, "what waits is still there"


def test_a_journal_that_is_full_of_rows_is_left_as_it_is(journal: Journal) -> None:
    for n in range(5):
        journal.append([([reading(n)] * 1000, [], [])], [])
    journal.give_back()
    assert len(values(journal.after(0, 10**9))) == 5000
