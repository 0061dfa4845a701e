"""Who is on call: hours by the wall clock of any time zone, and the persons behind groups and rotas."""

# ruff: noqa: DTZ001 - what the clock on a wall says has no zone
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kawamori.domain.people import DAYS, Contact, Group, Hours, Person, Rota, Shift, loop, members, persons

TOKYO, NEW_YORK, LORD_HOWE = "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"
ZONES = st.sampled_from([TOKYO, NEW_YORK, LORD_HOWE])
MINUTE = timedelta(minutes=1)
#: Just before what is odd: the jumps of New York and Lord Howe (half an hour), ends of months and years, a leap day.
ODD = (
    datetime(2026, 3, 8, 4, tzinfo=UTC), datetime(2026, 11, 1, 3, tzinfo=UTC), datetime(2026, 4, 4, 12, tzinfo=UTC),
    datetime(2026, 10, 3, 12, tzinfo=UTC), datetime(2028, 2, 28, 12, tzinfo=UTC), datetime(2028, 2, 29, 12, tzinfo=UTC),
    datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2026, 4, 30, 12, tzinfo=UTC),
)  # fmt: skip
instants = st.one_of(
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),
    st.builds(lambda at, seconds: at + timedelta(seconds=seconds), st.sampled_from(ODD), st.integers(0, 2 * 86_400)),
)
clocks = st.one_of(
    st.times().map(lambda t: t.replace(fold=0)),
    st.sampled_from([time(0), time(1, 30), time(2), time(2, 15), time(2, 30), time(3), time(23, 59), time(8, 30)]),
)
some_days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple)


def local(at: datetime, zone: str) -> datetime:
    """What the clock on the wall says, without its zone."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def minutes_of(hours: Hours, zone: str, start: datetime, length: timedelta) -> list[datetime]:
    """The minutes after `start` that lie within the hours."""
    return [at for n in range(length // MINUTE) if hours.hold(at := start + n * MINUTE, zone)]


@settings(max_examples=1000)
@given(instants, ZONES, clocks, clocks)
@example(datetime(2026, 11, 1, 6, 15, tzinfo=UTC), NEW_YORK, time(1), time(1, 30))
@example(datetime(2026, 4, 4, 15, 15, tzinfo=UTC), LORD_HOWE, time(1, 45), time(2, 0))
def test_each_moment_belongs_to_exactly_one_of_two_shifts_that_share_the_day(
    at: datetime, zone: str, start: time, end: time
) -> None:
    both = Hours(start=start, end=end).hold(at, zone), Hours(start=end, end=start).hold(at, zone)
    if start == end:
        assert both == (True, True)  # around the clock
    else:
        assert sorted(both) == [False, True]


@settings(max_examples=1000)
@given(instants, ZONES, some_days, clocks, clocks)
def test_hours_are_what_the_wall_clock_says(
    at: datetime, zone: str, days: tuple[str, ...], start: time, end: time
) -> None:
    wall = local(at, zone)
    spans = []
    for back in (0, 1):
        day: date = wall.date() - timedelta(days=back)
        if DAYS[day.weekday()] in days:
            until = day if end > start else day + timedelta(days=1)
            spans.append((datetime.combine(day, start), datetime.combine(until, end)))
    expected = any(begin <= wall < over for begin, over in spans)
    assert Hours(days=days, start=start, end=end).hold(at, zone) is expected


@settings(max_examples=1000)
@given(instants, ZONES, st.sampled_from([TOKYO, NEW_YORK, LORD_HOWE, "UTC"]))
def test_a_week_of_duty_has_somebody_at_every_moment_and_never_two(at: datetime, zone: str, said_in: str) -> None:
    work = ("mon", "tue", "wed", "thu", "fri")
    shifts = (
        Shift(hours=Hours(days=work, start=time(8, 30), end=time(17, 15)), members=("day",)),
        Shift(hours=Hours(days=work, start=time(17, 15), end=time(8, 30)), members=("night",)),
        Shift(hours=Hours(days=("sat",), start=time(8, 30), end=time(8, 30)), members=("weekend",)),
        Shift(hours=Hours(days=("sun",), start=time(8, 30), end=time(8, 30)), members=("weekend",)),
    )
    rota = Rota(id="r", name="当直", time_zone=zone, shifts=shifts)
    contacts: dict[str, Contact] = {n: Person(id=n, name=n) for n in ("day", "night", "weekend")} | {"r": rota}
    found = persons(["r"], contacts, at)
    assert len(found) == 1
    assert persons(["r"], contacts, at.astimezone(ZoneInfo(said_in))) == found


@pytest.mark.parametrize(
    ("zone", "evening", "hours"),
    [
        (TOKYO, datetime(2026, 3, 7, 22), 8.0),
        (NEW_YORK, datetime(2026, 3, 7, 22), 7.0),  # the clock jumps over 02:00–03:00
        (NEW_YORK, datetime(2026, 10, 31, 22), 9.0),  # 01:00–02:00 comes twice
        (LORD_HOWE, datetime(2026, 10, 3, 22), 7.5),  # over 02:00–02:30
        (LORD_HOWE, datetime(2026, 4, 4, 22), 8.5),  # 01:30–02:00 twice
        (TOKYO, datetime(2028, 2, 28, 22), 8.0),  # into the leap day
        (TOKYO, datetime(2028, 2, 29, 22), 8.0),  # out of it
        (TOKYO, datetime(2026, 12, 31, 22), 8.0),
        (TOKYO, datetime(2026, 4, 30, 22), 8.0),
    ],
)
def test_a_night_shift_is_one_piece_from_22_to_6_on_the_wall(zone: str, evening: datetime, hours: float) -> None:
    begin = evening.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    night = minutes_of(Hours(start=time(22), end=time(6)), zone, begin - timedelta(hours=6), timedelta(hours=20))
    assert night[0] == begin
    assert all(b - a == MINUTE for a, b in pairwise(night))
    assert len(night) == hours * 60
    assert local(night[-1] + MINUTE, zone).time() == time(6)


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "minutes"),
    [
        (NEW_YORK, datetime(2026, 3, 8), time(2), time(3), 0),  # there is no such hour
        (NEW_YORK, datetime(2026, 3, 8), time(1, 30), time(3, 30), 60),
        (NEW_YORK, datetime(2026, 11, 1), time(1, 15), time(1, 45), 60),  # both times
        (LORD_HOWE, datetime(2026, 10, 4), time(2), time(2, 30), 0),
        (LORD_HOWE, datetime(2026, 10, 4), time(2, 15), time(2, 45), 15),
        (LORD_HOWE, datetime(2026, 4, 5), time(1, 30), time(2), 60),
        (LORD_HOWE, datetime(2026, 4, 5), time(1, 45), time(2, 15), 45),  # 01:45–02:00 twice, 02:00–02:15 once
    ],
)
def test_a_shift_by_the_jump_is_what_the_wall_clock_shows_of_it(
    zone: str, day: datetime, start: time, end: time, minutes: int
) -> None:
    midnight = day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    today = (DAYS[day.weekday()],)
    assert len(minutes_of(Hours(days=today, start=start, end=end), zone, midnight, timedelta(hours=23))) == minutes


def test_fridays_night_reaches_into_saturday_and_thursdays_not() -> None:
    friday = Hours(days=("fri",), start=time(22), end=time(6))
    at = {"fri 05:59": (17, 5, 59), "fri 22:00": (17, 22, 0), "sat 05:59": (18, 5, 59), "sat 06:00": (18, 6, 0)}
    held = {n: friday.hold(datetime(2026, 7, d, h, m, tzinfo=ZoneInfo(TOKYO)), TOKYO) for n, (d, h, m) in at.items()}
    assert held == {"fri 05:59": False, "fri 22:00": True, "sat 05:59": True, "sat 06:00": False}


def test_wrong_hours_and_zones_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="days:"):
        Hours(days=("monday",), start=time(1), end=time(2))
    with pytest.raises(ValueError, match="days:"):
        Hours(days=(), start=time(1), end=time(2))
    with pytest.raises(ValueError, match="start:"):
        Hours(start=time(1, tzinfo=UTC), end=time(2))
    for unknown in ("Asia/Edo", "", "../etc/passwd", "\0"):
        with pytest.raises(ValueError, match="time_zone:"):
            Rota(id="r", name="r", time_zone=unknown)


NOON = datetime(2026, 7, 14, 3, tzinfo=UTC)
ALWAYS = Hours(start=time(0), end=time(0))
NEVER = Hours(days=("sat",), start=time(0), end=time(1))  # NOON is a Tuesday

names = st.sampled_from([f"c{i}" for i in range(12)])


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Contact]:
    """Contacts that name each other in any way, loops and strangers among them."""
    found: dict[str, Contact] = {}
    for id_ in draw(st.lists(names, unique=True)):
        kind = draw(st.sampled_from(["person", "group", "rota"]))
        if kind == "person":
            found[id_] = Person(id=id_, name=id_)
        elif kind == "group":
            found[id_] = Group(id=id_, name=id_, members=tuple(draw(st.lists(names, max_size=4))))
        else:
            shifts = draw(st.lists(st.tuples(st.booleans(), st.lists(names, max_size=3)), max_size=3))
            found[id_] = Rota(
                id=id_, name=id_,
                shifts=tuple(Shift(hours=ALWAYS if on else NEVER, members=tuple(who)) for on, who in shifts),
            )  # fmt: skip
    return found


def reached(ids: list[str], contacts: Mapping[str, Contact]) -> set[str]:
    """The oracle: what grows until it grows no more."""
    known = set(ids)
    while True:
        more = set(known)
        for id_ in known:
            contact = contacts.get(id_)
            if isinstance(contact, Group):
                more |= set(contact.members)
            elif isinstance(contact, Rota):
                more |= {m for s in contact.shifts if s.hours == ALWAYS for m in s.members}
        if more == known:
            return {id_ for id_ in known if isinstance(contacts.get(id_), Person)}
        known = more


@settings(max_examples=500)
@given(networks(), st.lists(names, max_size=4))
def test_the_persons_behind_contacts_are_found_once_each_through_groups_rotas_and_loops(
    contacts: dict[str, Contact], ids: list[str]
) -> None:
    found = [person.id for person in persons(ids, contacts, NOON)]
    assert len(found) == len(set(found))
    assert set(found) == reached(ids, contacts)


@settings(max_examples=500)
@given(networks())
def test_a_loop_is_found_exactly_where_there_is_one_and_shown_as_a_way(contacts: dict[str, Contact]) -> None:
    links = {id_: members(contact) for id_, contact in contacts.items()}
    found = loop(links)
    left = dict(links)  # the oracle: take away what leads nowhere, until nothing can be taken away
    while ends := [id_ for id_, after in left.items() if not any(other in left for other in after)]:
        for id_ in ends:
            del left[id_]
    assert (found is not None) is bool(left)
    if found is not None:
        assert found[0] == found[-1]
        assert len(set(found)) == len(found) - 1
        assert all(b in links[a] for a, b in pairwise(found))


def test_who_is_named_first_is_told_first() -> None:
    contacts: dict[str, Contact] = {n: Person(id=n, name=n) for n in "abc"}
    contacts["g"] = Group(id="g", name="g", members=("b", "a"))
    assert [p.id for p in persons(["g", "c", "a"], contacts, NOON)] == ["b", "a", "c"]
