"""All rules that watch one sensor's readings, fed together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from kawamori.domain.flood import Threshold
from kawamori.domain.reading import Reading
from kawamori.domain.registry import Station
from kawamori.domain.rules import DatedRule, Episode, SeriesRule, Watch, rule_for


class DatedWatch:
    """A kind whose rule changes with the date; a change ends what lasts, and begins anew."""

    def __init__(
        self, kind: str, rules: Sequence[DatedRule], station: Station, thresholds: tuple[Threshold, ...]
    ) -> None:
        self._kind, self._rules, self._station, self._thresholds = kind, rules, station, thresholds
        self._dated: DatedRule | None = None
        self._watch: Watch | None = None

    def is_calm_below(self, _value: float) -> bool:
        """Never: how fast the water rises matters at any height."""
        return False

    def lasting(self) -> Iterable[Episode]:
        """The episodes that last or are pending."""
        return self._watch.lasting() if self._watch is not None else ()

    def feed(self, reading: Reading) -> list[Episode]:
        """Take a reading later than all before; return the episodes it ended."""
        dated = rule_for(self._rules, self._kind, self._station, reading.observed_at)
        ended: list[Episode] = []
        if dated is not self._dated:
            ended = [replace(e, ended_at=reading.observed_at) for e in self.lasting() if not e.pending]
            self._dated, self._watch = dated, None
            if dated is not None and dated.enabled and isinstance(dated.rule, SeriesRule):
                self._watch = dated.rule.watch(self._thresholds)
        return ended + list(self._watch.feed(reading)) if self._watch is not None else ended


class SensorWatch:
    """What a sensor's rules have seen so far; can be made anew from the readings at any time."""

    def __init__(self, watches: Sequence[Watch], last: datetime | None = None) -> None:
        self._watches = watches
        #: The newest reading that has been watched.
        self.last = last

    def is_calm_below(self, value: float) -> bool:
        """Whether readings up to this value change nothing."""
        for watch in self._watches:  # noqa: SIM110 - asked of every sensor of every batch: a generator costs more
            if not watch.is_calm_below(value):
                return False
        return True

    def lasting(self) -> list[Episode]:
        """The episodes that last or are pending."""
        return [episode for watch in self._watches for episode in watch.lasting()]

    def take(self, reading: Reading) -> list[Episode]:
        """Take a reading later than all before; return the episodes it ended."""
        self.last = reading.observed_at
        return [episode for watch in self._watches for episode in watch.feed(reading)]

    def feed(self, readings: Iterable[Reading]) -> list[Episode]:
        """Take readings later than all before; return the episodes they began, changed or ended, and what lasts."""
        ended: list[Episode] = []
        for reading in readings:
            ended += self.take(reading)
        return ended + self.lasting()
