"""Put new readings into a sensor's series, whatever their order, and say what changes. Pure.

Any order, lateness or repetition of the same readings ends in the same rows: flags are functions of the
neighbours in order of measurement, and of two values for one moment the higher stands.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from ingest import quality
from ingest.quality import (
    FLAG_OF,
    FLAT,
    LATE,
    RANGE,
    REACH_AFTER,
    REACH_BACK,
    REACH_ON,
    assess,
    is_flat,
    is_quiet,
    possible,
    runs,
)
from kawamori.domain.flood import trend_per_hour
from kawamori.domain.reading import Flag, Reading
from kawamori.domain.registry import Limits

#: What neighbours decide; the other reasons belong to the reading alone.
_NEIGHBOURLY = quality.NEIGHBOURLY
#: What the look at clocks and limits added to a stored reading (`ingest.look`), or the reading brought with it.
_OWN = quality.CLOCK | quality.ESTIMATED | quality.LIMIT
#: Late readings further apart than this are put in separately.
_APART = timedelta(hours=6)
#: Readings behind the trend arrow.
_TREND_OVER = 8


class Tail(NamedTuple):
    """A sensor's recent past: the newest reading, and the last in-range ones for quality control."""

    latest: Reading | None = None
    #: In-range readings, oldest first, at most REACH_BACK.
    recent: tuple[Reading, ...] = ()
    flat_since: datetime | None = None

    def trend_h(self) -> float | None:
        """How fast the level moves, in units an hour, over the last good readings."""
        good = self.recent[-_TREND_OVER:]
        if any(r.flag is Flag.FAIL for r in good):
            good = tuple([r for r in self.recent if r.flag is not Flag.FAIL])[-_TREND_OVER:]
        return trend_per_hour([r.observed_at for r in good], [r.value for r in good])


class Outcome(NamedTuple):
    """What a sensor's new readings come to."""

    tail: Tail
    #: Not stored before.
    added: tuple[Reading, ...] = ()
    #: Stored before, now with another flag, value or time of arrival: (before, after).
    changed: tuple[tuple[Reading, Reading], ...] = ()
    #: Values that gave way to a higher one of the same moment.
    outvoted: tuple[Reading, ...] = ()


def without_known(tail: Tail, incoming: list[Reading]) -> list[Reading]:
    """Leave out what the tail holds already: a gateway sends again what nobody acknowledged, and newest first."""
    if tail.latest is None or incoming[-1].observed_at > tail.latest.observed_at:
        return incoming  # live data, or history with it
    known = {r.observed_at: r for r in tail.recent}
    return [
        r
        for r in incoming
        if (same := known.get(r.observed_at)) is None or same.value != r.value or r.received_at < same.received_at
    ]


def follows(tail: Tail, incoming: Iterable[Reading]) -> bool:
    """Whether all of these are newer than everything stored: then the tail is all that quality control needs."""
    return tail.latest is None or all(r.observed_at > tail.latest.observed_at for r in incoming)


def append(tail: Tail, incoming: list[Reading], limits: Limits, late_after: timedelta) -> Outcome:
    """Add readings newer than all stored ones."""
    added, outvoted = _settle(incoming)
    low, high = possible(limits)
    fresh = [_alone(r, low, high, late_after) for r in added]
    inside = [r for r in fresh if not r.reasons & RANGE]
    line = [*tail.recent, *inside]
    values = [r.value for r in line]
    flat = limits.flat_after is not None and limits.flat_above is not None
    if not flat and (not inside or is_quiet(values, limits)):
        return Outcome(Tail(fresh[-1], tuple(line[-REACH_BACK:])), tuple(fresh), (), tuple(outvoted))
    times = [r.observed_at for r in line]
    found = assess(times, values, limits)
    known = len(tail.recent)
    since = runs(times[-len(inside) - 1 :], values[-len(inside) - 1 :], tail.flat_since if known else None)
    offset = len(line) - len(since)
    changed = []
    judged: dict[datetime, Reading] = {}
    for i in range(max(0, known - REACH_ON), len(line)):
        before = line[i]
        reasons = (before.reasons & ~_NEIGHBOURLY) | found[i]
        if i >= known and is_flat(before.observed_at, before.value, since[i - offset], limits):
            reasons |= FLAT
        after = line[i] = _with(before, reasons)
        if i >= known:
            judged[after.observed_at] = after
        elif after is not before:
            changed.append((before, after))
    rows = tuple([judged.get(r.observed_at, r) for r in fresh])
    newest = Tail(rows[-1], tuple(line[-REACH_BACK:]), since[-1] if since else tail.flat_since)
    return Outcome(newest, rows, tuple(changed), tuple(outvoted))


def spans_of(incoming: list[Reading], margin: timedelta) -> list[tuple[datetime, datetime]]:
    """The stretches of time that late readings fall into, each widened by `margin` on both sides."""
    times = sorted(r.observed_at for r in incoming)
    spans = [(times[0], times[0])]
    for at in times[1:]:
        if at - spans[-1][1] > _APART + 2 * margin:
            spans.append((at, at))
        else:
            spans[-1] = (spans[-1][0], at)
    return [(start - margin, end + margin) for start, end in spans]


def insert_among(
    tail: Tail, around: list[list[Reading]], incoming: list[Reading], limits: Limits, late_after: timedelta
) -> Outcome:
    """Add readings to the stretches of the series that `around` holds, one for each of `spans_of`, oldest first."""
    waiting = sorted(incoming, key=_when)
    stretches: list[dict[datetime, Reading]] = []
    for context in around:
        if stretches and context and stretches[-1] and context[0].observed_at <= max(stretches[-1]):
            stretches[-1].update((r.observed_at, r) for r in context)  # neighbours of both: one stretch
        else:
            stretches.append({r.observed_at: r for r in context})
    if any(not stretch for stretch in stretches):  # nothing is stored there: all of it is one stretch
        stretches = [{at: r for stretch in stretches for at, r in stretch.items()}]
    total = Outcome(tail)
    for n, stretch in enumerate(stretches):
        last = n + 1 == len(stretches)
        begins_next = None if last else min(stretches[n + 1])
        mine = [r for r in waiting if begins_next is None or r.observed_at < begins_next]
        waiting = waiting[len(mine) :]
        if mine:
            one = insert(total.tail, sorted(stretch.values(), key=_when), mine, limits, late_after)
            total = Outcome(
                one.tail, total.added + one.added, total.changed + one.changed, total.outvoted + one.outvoted
            )
    return total


def insert(
    tail: Tail, context: list[Reading], incoming: list[Reading], limits: Limits, late_after: timedelta
) -> Outcome:
    """Add readings among stored ones. `context` holds those around them, oldest first: REACH_BACK +
    REACH_ON before the first, REACH_AFTER + REACH_ON after the last, and all within `limits.flat_after` of them.
    """
    arrived, outvoted = _settle(incoming)
    low, high = possible(limits)
    stored = {r.observed_at: r for r in context}
    before = dict(stored)
    added: set[datetime] = set()
    touched: list[datetime] = []
    for reading in arrived:
        at = reading.observed_at
        known = stored.get(at)
        if known is None:
            added.add(at)
            stored[at] = _alone(reading, low, high, late_after)
            touched.append(at)
            continue
        winner = known
        if reading.value > known.value:
            outvoted.append(known)
            winner = known._replace(value=reading.value)
            touched.append(at)
        elif reading.value < known.value:
            outvoted.append(reading)
        if reading.received_at < known.received_at:
            winner = winner._replace(received_at=reading.received_at)
        if winner is not known:
            stored[at] = _alone(winner, low, high, late_after, keep=_NEIGHBOURLY | FLAT)
    series = sorted(stored.values(), key=_when)
    if touched:
        series = _reassess(series, touched[0], touched[-1], limits)
    return _compare(tail, series, before, added, outvoted)


def _reassess(series: list[Reading], first: datetime, last: datetime, limits: Limits) -> list[Reading]:
    """Judge again what a change between `first` and `last` can reach."""
    inside = [r for r in series if not r.reasons & RANGE]
    times, values = [r.observed_at for r in inside], [r.value for r in inside]
    found, since = assess(times, values, limits), runs(times, values)
    low = bisect_left(times, first) - REACH_ON
    high = bisect_left(times, last) + REACH_AFTER
    judged: dict[datetime, Reading] = {}
    may_be_flat = limits.flat_after is not None and limits.flat_above is not None
    for i in range(max(0, low), len(inside) if may_be_flat else min(high + 1, len(inside))):
        reading = inside[i]
        reasons = reading.reasons
        if i <= high:
            reasons = (reasons & ~_NEIGHBOURLY) | found[i]
        if may_be_flat and times[i] >= first:
            flat = is_flat(times[i], values[i], since[i], limits)
            reasons = (reasons | FLAT) if flat else (reasons & ~FLAT)
        judged[times[i]] = _with(reading, reasons)
    return [judged.get(r.observed_at, r) for r in series]


def _compare(
    tail: Tail, series: list[Reading], before: dict[datetime, Reading], added: set[datetime], outvoted: list[Reading]
) -> Outcome:
    """What differs from what was stored, and the tail as it is now."""
    changed = tuple((old, r) for r in series if (old := before.get(r.observed_at)) is not None and old != r)
    latest = series[-1] if tail.latest is None or series[-1].observed_at >= tail.latest.observed_at else tail.latest
    recent = {r.observed_at: r for r in tail.recent}
    recent.update((r.observed_at, r) for r in series if not r.reasons & RANGE)
    kept = sorted(recent.values(), key=_when)[-REACH_BACK:]
    flat_since = tail.flat_since
    if latest is series[-1]:
        inside = [r for r in series if not r.reasons & RANGE]
        since = runs([r.observed_at for r in inside], [r.value for r in inside])
        flat_since = since[-1] if since else None
        if flat_since and tail.flat_since and flat_since == inside[0].observed_at:
            flat_since = min(flat_since, tail.flat_since)
    rows = tuple(r for r in series if r.observed_at in added)
    return Outcome(Tail(latest, tuple(kept), flat_since), rows, changed, tuple(outvoted))


def _settle(incoming: list[Reading]) -> tuple[list[Reading], list[Reading]]:
    """One reading a moment, oldest first: the higher value and the earlier arrival; and those that gave way."""
    if all(a.observed_at < b.observed_at for a, b in pairwise(incoming)):
        return incoming, []
    best: dict[datetime, Reading] = {}
    outvoted = []
    for reading in incoming:
        other = best.get(reading.observed_at)
        if other is None:
            best[reading.observed_at] = reading
            continue
        high, low = (reading, other) if reading.value > other.value else (other, reading)
        if low.value < high.value:
            outvoted.append(low)
        best[reading.observed_at] = high._replace(received_at=min(high.received_at, low.received_at))
    return sorted(best.values(), key=_when), outvoted


def _when(reading: Reading) -> datetime:
    return reading.observed_at


def _alone(reading: Reading, low: float, high: float, late_after: timedelta, keep: int = 0) -> Reading:
    """The reading with what can be said of it without its neighbours; `low` and `high` are what is possible."""
    reasons = reading.reasons & (keep | _OWN)
    if reading.received_at - reading.observed_at > late_after:
        reasons |= LATE
    if not low <= reading.value <= high:
        reasons = (reasons & (LATE | _OWN)) | RANGE
    return _with(reading, reasons)


def _with(reading: Reading, reasons: int) -> Reading:
    flag = FLAG_OF[reasons]
    if reasons == reading.reasons and flag == reading.flag:
        return reading
    return Reading(reading.sensor, reading.observed_at, reading.value, reading.received_at, flag, reasons)
