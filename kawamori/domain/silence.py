"""Shelving and maintenance windows: told of nothing meanwhile, recorded and shown all the same. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kawamori.domain.people import Hours, check_time_zone
from kawamori.domain.rules import KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """Only at these hours, by the wall clock of a time zone."""

    hours: tuple[Hours, ...]
    time_zone: str = "Asia/Tokyo"

    def __post_init__(self) -> None:
        if not self.hours:
            raise ValueError("hours: must not be empty")
        check_time_zone(self.time_zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One alert that is shelved, or a window for a station, a river or the site. Always ends, always has a reason."""

    id: int
    alert: int | None = None
    station: str | None = None
    river: str | None = None
    #: None: every kind that has a flood level or is about the equipment. What else there is must be named: a rapid
    #: rise, what a person reported, the self-test.
    kinds: tuple[str, ...] | None = None
    #: Flood levels above this are told all the same: a silence must not hide a flood.
    up_to_level: int = 0
    starts_at: datetime
    ends_at: datetime
    weekly: Weekly | None = None
    reason: str
    author: str

    def __post_init__(self) -> None:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at: must be later than starts_at")
        if not 0 <= self.up_to_level <= 5:
            raise ValueError("up_to_level: must be 0 to 5")
        if not self.reason.strip():
            raise ValueError("reason: must not be empty")

    def in_force(self, at: datetime) -> bool:
        """Whether it holds at that moment, start included, end excluded."""
        if not self.starts_at <= at < self.ends_at:
            return False
        return self.weekly is None or any(h.hold(at, self.weekly.time_zone) for h in self.weekly.hours)

    def covers(self, *, alert: int, kind: str, station: str | None, river: str | None, level: int) -> bool:
        """Whether it is about that alert."""
        if self.alert is not None:
            return self.alert == alert
        return (
            self.station in (None, station)
            and self.river in (None, river)
            and (level > 0 or _is_equipment(kind) if self.kinds is None else kind in self.kinds)
            and level <= self.up_to_level
        )


def _is_equipment(kind: str) -> bool:
    return kind in KINDS and KINDS[kind].topic == "equipment"


def silenced(
    silences: Iterable[Silence], at: datetime, *, alert: int, kind: str, station: str | None, river: str | None,
    level: int,
) -> Silence | None:  # fmt: skip
    """The silence that holds for an alert at that moment, the one that ends last; None where there is none."""
    holding = [
        s for s in silences
        if s.in_force(at) and s.covers(alert=alert, kind=kind, station=station, river=river, level=level)
    ]  # fmt: skip
    return max(holding, key=lambda s: s.ends_at, default=None)
