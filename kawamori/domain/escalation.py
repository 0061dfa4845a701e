"""Who is told, and who next when nobody answers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Tell these contacts; when nobody has acknowledged after `wait`, go on."""

    to: tuple[str, ...]
    wait: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Steps from the first to be told to the last."""

    id: str
    name: str
    #: None: every river.
    river: str | None = None
    #: Alerts below this flood level have another escalation; 0 takes the equipment's troubles too.
    min_level: int = 1
    topics: tuple[str, ...] = ("flood",)
    steps: tuple[Step, ...]
    #: How often the steps are gone through again.
    repeat: int = 1
    #: The escalation that goes on after the last round.
    then: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an escalation stands."""

    escalation: str
    step: int = 0
    round: int = 0


def choose(escalations: Mapping[str, Escalation], *, topic: str, river: str | None, level: int) -> Escalation | None:
    """The escalation of an alert: the one of its river before one of every river, the highest `min_level` that it
    reaches, then the first by id.
    """
    fitting = [
        e for e in escalations.values()
        if topic in e.topics and e.river in (None, river) and (topic != "flood" or level >= e.min_level)
    ]  # fmt: skip
    return min(fitting, key=lambda e: (e.river is None, -e.min_level, e.id), default=None)


def after(escalations: Mapping[str, Escalation], place: Place) -> Place | None:
    """Where to go when nobody has answered at `place`; None when the last round is over."""
    escalation = escalations.get(place.escalation)
    if escalation is None:
        return None
    if place.step + 1 < len(escalation.steps):
        return Place(escalation=escalation.id, step=place.step + 1, round=place.round)
    if place.round < escalation.repeat:
        return Place(escalation=escalation.id, step=0, round=place.round + 1)
    if escalation.then is not None and escalation.then in escalations:
        return Place(escalation=escalation.then)
    return None
