"""What must change so that the record says what the readings say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts.paging import Before, Event, due, state_of
from kawamori.domain.registry import Sensor
from kawamori.domain.rules import Episode
from kawamori.storage.alerts import Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An episode that is new, or no longer as it is recorded."""

    sensor: Sensor
    episode: Episode
    #: The alert that records it.
    match: Alert | None
    state: str
    verified: bool
    paged_at: datetime | None
    detail: dict[str, Any]
    #: What people are told, and what the audit notes.
    tell: tuple[Event, ...]
    events: tuple[str, ...]


def reconcile(
    sensor: Sensor, recorded: Sequence[Alert], found: Sequence[Episode], *, newest: datetime | None, now: datetime,
    within: timedelta,
) -> tuple[list[Change], list[tuple[Alert, bool]]]:  # fmt: skip
    """What is to change of a sensor's record, and which of its alerts are gone, each with whether another takes it in.

    The newest episodes find their alerts first, so that what people were told of and still lasts stays the alert
    that lasts, however late data cut or joined what came before.
    """
    left = list(recorded)
    changes = []
    for episode in sorted(found, key=lambda e: (e.started_at, e.level), reverse=True):
        alike = [r for r in left if _alike(episode, r)]
        match = max(alike, key=lambda r: (r.ended_at is None, r.paged_at is not None, r.started_at), default=None)
        if match is not None:
            left.remove(match)
        change = _change(sensor, episode, match, newest or episode.started_at, now, within)
        if change is not None:
            changes.append(change)
    return changes[::-1], [(gone, any(_alike(e, gone) for e in found)) for gone in left]


def _alike(episode: Episode, alert: Alert) -> bool:
    same = (alert.kind, alert.level) == (episode.kind, episode.level)
    return same and episode.overlaps(alert.started_at, alert.ended_at)


def _change(
    sensor: Sensor, episode: Episode, match: Alert | None, newest: datetime, now: datetime, within: timedelta
) -> Change | None:
    verified = episode.verified or (match is not None and match.confirmed_at is not None)
    state = state_of(episode, verified=verified, dismissed=match is not None and match.dismissed_at is not None)
    before, paged_at = Before(), None
    if match is not None:
        before = Before(state=match.state, paged=match.paged_at is not None, verified=match.verified)
        paged_at = match.paged_at
    tell = due(episode, state, before, verified=verified, newest=newest, now=now, within=within)
    if Event.RAISED in tell:
        paged_at = paged_at or now
    events: tuple[str, ...] = tuple(tell)
    if match is None:
        events = events or ("pending" if state == "pending" else "recorded",)
    else:
        told = (match.threshold_m, match.state, match.started_at, match.ended_at, match.verified, match.paged_at)
        same = told == (episode.threshold_m, state, episode.started_at, episode.ended_at, verified, paged_at)
        if same and (match.value_m, match.peak_m) == (episode.value_m, episode.peak_m):
            return None
        events = events or (() if same else ("changed",))
    return Change(
        sensor=sensor, episode=episode, match=match, state=state, verified=verified, paged_at=paged_at,
        detail={**(match.detail if match is not None else {}), **episode.detail}, tell=tuple(tell), events=events,
    )  # fmt: skip
