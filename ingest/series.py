"""Put new readings into a sensor's series, whatever their order, and say what changes. Pure.

Any order, lateness or repetition of the same readings ends in the same rows: flags are functions of the
neighbours in order of measurement, and of a device's statements about one moment the newest stands, by the time at
which a gateway heard it (`kawamori.domain.statement`). What a person says of a moment stands above that
(`kawamori.domain.correction`).

Over 400 lines: what comes live and what comes late go by the same rules for statements and flags.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from ingest import quality
from ingest.quality import (
    CONDEMNED,
    CONFLICT,
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
    least_step,
    possible,
    runs,
)
from kawamori.domain.correction import BY_PEOPLE, Correction, CorrectionKind, as_stated, corrected, correction_of
from kawamori.domain.limits import Bounds, bounds_of
from kawamori.domain.reading import Reading, Reason
from kawamori.domain.registry import Limits
from kawamori.domain.statement import Statement, newer
from kawamori.domain.trend import recent_trend

#: What neighbours decide; the other reasons belong to the reading alone.
_NEIGHBOURLY = quality.NEIGHBOURLY
#: What the reading brought with it, what people say of it, or what the look at clocks and limits added (`ingest.look`):
#: no judgement of its neighbours takes that away.
_OWN = CONFLICT | CONDEMNED | int(Reason.CLOCK | Reason.ESTIMATED | Reason.CORRECTED | Reason.LIMIT)
#: Readings that say nothing of their neighbours, and that their neighbours say nothing of.
_OUT = RANGE | CONDEMNED
#: Late readings further apart than this are put in separately.
_APART = timedelta(hours=6)
#: A device's number of a message moves its statement by so little that another message is still later.
_SEQ = 1 << 16


class QcWindow(NamedTuple):
    """A sensor's recent past: the newest reading, and the last in-range ones for quality control."""

    latest: Reading | None = None
    #: In-range readings, oldest first, at most REACH_BACK.
    recent: tuple[Reading, ...] = ()
    flat_since: datetime | None = None
    #: The values of `recent` lie between these, and perhaps closer; None where that is not known.
    span: tuple[float, float] | None = None

    def trend_h(self, every: timedelta) -> float | None:
        """How fast the level moves now, in units an hour; `every` is how often the sensor usually reports.

        None where the newest good readings are too few, too far apart, or long before the newest reading.
        """
        return None if self.latest is None else recent_trend(self.latest.observed_at, self.recent, every)


class Former(NamedTuple):
    """A value that gave way, and why."""

    reading: Reading
    why: str


class Outcome(NamedTuple):
    """What a sensor's new readings come to."""

    tail: QcWindow
    #: Not stored before.
    added: tuple[Reading, ...] = ()
    #: Stored before, now with another flag, value or time of arrival: (before, after).
    changed: tuple[tuple[Reading, Reading], ...] = ()
    #: Stored before, and stated once more, with the time of it: no value or flag changes.
    repeated: tuple[Reading, ...] = ()
    #: Values that gave way to another of the same moment.
    outvoted: tuple[Former, ...] = ()

    @property
    def tail_is_whole(self) -> bool:
        """Whether the tail is what the rows say; not after a reading left it, which may let an older one back in."""
        return not any(after.reasons & _OUT and not before.reasons & _OUT for before, after in self.changed)


def without_known(tail: QcWindow, incoming: list[Reading], final: Collection[datetime] = ()) -> list[Reading]:
    """Leave out what the tail holds already: a gateway sends again what nobody acknowledged, and newest first.

    `final` as for `insert_among`.
    """
    if tail.latest is None or incoming[-1].observed_at > tail.latest.observed_at:
        return incoming  # live data, or history with it
    if len({r.observed_at for r in incoming}) < len(incoming):
        return incoming  # which statement of a moment stands shows only beside the others
    known = {r.observed_at: r for r in tail.recent}
    return [
        r
        for r in incoming
        if (same := known.get(r.observed_at)) is None
        or as_stated(same).value != r.value
        or r.received_at < same.received_at
        or _said_at(_simple(r)) > _said_at(same)
        or r.observed_at in final
    ]


def restated(
    tail: QcWindow, known: Mapping[datetime, Reading], incoming: Iterable[Reading], final: Collection[datetime] = ()
) -> Outcome | None:
    """What comes of readings that only state stored rows once more; `known` holds those rows by their moment.

    None where anything else is said, for which the rows around must be looked at. A device that is not answered in time
    sends again, and that must cost little. `final` as for `insert_among`.
    """
    now: dict[datetime, Reading] = {}
    for reading in incoming:
        at = reading.observed_at
        row = now.get(at) or known.get(at)
        if row is None or at in final or row.stated is not None or row.reasons & BY_PEOPLE:
            return None
        said, gave_way = _restate(row, _simple(reading), is_final=False)
        if gave_way is not None or said != row._replace(stated_at=said.stated_at):
            return None
        now[at] = said
    latest = tail.latest and now.get(tail.latest.observed_at, tail.latest)
    recent = tuple([now.get(row.observed_at, row) for row in tail.recent])
    again = tuple([row for at, row in now.items() if row != known[at]])
    return Outcome(tail._replace(latest=latest, recent=recent), repeated=again)


def follows(tail: QcWindow, incoming: Iterable[Reading]) -> bool:
    """Whether all of these are newer than everything stored: then the tail is all that quality control needs."""
    if tail.latest is None:
        return True
    newest = tail.latest.observed_at
    return all(r.observed_at > newest for r in incoming)


def append(tail: QcWindow, incoming: list[Reading], limits: Limits, late_after: timedelta) -> Outcome:
    """Add readings newer than all stored ones."""
    added, outvoted = _settle(incoming)
    bounds = bounds_of(limits)
    fresh = [_alone(r, bounds.low, bounds.high, late_after) for r in added]
    inside = [r for r in fresh if not r.reasons & _OUT]
    quiet, span = _stays_quiet(tail, inside, limits, bounds)
    if quiet:
        since = None
        if limits.flat_after is not None and limits.flat_above is not None:
            inside, since = _judge_flat(tail, inside, limits)
            judged = {r.observed_at: r for r in inside}
            fresh = [judged.get(r.observed_at, r) for r in fresh]
        recent = (*tail.recent, *inside)[-REACH_BACK:]
        return Outcome(QcWindow(fresh[-1], recent, since, span), tuple(fresh), outvoted=tuple(outvoted))
    line = [*tail.recent, *inside]
    times, values = [r.observed_at for r in line], [r.value for r in line]
    found = assess(times, values, limits)
    known = len(tail.recent)
    since_of = runs(times[-len(inside) - 1 :], values[-len(inside) - 1 :], tail.flat_since if known else None)
    offset = len(line) - len(since_of)
    changed = []
    judged = {}
    for i in range(max(0, known - REACH_ON), len(line)):
        before = line[i]
        reasons = (before.reasons & ~_NEIGHBOURLY) | found[i]
        if i >= known and is_flat(before.observed_at, before.value, since_of[i - offset], limits):
            reasons |= FLAT
        after = line[i] = _with(before, reasons)
        if i >= known:
            judged[after.observed_at] = after
        elif after is not before:
            changed.append((before, after))
    rows = tuple([judged.get(r.observed_at, r) for r in fresh])
    newest = QcWindow(rows[-1], tuple(line[-REACH_BACK:]), since_of[-1] if since_of else tail.flat_since, span)
    return Outcome(newest, rows, tuple(changed), outvoted=tuple(outvoted))


def _stays_quiet(
    tail: QcWindow, inside: list[Reading], limits: Limits, bounds: Bounds
) -> tuple[bool, tuple[float, float] | None]:
    """Whether quality control finds nothing in these readings and the ones before, and the span of their values.

    While the span that is known is narrow, nobody has to look at the readings before.
    """
    if not inside:
        return True, tail.span
    span = tail.span
    if span is not None:
        new = [r.value for r in inside]
        low, high = span = min(span[0], *new), max(span[1], *new)
        near = bounds.sure_low <= low and high <= bounds.sure_high and high - low <= least_step(limits)
        if near and not (limits.is_amount and high > 0):
            return True, span
    values = [r.value for r in tail.recent] + [r.value for r in inside]
    return is_quiet(values, limits), (min(values), max(values))


def _judge_flat(tail: QcWindow, inside: list[Reading], limits: Limits) -> tuple[list[Reading], datetime | None]:
    """Mark what has not changed for too long; and since when the value has not changed."""
    line = [*tail.recent[-1:], *inside]
    since = runs([r.observed_at for r in line], [r.value for r in line], tail.flat_since if tail.recent else None)
    judged = [
        _with(r, r.reasons | FLAT) if is_flat(r.observed_at, r.value, at, limits) else r
        for r, at in zip(inside, since[len(line) - len(inside) :], strict=True)
    ]
    return judged, since[-1] if since else tail.flat_since


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
    tail: QcWindow,
    around: list[list[Reading]],
    incoming: list[Reading],
    limits: Limits,
    late_after: timedelta,
    *,
    final: Collection[datetime] = (),
    corrections: Sequence[Correction] = (),
) -> Outcome:
    """Add readings to the stretches of the series that `around` holds, one for each of `spans_of`, oldest first.

    `final`: the moments at which the incoming value is what stands, whatever was stated before.
    """
    waiting = sorted(incoming, key=_when)
    if len(around) == 1:
        return insert(tail, around[0], waiting, limits, late_after, final=final, corrections=corrections)
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
            context = sorted(stretch.values(), key=_when)
            one = insert(total.tail, context, mine, limits, late_after, final=final, corrections=corrections)
            total = Outcome(
                one.tail,
                total.added + one.added,
                total.changed + one.changed,
                total.repeated + one.repeated,
                total.outvoted + one.outvoted,
            )
    return total


def insert(
    tail: QcWindow,
    context: list[Reading],
    incoming: list[Reading],
    limits: Limits,
    late_after: timedelta,
    *,
    final: Collection[datetime] = (),
    corrections: Sequence[Correction] = (),
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
    repeated = []
    for reading in arrived:
        at = reading.observed_at
        known = stored.get(at)
        if known is None:
            added.add(at)
            stored[at] = _alone(corrected(reading, corrections), low, high, late_after)
            touched.append(at)
            continue
        said, gave_way = _restate(known, reading, is_final=at in final)
        if gave_way is not None:
            outvoted.append(gave_way)
        now = corrected(said, corrections)
        if now == known:
            continue
        if now == known._replace(stated_at=now.stated_at):
            stored[at] = before[at] = now
            repeated.append(now)
            continue
        if now.value != known.value:
            touched.append(at)
        stored[at] = _alone(now, low, high, late_after, keep=_NEIGHBOURLY | FLAT)
    series = sorted(stored.values(), key=_when)
    if touched:
        series = _reassess(series, touched[0], touched[-1], limits, corrections)
    return _compare(tail, series, before, added)._replace(repeated=tuple(repeated), outvoted=tuple(outvoted))


def amend(
    tail: QcWindow,
    context: list[Reading],
    start: datetime,
    end: datetime,
    limits: Limits,
    late_after: timedelta,
    corrections: Sequence[Correction],
) -> Outcome:
    """Bring the stored readings from `start` to `end` (both included) to what these corrections say, or no longer say.

    `context` as for `insert`.
    """
    low, high = possible(limits)
    before = {r.observed_at: r for r in context}
    series, touched = [], []
    for reading in context:
        if start <= reading.observed_at <= end:
            now = corrected(reading, corrections)
            if now != reading:
                touched.append(reading.observed_at)
                reading = _alone(now, low, high, late_after, keep=_NEIGHBOURLY | FLAT)
        series.append(reading)
    if not touched:
        return Outcome(tail)
    return _compare(tail, _reassess(series, touched[0], touched[-1], limits, corrections), before, set())


def _restate(known: Reading, new: Reading, *, is_final: bool) -> tuple[Reading, Former | None]:
    """What stands of what was stored as stated, and is stated now; and the value that gave way."""
    old = as_stated(known)
    word = _word(new) if is_final else newer(_word(old), _word(new))
    first = min(old.received_at, new.received_at)
    gave_way = None
    if old.value != new.value:
        lost = old if word.value == new.value else new
        gave_way = Former(lost, "two values at one time" if word.disputed else "restated")
    disputed = CONFLICT if word.disputed else 0
    said = old._replace(
        value=word.value,
        received_at=first,
        stated_at=None if word.at == first else word.at,
        reasons=old.reasons & ~CONFLICT | disputed,
    )
    return said, gave_way


def _reassess(
    series: list[Reading], first: datetime, last: datetime, limits: Limits, corrections: Sequence[Correction] = ()
) -> list[Reading]:
    """Judge again what a change between `first` and `last` can reach. A value that a person gave is not judged."""
    inside = [r for r in series if not r.reasons & _OUT]
    times, values = [r.observed_at for r in inside], [r.value for r in inside]
    may_be_flat = limits.flat_after is not None and limits.flat_above is not None
    if not values or is_quiet(values, limits):
        if not may_be_flat and not any(r.reasons & _NEIGHBOURLY for r in inside):
            return series
        found = [0] * len(values)
    else:
        found = assess(times, values, limits)
    low = bisect_left(times, first) - REACH_ON
    high = bisect_left(times, last) + REACH_AFTER
    judged: dict[datetime, Reading] = {}
    since = runs(times, values) if may_be_flat else []
    for i in range(max(0, low), len(inside) if may_be_flat else min(high + 1, len(inside))):
        reading = inside[i]
        reasons = reading.reasons
        if i <= high:
            reasons = (reasons & ~_NEIGHBOURLY) | found[i]
        if may_be_flat and times[i] >= first:
            flat = is_flat(times[i], values[i], since[i], limits)
            reasons = (reasons | FLAT) if flat else (reasons & ~FLAT)
        if corrections and (word := correction_of(times[i], corrections)) and word.kind is CorrectionKind.VALUE:
            reasons &= ~(_NEIGHBOURLY | FLAT)
        judged[times[i]] = _with(reading, reasons)
    return [judged.get(r.observed_at, r) for r in series]


def _compare(tail: QcWindow, series: list[Reading], before: dict[datetime, Reading], added: set[datetime]) -> Outcome:
    """What differs from what was stored, and the tail as it is now."""
    changed = tuple(
        [(old, r) for r in series if (old := before.get(r.observed_at)) is not None and old is not r and old != r]
    )
    rows = tuple([r for r in series if r.observed_at in added])
    if len(tail.recent) == REACH_BACK and series[-1].observed_at < tail.recent[0].observed_at:
        return Outcome(tail, rows, changed)  # history, all of it before what the tail holds
    latest = series[-1] if tail.latest is None or series[-1].observed_at >= tail.latest.observed_at else tail.latest
    recent = {r.observed_at: r for r in tail.recent}
    for r in series:
        if recent.get(r.observed_at) != r:  # what is remembered already is not held a second time until the commit
            recent[r.observed_at] = r
    kept = sorted([r for r in recent.values() if not r.reasons & _OUT], key=_when)[-REACH_BACK:]
    flat_since = tail.flat_since
    if latest is series[-1]:
        inside = [r for r in series if not r.reasons & _OUT]
        since = runs([r.observed_at for r in inside], [r.value for r in inside])
        flat_since = since[-1] if since else None
        if flat_since and tail.flat_since and flat_since == inside[0].observed_at:
            flat_since = min(flat_since, tail.flat_since)
    return Outcome(QcWindow(latest, tuple(kept), flat_since), rows, changed)


def _settle(incoming: list[Reading]) -> tuple[list[Reading], list[Former]]:
    """One reading a moment, oldest first: what stands of the statements about it; and the values that gave way."""
    if len(incoming) == 1 or all(a.observed_at < b.observed_at for a, b in pairwise(incoming)):
        return [r if r.stated_at is None else _simple(r) for r in incoming], []
    best: dict[datetime, Reading] = {}
    outvoted = []
    for reading in incoming:
        other = best.get(reading.observed_at)
        if other is None:
            best[reading.observed_at] = reading
            continue
        best[reading.observed_at], gave_way = _restate(other, reading, is_final=False)
        if gave_way is not None:
            outvoted.append(gave_way)
    return [_simple(r) for r in sorted(best.values(), key=_when)], outvoted


def _simple(reading: Reading) -> Reading:
    """Without the time of its statement where that differs by its number only: few moments are ever restated."""
    if reading.stated_at is None or reading.stated_at - reading.received_at >= timedelta(microseconds=_SEQ):
        return reading
    return reading._replace(stated_at=None)


def stated_at(received_at: datetime, seq: int) -> datetime:
    """When a device made a statement with this number: in one message a higher number is newer."""
    return received_at + timedelta(microseconds=seq % _SEQ)


def _said_at(reading: Reading) -> datetime:
    return reading.stated_at or reading.received_at


def _word(reading: Reading) -> Statement:
    return Statement(reading.value, _said_at(reading), bool(reading.reasons & CONFLICT))


def _when(reading: Reading) -> datetime:
    return reading.observed_at


def _alone(reading: Reading, low: float, high: float, late_after: timedelta, keep: int = 0) -> Reading:
    """The reading with what can be said of it without its neighbours; `low` and `high` are what is possible."""
    reasons = reading.reasons & (keep | _OWN)
    if reading.received_at - reading.observed_at > late_after:
        reasons |= LATE
    if not low <= reading.value <= high:
        reasons = (reasons & (LATE | _OWN)) | RANGE
    elif reasons & CONDEMNED:
        reasons &= LATE | _OWN
    return _with(reading, reasons)


def _with(reading: Reading, reasons: int) -> Reading:
    flag = FLAG_OF[reasons]
    if reasons == reading.reasons and flag is reading.flag:
        return reading
    return Reading(*reading[:4], flag, reasons, *reading[6:8])
