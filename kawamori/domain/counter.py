"""Running totals become amounts: what fell since the total before. Pure.

Any order of the same totals gives the same amounts: each is the difference between two neighbours in order of
measurement. The first total of a device says nothing of what fell, and gives none.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from kawamori.domain.statement import Statement, newer


class Total(NamedTuple):
    """A device's running total at a moment."""

    word: Statement
    #: When a gateway first heard of the moment.
    received_at: datetime


class Recount(NamedTuple):
    """What new totals come to."""

    #: Totals that are new, or not as they were stored.
    totals: dict[datetime, Total]
    #: The amounts that end at these moments, of the new totals and of those that follow them.
    amounts: dict[datetime, tuple[float, Total]]


def increment(before: float, after: float) -> float:
    """What was counted between two totals. One that fell was set back: what it shows has been counted since then."""
    return round(after - before, 9) if after >= before else max(0.0, after)


def recount(stored: Mapping[datetime, Total], incoming: Iterable[tuple[datetime, Total]]) -> Recount:
    """Put new totals among stored ones; `stored` holds all from the one before the first to the one after the last."""
    known = dict(stored)
    for at, total in incoming:
        other = known.get(at)
        if other is not None:
            total = Total(newer(other.word, total.word), min(other.received_at, total.received_at))
        known[at] = total
    changed = {at: total for at, total in known.items() if stored.get(at) != total}
    amounts = {}
    line = sorted(known)
    for before, at in pairwise(line):
        if at in changed or before in changed:
            amounts[at] = (increment(known[before].word.value, known[at].word.value), known[at])
    return Recount(changed, amounts)
