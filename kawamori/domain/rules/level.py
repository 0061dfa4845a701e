"""Has the water crossed a threshold? A state machine for each level of a station, in time of measurement. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Flag, Reading, Reason, doubtful, reason_names
from kawamori.domain.registration.heights import check_height
from kawamori.domain.rules import Episode, SeriesRule
from kawamori.domain.rules.stay import AGREE_WITHIN, GAP, falls_abruptly, higher, is_same, settles

#: Reached by a jump.
_JUMPED = int(Reason.RATE | Reason.STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelThreshold:
    """A level at which the rule fires, and below which it clears, in metres above gauge zero."""

    level: int
    fire_m: float
    #: None: as far below `fire_m` as the rule's hysteresis says.
    clear_m: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.level <= 5:
            raise ValueError("level: must be 1 to 5")
        try:
            check_height(self.fire_m)
        except ValueError as error:
            raise ValueError(f"fire_m: {error}") from None
        if self.clear_m is not None and self.clear_m > self.fire_m:
            raise ValueError("clear_m: must not lie above fire_m")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRule(SeriesRule):
    """Thresholds 1–5. Those of a station are kept as its thresholds; the rest are defaults for all the rule covers."""

    kind = "level"
    name_ja, name_en = "基準水位超過", "threshold reached"
    by_default = True

    #: Of one station only.
    thresholds: tuple[LevelThreshold, ...] = ()
    #: None: the larger of 5 cm and three times the sensor's noise.
    hysteresis_m: float | None = None
    #: How long, and in how many readings, the water must be at or above a threshold before it counts.
    hold: timedelta = timedelta(0)
    consecutive: int = 1
    #: How long the water must stay below the lower edge before the crossing counts as over.
    keep_firing: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.hysteresis_m is not None and self.hysteresis_m < 0:
            raise ValueError("hysteresis_m: must not be negative")
        for name in ("hold", "keep_firing"):
            if not timedelta(0) <= getattr(self, name) <= timedelta(days=1):
                raise ValueError(f"{name}: must be 0 to 24 hours")
        if not 1 <= self.consecutive <= 100:
            raise ValueError("consecutive: must be 1 to 100")
        ordered = sorted(self.thresholds, key=lambda t: t.level)
        for lower, upper in pairwise(ordered):
            if lower.level == upper.level:
                raise ValueError(f"thresholds: level {lower.level} is given twice")
            if lower.fire_m >= upper.fire_m:
                raise ValueError(
                    f"thresholds: level {upper.level} ({upper.fire_m:g} m) must lie above level {lower.level}"
                    f" ({lower.fire_m:g} m)"
                )

    def watch(self, thresholds: tuple[Threshold, ...]) -> "LevelWatch":
        """A watch over the station's thresholds of all dates."""
        return LevelWatch(thresholds)


@dataclass(frozen=True, slots=True)
class State:
    """Where a level stands: calm, reached but not yet for long enough, in an episode, or perhaps leaving it."""

    #: Pending until it has lasted.
    episode: Episode | None = None
    #: Readings at or above the threshold so far.
    count: int = 0
    #: The first of the readings since which the water has been below the lower edge.
    below: Reading | None = None
    #: Whether that is believed.
    left: bool = False
    #: The newest reading, and the newest that is not in doubt.
    last: Reading | None = None
    trusted: Reading | None = None


CALM = State()


def step(
    threshold: Threshold, state: State, reading: Reading, kind: str = LevelRule.kind, *, wary: bool = True
) -> tuple[State, Episode | None]:
    """Return the state after one reading, and the episode that it ended. Failed readings say nothing about the water.

    A suspect reading raises too, unverified. Another value at or above the threshold verifies it, if it is not suspect
    or has risen further. The very same number once more does not: a wrong echo comes twice. An episode that ends
    unverified never was: who was told of it is told that it is withdrawn.

    An end needs what a beginning needs: a reading below the lower edge that is suspect, or has fallen as no river falls
    (unless not `wary`), ends nothing until a second one agrees. The same holds while it is pending.
    """
    if reading.flag in (Flag.FAIL, Flag.MISSING):
        return state, None
    last = state.last
    if last is not None and reading.observed_at - last.observed_at > GAP:
        now, _ = step(threshold, CALM, reading, kind, wary=wary)
        return now, _ended(state, last.observed_at)
    if reading.value >= threshold.value_m:
        return _above(threshold, state, reading, kind), None
    if state.episode is None:
        return CALM, None
    return _below(threshold, state, state.episode, reading, wary=wary)


def _above(threshold: Threshold, state: State, reading: Reading, kind: str) -> State:
    value, episode = reading.value, state.episode
    sure = not doubtful(reading.flag, reading.reasons)
    timely = not reading.reasons & Reason.CLOCK
    if episode is None:
        episode = Episode(
            kind=kind, level=threshold.level, threshold_m=threshold.value_m, started_at=reading.observed_at,
            value_m=value, peak_m=value, verified=sure, time_sure=timely, pending=True,
            detail={"reasons": reason_names(reading.reasons)} if reading.flag == Flag.SUSPECT else {},
        )  # fmt: skip
    else:
        verified = episode.verified or _agrees(episode, reading, sure=sure)
        time_sure = episode.time_sure or timely
        same = verified == episode.verified and time_sure == episode.time_sure
        if not same or episode.peak_m is None or value > episode.peak_m:
            episode = replace(
                episode, peak_m=higher(episode.peak_m, value), verified=verified, time_sure=time_sure
            )  # fmt: skip
    count = state.count + 1
    if episode.pending and (
        count >= threshold.consecutive and reading.observed_at - episode.started_at >= threshold.hold
    ):
        episode = replace(episode, pending=False)
    return State(episode, count, last=reading, trusted=reading if sure else state.trusted)


def _agrees(episode: Episode, reading: Reading, *, sure: bool) -> bool:
    """Whether a reading at or above the threshold verifies an episode that a suspect one began."""
    if is_same(episode.value_m, reading.value):
        return False
    if sure or not reading.reasons & _JUMPED:
        return True
    return episode.peak_m is None or reading.value > episode.peak_m


def _below(
    threshold: Threshold, state: State, episode: Episode, reading: Reading, *, wary: bool
) -> tuple[State, Episode | None]:
    at, sure = reading.observed_at, not doubtful(reading.flag, reading.reasons)
    trusted = reading if sure else state.trusted
    edge = threshold.value_m - (0.0 if episode.pending else threshold.hysteresis_m)
    if reading.value >= edge:
        return State(episode, state.count, last=reading, trusted=trusted), None
    first, left = state.below, state.left
    if first is not None and not left and at - first.observed_at > AGREE_WITHIN:
        first = None
    alone = sure and not (wary and episode.verified and falls_abruptly(state.trusted, reading))
    left = left or settles(first, state.last, reading, alone=alone)
    first = first or reading
    if left and episode.pending:
        return CALM, None
    if left and at - first.observed_at >= threshold.keep_firing:
        return CALM, replace(episode, ended_at=first.observed_at)
    return State(episode, state.count, first, left, reading, trusted), None


def _ended(state: State, at: datetime) -> Episode | None:
    """What lasted when readings ceased, over with the last of them."""
    if state.episode is None or state.episode.pending:
        return None
    if state.below is not None and state.left:
        return replace(state.episode, ended_at=state.below.observed_at)
    return replace(state.episode, ended_at=at, detail={**state.episode.detail, "ended_by": "gap"})


class LevelWatch:
    """All levels of one station, fed with its readings in order of measurement."""

    def __init__(self, thresholds: Iterable[Threshold], kind: str = LevelRule.kind, *, wary: bool = True) -> None:
        self._thresholds, self._kind, self._wary = tuple(thresholds), kind, wary
        self._lowest = min((t.value_m for t in self._thresholds), default=float("inf"))
        self._states: dict[int, State] = {}

    def is_calm_below(self, value: float) -> bool:
        """Whether readings up to this value change nothing: no level is reached or held, and none would be."""
        return not self._states and value < self._lowest

    def lasting(self) -> list[Episode]:
        """The episodes that last or are pending."""
        return [s.episode for _, s in sorted(self._states.items()) if s.episode is not None]

    def feed(self, reading: Reading) -> list[Episode]:
        """Take a reading later than all before; return the episodes it ended."""
        if not self._states and reading.value < self._lowest:
            return []
        ended: list[Episode] = []
        in_force = {t.level: t for t in self._thresholds if t.in_force(reading.observed_at)}
        for level in self._states.keys() - in_force.keys():  # a threshold that was abolished ends its episode
            state = self._states.pop(level)
            if state.episode is not None and not state.episode.pending:
                ended.append(replace(state.episode, ended_at=reading.observed_at))
        for level, threshold in in_force.items():
            state, over = step(threshold, self._states.get(level, CALM), reading, self._kind, wary=self._wary)
            if over is not None:
                ended.append(over)
            if state.episode is None:
                self._states.pop(level, None)
            else:
                self._states[level] = state
        return ended


def episodes(readings: Iterable[Reading], thresholds: Iterable[Threshold]) -> list[Episode]:
    """Every stay at or above a threshold in these readings, which are in order of measurement; pending ones too."""
    watch = LevelWatch(thresholds)
    ended = [episode for reading in readings for episode in watch.feed(reading)]
    return sorted([*ended, *watch.lasting()], key=lambda e: (e.started_at, e.level))
