"""The registry's rows before and after a registration, and the changes between: what stays is not written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Key = tuple[Any, ...]
Row = dict[str, Any]
Rows = dict[Key, Row]
#: What is registered, in the order in which it must be written, and what identifies one of each.
SUBJECTS: dict[str, tuple[str, ...]] = {
    "gateway": ("gateway_id",),
    "device_model": ("model",),
    "river": ("river_id",),
    "station": ("station_id",),
    "datum": ("station_id", "valid_from"),
    "cross_section": ("station_id", "valid_from"),
    "mark": ("station_id", "kind", "valid_from"),
    "threshold": ("station_id", "level", "valid_from"),
    "sensor": ("station_id", "quantity"),
    "device": ("device_id",),
    "deployment": ("device_id", "quantity", "valid_from"),
}
Registered = dict[str, Rows]


def nothing_registered() -> Registered:
    """An empty registry."""
    return {subject: {} for subject in SUBJECTS}


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a registration adds, changes or takes away."""

    subject: str
    key: Key
    before: Row | None
    after: Row | None

    @property
    def event(self) -> str:
        """What the audit calls it."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        differing = {name for name in self.after if self.after[name] != self.before.get(name)}
        return "ended" if differing == {"valid_to"} and self.after["valid_to"] is not None else "changed"

    @property
    def id(self) -> str:
        """What it is about, dates left out: `shiomi/2` for a threshold."""
        return "/".join(str(part) for part in self.key if not isinstance(part, datetime))

    @property
    def named(self) -> dict[str, Any]:
        """The key by its columns."""
        return dict(zip(SUBJECTS[self.subject], self.key, strict=True))


def changes(before: Registered, after: Registered) -> Iterator[Change]:
    """Every row that differs, in the order in which rows must be written; what goes comes first of its kind."""
    for subject in SUBJECTS:
        old, new = before[subject], after[subject]
        for key in sorted(old.keys() - new.keys()):
            yield Change(subject, key, old[key], None)
        for key, row in new.items():
            if old.get(key) != row:
                yield Change(subject, key, old.get(key), row)


def newest(rows: Mapping[Key, Row], of: Key, at: datetime) -> Row | None:
    """Of rows that are dated by the end of their key, the one that holds at that time."""
    found = [key for key in rows if key[:-1] == of and key[-1] <= at]
    return rows[max(found)] if found else None


def covers(since: datetime, row: Row, at: datetime) -> bool:
    """Whether a row with an end holds at that time."""
    return since <= at and (row["valid_to"] is None or at < row["valid_to"])


def in_force(rows: Rows, of: Key, at: datetime) -> tuple[Key, Row] | None:
    """Of rows that have an end, and whose keys begin with `of`, the one that holds at that time."""
    for key, row in rows.items():
        if key[: len(of)] == of and covers(key[-1], row, at):
            return key, row
    return None
