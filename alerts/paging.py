"""Is anybody to be told, of what, and in how many messages? Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kawamori.domain.rules import Episode
from kawamori.storage.announcements import Announcement


class Event(StrEnum):
    """What people may be told of an alert."""

    RAISED = "raised"
    CONFIRMED = "confirmed"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


def state_of(episode: Episode, *, verified: bool, dismissed: bool) -> str:
    """pending, firing, resolved, or withdrawn: ended before a second reading verified it, or dismissed by a person.

    `verified`: nothing about it is in doubt, its time and its sensor included. A person's dismissal does not outlive
    the readings that prove it wrong: a flood is never hidden.
    """
    if episode.pending:
        return "pending"
    if (dismissed and not verified) or (episode.ended_at is not None and not (verified or episode.verified)):
        return "withdrawn"
    return "firing" if episode.ended_at is None else "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How the alert stood before."""

    state: str | None = None
    paged: bool = False
    verified: bool = False


def due(
    episode: Episode, state: str, before: Before, *, verified: bool, newest: datetime, now: datetime, within: timedelta,
    quiet: bool = False,
) -> list[Event]:  # fmt: skip
    """The events to tell people of now, so that their last word of the alert is its state.

    Old evidence makes an alert retroactive: in the record, never a page. An alert is told of while fresh readings show
    it, however long ago it began; its end only if its beginning was. Whoever has been told anything of it is told of
    every change, whatever its age: an alert that is back after its end or withdrawal is raised again. `quiet`: nothing
    new is told (its sensor contradicts itself, and that is told instead).
    """
    told = before.state if before.paged else None
    if state in ("pending", "withdrawn"):
        return [Event.WITHDRAWN] if told in ("firing", "resolved") else []
    if told is None and (quiet or now - (episode.ended_at or newest) > within):
        return []
    events = []
    if told in (None, "pending", "withdrawn") or (told == "resolved" and state == "firing"):
        events.append(Event.RAISED)
    elif told == "firing" and verified and not before.verified:
        events.append(Event.CONFIRMED)
    if state == "resolved" and told != "resolved":
        events.append(Event.RESOLVED)
    return events


# The load people can bear: EEMUA 191 (3rd edition, 2013) gives at most ten alarms in the first ten minutes of an upset.

#: Messages a person is sent within `WINDOW` at most, urgent ones not counted against them.
MOST = 10
WINDOW = timedelta(minutes=10)
#: Incidents are told one by one up to this; then what waits is told together.
ONE_BY_ONE = 7
#: Between the messages of one incident, times the number already sent in the window.
GAP = timedelta(minutes=1)
#: Between messages about several incidents at once.
TOGETHER_GAP = timedelta(minutes=4)
#: The equipment's troubles gather for so long: a power cut is one message.
GATHER = timedelta(minutes=2)
#: Raised levels from here on never wait: people leave their houses (3: 避難判断).
URGENT_LEVEL = 3


def is_urgent(waiting: Announcement) -> bool:
    """Whether it may not wait for anything."""
    alert = waiting.alert
    return waiting.event == Event.RAISED and (alert.level >= URGENT_LEVEL or alert.kind in ("manual", "self_test"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who would be told in an incident, and what it is about: each topic has a budget of its own."""

    topic: str = "flood"
    persons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What was sent within the window."""

    #: Of each incident: how many messages the person who got most of it was sent, and the last one's time.
    incidents: Mapping[int, tuple[int, datetime]]
    #: Of each person and topic how many messages.
    sent: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Of each person and topic when the last message about several incidents went out.
    together_at: Mapping[tuple[str, str], datetime] = field(default_factory=dict)


Pair = tuple[int, Announcement]


def bundles(
    waiting: Sequence[Pair], lately: Lately, gathering: Iterable[int], now: datetime,
    audiences: Mapping[int, Audience] | None = None,
) -> list[list[Pair]]:  # fmt: skip
    """What goes out now, each list in one message; what is left goes on waiting.

    `waiting` are pairs of an incident and what is to be told in it. Incidents in `gathering` (the equipment's)
    wait for more to come. The worst comes first. A message waits for what the persons of its own audience were sent of
    its own topic, never for anybody else's.
    """
    audiences = audiences or {}
    by_incident: dict[int, list[Pair]] = {}
    for pair in waiting:
        by_incident.setdefault(pair[0], []).append(pair)
    urgent = [b for b in by_incident.values() if any(is_urgent(w) for _, w in b)]
    patient = []
    gathering = set(gathering)
    for incident, bundle in by_incident.items():
        if bundle in urgent:
            continue
        count, last = lately.incidents.get(incident, (0, None))
        rested = last is None or now - last >= GAP * count
        gathered = incident not in gathering or now - min(w.at for _, w in bundle) >= GATHER
        if rested and gathered:
            patient.append(bundle)
    patient.sort(key=lambda b: -max(w.alert.level for _, w in b))
    return urgent + _within_budget(urgent, patient, lately, audiences, now)


def _within_budget(
    urgent: Sequence[list[Pair]], patient: Sequence[list[Pair]], lately: Lately, audiences: Mapping[int, Audience],
    now: datetime,
) -> list[list[Pair]]:  # fmt: skip
    """The patient bundles one by one as far as their persons' budgets go; the rest of one audience together."""

    def keys(bundle: list[Pair]) -> list[tuple[str, str]]:
        audience = audiences.get(bundle[0][0], Audience())
        return [(person, audience.topic) for person in sorted(audience.persons)]

    sent = Counter(dict(lately.sent))
    for bundle in urgent:
        sent.update(keys(bundle))
    wanted = Counter(key for bundle in patient for key in keys(bundle))
    alone: list[list[Pair]] = []
    rest: dict[Audience, list[Pair]] = {}
    for bundle in patient:
        mine = keys(bundle)
        # where not all fit, the last place is kept for what is told together
        if all(sent[key] < (ONE_BY_ONE if sent[key] + wanted[key] <= ONE_BY_ONE else ONE_BY_ONE - 1) for key in mine):
            alone.append(bundle)
            sent.update(mine)
        else:
            rest.setdefault(audiences.get(bundle[0][0], Audience()), []).extend(bundle)
        wanted.subtract(mine)
    together: list[list[Pair]] = []
    extra: Counter[tuple[str, str]] = Counter()
    for audience, pairs in rest.items():
        mine = [(person, audience.topic) for person in audience.persons]
        rested = all((last := lately.together_at.get(key)) is None or now - last >= TOGETHER_GAP for key in mine)
        if rested and all(lately.sent.get(key, 0) + extra[key] < MOST for key in mine):
            together.append(pairs)
            extra.update(mine)
    return alone + together
