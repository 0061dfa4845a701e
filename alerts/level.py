"""Has the water crossed a threshold? A state machine for each level of a station, in time of measurement. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading


class Event(StrEnum):
    """What a reading brought about."""

    RAISED = "raised"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """The water's stay at or above a threshold."""

    level: int
    threshold_m: float
    #: Time and value of the reading that reached the threshold.
    started_at: datetime
    value_m: float
    peak_m: float
    #: A reading that is not suspect has said so too.
    verified: bool
    #: Time of the first reading below the lower edge; None while it lasts.
    ended_at: datetime | None = None

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        """Whether both stays share a moment."""
        return (end is None or self.started_at <= end) and (self.ended_at is None or start <= self.ended_at)


@dataclass(frozen=True, slots=True)
class State:
    """Where a level stands: calm, reached but not yet for long enough, or in an episode."""

    reached: Episode | None = None
    episode: Episode | None = None


CALM = State()


def step(threshold: Threshold, state: State, reading: Reading) -> tuple[State, Event | None]:
    """Return the state after one reading, and the event it causes. Failed readings say nothing about the water."""
    if reading.flag in (Flag.FAIL, Flag.MISSING):
        return state, None
    value, sure = reading.value, reading.flag != Flag.SUSPECT
    if (episode := state.episode) is not None:
        if value < threshold.value_m - threshold.hysteresis_m:
            return State(None, replace(episode, ended_at=reading.observed_at)), Event.RESOLVED
        if value > episode.peak_m or (sure and not episode.verified):
            episode = replace(episode, peak_m=max(value, episode.peak_m), verified=episode.verified or sure)
            return State(None, episode), None
        return state, None
    if value < threshold.value_m:
        return CALM, None
    reached = state.reached or Episode(
        level=threshold.level, threshold_m=threshold.value_m, started_at=reading.observed_at, value_m=value,
        peak_m=value, verified=sure,
    )  # fmt: skip
    reached = replace(reached, peak_m=max(value, reached.peak_m), verified=reached.verified or sure)
    if reading.observed_at - reached.started_at >= threshold.hold:
        return State(None, reached), Event.RAISED
    return State(reached, None), None


class Watch:
    """All levels of one station, fed with its readings in order of measurement."""

    def __init__(self, thresholds: Iterable[Threshold], last: datetime | None = None) -> None:
        self._thresholds = tuple(thresholds)
        self._lowest = min((t.value_m for t in self._thresholds), default=float("inf"))
        self._states: dict[int, State] = {}
        #: The newest reading that has been watched.
        self.last = last

    def is_calm_below(self, value: float) -> bool:
        """Whether readings up to this value change nothing: no level is reached or held, and none would be."""
        return not self._states and value < self._lowest

    def feed(self, readings: Iterable[Reading]) -> list[Episode]:
        """Take readings later than all before; return the episodes they began, changed or ended, and the open ones."""
        ended: list[Episode] = []
        for reading in readings:
            self.last = reading.observed_at
            if self._states or reading.value >= self._lowest:
                self._feed(reading, ended)
        return ended + [s.episode for _, s in sorted(self._states.items()) if s.episode is not None]

    def _feed(self, reading: Reading, ended: list[Episode]) -> None:
        in_force = {t.level: t for t in self._thresholds if t.in_force(reading.observed_at)}
        for level in self._states.keys() - in_force.keys():  # a threshold that was abolished ends its episode
            state = self._states.pop(level)
            if state.episode is not None:
                ended.append(replace(state.episode, ended_at=reading.observed_at))
        for level, threshold in in_force.items():
            state, event = step(threshold, self._states.get(level, CALM), reading)
            if event is Event.RESOLVED and state.episode is not None:
                ended.append(state.episode)
                state = CALM
            if state is CALM or state == CALM:
                self._states.pop(level, None)
            else:
                self._states[level] = state


def episodes(readings: Iterable[Reading], thresholds: Iterable[Threshold]) -> list[Episode]:
    """Every stay at or above a threshold in these readings, which are in order of measurement."""
    return sorted(Watch(thresholds).feed(readings), key=lambda e: (e.started_at, e.level))
