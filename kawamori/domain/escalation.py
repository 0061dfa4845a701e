"""Escalation: who is notified, and who next without an acknowledgement. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Notify these contacts; without an acknowledgement after `wait`, go on."""

    to: tuple[str, ...]
    wait: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to: must name a contact")
        if not timedelta(0) < self.wait <= timedelta(days=1):
            raise ValueError("wait: must be more than 0 and at most 24 hours")


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

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("steps: must not be empty")
        if not 0 <= self.min_level <= 5:
            raise ValueError("min_level: must be 0 to 5")
        if not 0 <= self.repeat <= 100:
            raise ValueError("repeat: must be 0 to 100")
        if self.then == self.id:
            raise ValueError("then: must not be the escalation itself")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
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


def after(escalations: Mapping[str, Escalation], position: Position) -> Position | None:
    """The next position without an acknowledgement at `position`; None when the last round is over.

    Ends after `most_steps` at the latest: an escalation that would lead back to itself ends there.
    """
    escalation = escalations.get(position.escalation)
    if escalation is None:
        return None
    if position.step + 1 < len(escalation.steps):
        return Position(escalation=escalation.id, step=position.step + 1, round=position.round)
    if position.round < escalation.repeat:
        return Position(escalation=escalation.id, step=0, round=position.round + 1)
    if escalation.id in (further := chain(escalations, escalation.id)):
        return None
    return Position(escalation=further[0]) if further else None


def chain(escalations: Mapping[str, Escalation], id_: str) -> list[str]:
    """The escalations that go on after this one, each once; this one is among them where they lead back to it."""
    found: list[str] = []
    at = escalations[id_].then if id_ in escalations else None
    while at is not None and at in escalations and at not in found:
        found.append(at)
        at = escalations[at].then
    return found


def most_steps(escalations: Mapping[str, Escalation], id_: str) -> int:
    """The most notifications that an escalation sends, from its first step to its end."""
    involved = [id_, *(e for e in chain(escalations, id_) if e != id_)]
    return sum(len(e.steps) * (e.repeat + 1) for e in (escalations[i] for i in involved if i in escalations))
