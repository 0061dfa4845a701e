"""Is anybody to be told, of what, and in how many messages? Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kawamori.domain.rules import Episode
from kawamori.storage.alerts import Waiting


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
#: Conversations are told one by one up to this; then what waits is told together.
ONE_BY_ONE = 7
#: Between the messages of one conversation, times the number already sent in the window.
GAP = timedelta(minutes=1)
#: Between messages about several conversations at once.
TOGETHER_GAP = timedelta(minutes=4)
#: The equipment's troubles gather for so long: a power cut is one message.
GATHER = timedelta(minutes=2)
#: Levels from here on never wait.
URGENT_LEVEL = 4


def is_urgent(waiting: Waiting) -> bool:
    """Whether it may not wait for anything."""
    alert = waiting.alert
    return waiting.event == Event.RAISED and (alert.level >= URGENT_LEVEL or alert.kind in ("manual", "self_test"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What was sent within the window."""

    #: Of each conversation: how many messages the person who got most of it was sent, and the last one's time.
    incidents: Mapping[int, tuple[int, datetime]]
    #: How many the busiest person was sent in all, and when the last message about several conversations went out.
    busiest: int = 0
    together_at: datetime | None = None


def bundles(
    waiting: Sequence[tuple[int, Waiting]], lately: Lately, gathering: Iterable[int], now: datetime
) -> list[list[tuple[int, Waiting]]]:
    """What goes out now, each list in one message; what is left goes on waiting.

    `waiting` are pairs of a conversation and what is to be told in it. Conversations in `gathering` (the equipment's)
    wait for more to come. The worst comes first.
    """
    by_incident: dict[int, list[tuple[int, Waiting]]] = {}
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
    room = max(0, ONE_BY_ONE - lately.busiest - len(urgent))
    if len(patient) <= room:
        return urgent + patient
    alone, rest = patient[: max(0, room - 1)], patient[max(0, room - 1) :]
    together = [pair for bundle in rest for pair in bundle]
    rested = lately.together_at is None or now - lately.together_at >= TOGETHER_GAP
    return urgent + alone + ([together] if rested and lately.busiest < MOST else [])
