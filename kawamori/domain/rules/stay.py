"""How an episode lasts, for kinds that judge a stretch of readings: raised at once, over when it stays over."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kawamori.domain.reading import Reading
from kawamori.domain.rules import Episode


@dataclass(frozen=True, slots=True)
class Stay:
    """An episode that lasts, and since when it looks over."""

    episode: Episode
    over_since: datetime | None = None


def higher(peak: float | None, value: float) -> float:
    """The higher of the peak so far and a value; 0 m is a height like any other."""
    return value if peak is None else max(peak, value)


def go_on(stay: Stay, reading: Reading, *, shown: bool, keep_firing: timedelta) -> tuple[Stay | None, Episode | None]:
    """Return what lasts after one more reading, and the episode that it ended.

    `shown`: the readings still show it. It is over once they have not for `keep_firing`, from the first that did not.
    """
    episode = replace(stay.episode, peak_m=higher(stay.episode.peak_m, reading.value))
    if shown:
        return Stay(episode), None
    over_since = stay.over_since or reading.observed_at
    if reading.observed_at - over_since >= keep_firing:
        return None, replace(stay.episode, ended_at=over_since)
    return Stay(stay.episode, over_since), None


def positive(**durations: timedelta) -> None:
    """Raise ValueError, naming the field, for a duration that is not positive or longer than a day."""
    for name, length in durations.items():
        if not timedelta(0) < length <= timedelta(days=1):
            raise ValueError(f"{name}: must be more than 0 and at most 24 hours")


def up_to_a_day(**durations: timedelta) -> None:
    """Raise ValueError, naming the field, for a duration that is negative or longer than a day."""
    for name, length in durations.items():
        if not timedelta(0) <= length <= timedelta(days=1):
            raise ValueError(f"{name}: must be 0 to 24 hours")
