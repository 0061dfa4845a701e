"""Whom to tell: persons, groups of them, and rotas that say who is on call. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a person is reached by one channel: an e-mail address, a LINE user id, a webhook's URL …"""

    channel: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Hours of a week by the wall clock of a time zone. `end` at or before `start` reaches into the next day."""

    days: tuple[str, ...] = DAYS
    start: time
    end: time

    def __post_init__(self) -> None:
        if not self.days or any(day not in DAYS for day in self.days):
            raise ValueError(f"days: must be some of {', '.join(DAYS)}")
        for name in ("start", "end"):
            if getattr(self, name).tzinfo is not None:
                raise ValueError(f"{name}: must have no offset, it is by the wall clock")

    def hold(self, at: datetime, time_zone: str) -> bool:
        """Whether that moment lies within, start included, end excluded; by the wall clock, whatever it jumps over."""
        local = at.astimezone(ZoneInfo(time_zone))
        clock, today = local.time(), DAYS[local.weekday()]
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        yesterday = DAYS[(local.date() - timedelta(days=1)).weekday()]
        return (today in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


def check_time_zone(name: str) -> None:
    """Raise ValueError for an unknown time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time_zone: {name!r} is unknown") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person or a duty desk, reached by channels in order of preference."""

    id: str
    name: str
    language: str = "ja"
    addresses: tuple[Address, ...] = ()
    #: Is sent each synthetic self-test too.
    self_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Several contacts at once."""

    id: str
    name: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Who is on call at these hours."""

    hours: Hours
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rota:
    """Who is on call when, by the wall clock of one time zone."""

    id: str
    name: str
    time_zone: str = "Asia/Tokyo"
    shifts: tuple[Shift, ...] = ()

    def __post_init__(self) -> None:
        check_time_zone(self.time_zone)


Contact = Person | Group | Rota


def members(contact: Contact) -> tuple[str, ...]:
    """Every contact that this one names."""
    if isinstance(contact, Group):
        return contact.members
    if isinstance(contact, Rota):
        return tuple(member for shift in contact.shifts for member in shift.members)
    return ()


def persons(ids: Iterable[str], contacts: Mapping[str, Contact], at: datetime) -> list[Person]:
    """The persons behind these contacts at that moment, each once. Unknown contacts and loops are left out."""
    found: dict[str, Person] = {}
    seen: set[str] = set()

    def follow(id_: str) -> None:
        contact = contacts.get(id_)
        if contact is None or id_ in seen:
            return
        seen.add(id_)
        if isinstance(contact, Person):
            found[id_] = contact
        elif isinstance(contact, Group):
            for member in contact.members:
                follow(member)
        else:
            for shift in contact.shifts:
                if shift.hours.hold(at, contact.time_zone):
                    for member in shift.members:
                        follow(member)

    for id_ in ids:
        follow(id_)
    return list(found.values())


def loop(links: Mapping[str, Iterable[str]]) -> list[str] | None:
    """A way through the links that comes back to where it began, like ["a", "b", "a"]; None where there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        for after in links.get(name, ()):
            if (found := follow(after, [*way, name])) is not None:
                return found
        done.add(name)
        return None

    for name in links:
        if (found := follow(name, [])) is not None:
            return found
    return None
