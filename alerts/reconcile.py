"""What must change so that the record says what the readings say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts.paging import Before, Event, due, state_of
from kawamori.domain.lag import LATEST_FEED, Lag
from kawamori.domain.registry import Sensor
from kawamori.domain.rules import Episode
from kawamori.storage.alerts import Alert

#: A feed that has brought nothing newer for so long has brought its newest: a backlog's messages come faster.
SETTLES = timedelta(seconds=15)
#: What is older than this was replayed, at whatever pace, unless it is as old as a clock that was reset.
REPLAYED = timedelta(days=7)


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
    #: People had been told that it is over or never was: nobody has answered what they are told now.
    anew: bool = False


def reconcile(
    sensor: Sensor, recorded: Sequence[Alert], found: Sequence[Episode], *, newest: datetime | None, now: datetime,
    within: timedelta, unfit: bool = False,
) -> tuple[list[Change], list[tuple[Alert, bool]]]:  # fmt: skip
    """What is to change of a sensor's record, and which of its alerts are gone, each with whether another takes it in.

    `within`: how old evidence may be to be told. `unfit`: the sensor contradicts itself, so that nothing it says is
    verified, and its crossings are not told one by one.

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
        change = _change(sensor, episode, match, newest or episode.started_at, now, within, unfit=unfit)
        if change is not None:
            changes.append(change)
    return changes[::-1], [(gone, any(_alike(e, gone) for e in found)) for gone in left]


def late_news(
    observed_at: datetime, received_at: datetime, lag: Lag | None, *, usual: timedelta, now: datetime, within: timedelta
) -> dict[str, Any] | None:
    """What to add to an alert that lasts, and that nobody was told of because its readings were old when they came.

    `observed_at` and `received_at` are the sensor's newest reading's. None: not to be told. What came within `within`
    is live, once nothing newer has followed it for `SETTLES`; it is told with its age where its station's values are
    always late, and in doubt where the lag is one that clocks have. What is older was replayed: that tells nobody.
    """
    if not SETTLES <= now - received_at <= within:
        return None
    late = received_at - observed_at
    if late <= within + usual:
        return {}
    if lag is not None and lag.is_clock and (late <= REPLAYED or lag.kind in ("gps", "reset")):
        return {
            "reasons": ["clock"], "clock": {"behind_s": lag.behind.total_seconds(), "guess": lag.kind},
            "message": {"ja": lag.words("ja"), "en": lag.words("en")},
        }  # fmt: skip
    if late > REPLAYED or (late > LATEST_FEED and (lag is None or not lag.live)):
        return None
    minutes = round((now - observed_at) / timedelta(minutes=1))
    return {
        "age_min": minutes,
        "message": {
            "ja": f"最新の値は{minutes}分前のものです（遅れて届く観測所）。",
            "en": f"The newest value is {minutes} min old: this station's values come late.",
        },
    }


def _alike(episode: Episode, alert: Alert) -> bool:
    same = (alert.kind, alert.level) == (episode.kind, episode.level)
    return same and episode.overlaps(alert.started_at, alert.ended_at)


def _change(
    sensor: Sensor, episode: Episode, match: Alert | None, newest: datetime, now: datetime, within: timedelta, *,
    unfit: bool,
) -> Change | None:  # fmt: skip
    detail = {**(match.detail if match is not None else {}), **episode.detail}
    if "clock" in detail and now - newest <= within:  # it speaks of now again
        del detail["clock"]
        detail.pop("message", None)
    if unfit and "unfit" not in detail.get("reasons", ()):
        detail["reasons"] = [*detail.get("reasons", ()), "unfit"]
    sure = episode.verified and episode.time_sure and not unfit and "clock" not in detail
    verified = sure or (match is not None and match.confirmed_at is not None)
    state = state_of(episode, verified=verified, dismissed=match is not None and match.dismissed_at is not None)
    before, paged_at = Before(), None
    if match is not None:
        before = Before(state=match.state, paged=match.paged_at is not None, verified=match.verified)
        paged_at = match.paged_at
    tell = due(episode, state, before, verified=verified, newest=newest, now=now, within=within, quiet=unfit)
    anew = Event.RAISED in tell and paged_at is not None
    if Event.RAISED in tell:
        paged_at = now
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
        sensor=sensor, episode=episode, match=match, state=state, verified=verified, paged_at=paged_at, detail=detail,
        tell=tuple(tell), events=events, anew=anew,
    )  # fmt: skip
