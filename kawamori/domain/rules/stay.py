"""How an episode lasts, for kinds that judge a stretch of readings: raised at once, over when it stays over."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kawamori.domain.reading import Reading, doubtful
from kawamori.domain.rules import Episode

#: A fall of more than this, and faster than this an hour, is doubted whatever its flag says: the step and the rate that
#: quality control doubts where a sensor has no limits of its own (docs/decisions/0005-quality-flags.md).
ABRUPT_M, ABRUPT_M_PER_H = 0.5, 8.0
#: For so long a doubtful reading waits for a second one that agrees.
AGREE_WITHIN = timedelta(hours=3)
#: The very same number says nothing new (a broken cable sends 0.00 for ever), unless it has stood for so long.
SAME_M, SAME_FOR = 0.0005, timedelta(minutes=20)
#: After so long without a reading what comes is no part of the same stay: an episode that began years ago, by a
#: reading with a wrong date, does not last until today.
GAP = timedelta(days=7)


def falls_abruptly(before: Reading | None, reading: Reading) -> bool:
    """Whether a reading lies below an earlier one as no river falls."""
    if before is None or before.value - reading.value <= ABRUPT_M:
        return False
    hours = (reading.observed_at - before.observed_at).total_seconds() / 3600
    return before.value - reading.value > ABRUPT_M_PER_H * hours


def is_same(one: float | None, other: float) -> bool:
    """Whether two values are one number."""
    return one is not None and abs(one - other) < SAME_M


def settles(first: Reading | None, last: Reading | None, reading: Reading, *, alone: bool) -> bool:
    """Whether a reading that looks like the end makes it one: it is not in doubt (`alone`), or agrees with the doubtful
    `first` that said so before it. `last` is the reading just before.
    """
    if first is None:
        return alone
    if is_same(first.value, reading.value):
        return reading.observed_at - first.observed_at >= SAME_FOR
    return alone or not falls_abruptly(last, reading)


@dataclass(frozen=True, slots=True)
class Stay:
    """An episode that lasts, and since when it looks over."""

    episode: Episode
    over_since: datetime | None = None
    #: A doubtful reading that looks like the end, and waits for a second one.
    doubted: Reading | None = None
    #: The newest reading.
    last: Reading | None = None


def higher(peak: float | None, value: float) -> float:
    """The higher of the peak so far and a value; 0 m is a height like any other."""
    return value if peak is None else max(peak, value)


def go_on(stay: Stay, reading: Reading, *, shown: bool, keep_firing: timedelta) -> tuple[Stay | None, Episode | None]:
    """Return what lasts after one more reading, and the episode that it ended.

    `shown`: the readings still show it. It is over once they have not for `keep_firing`, from the first that did not;
    one doubtful reading alone says nothing.
    """
    at, last = reading.observed_at, stay.last
    if last is not None and at - last.observed_at > GAP:
        gone = {**stay.episode.detail, "ended_by": "gap"}
        return None, replace(stay.episode, ended_at=last.observed_at, detail=gone)
    if shown:
        return Stay(replace(stay.episode, peak_m=higher(stay.episode.peak_m, reading.value)), last=reading), None
    first = stay.doubted
    if first is not None and at - first.observed_at > AGREE_WITHIN:
        first = None
    alone = not doubtful(reading.flag, reading.reasons) and not falls_abruptly(last, reading)
    if stay.over_since is None and not settles(first, last, reading, alone=alone):
        return Stay(stay.episode, None, first or reading, reading), None
    over_since = stay.over_since or (first or reading).observed_at
    if at - over_since >= keep_firing:
        return None, replace(stay.episode, ended_at=over_since)
    return Stay(stay.episode, over_since, None, reading), None


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
