"""Quality control: flags, never drops. Pure functions of one sensor's readings in order of measurement.

A value is never called wrong for rising fast: real floods rise 5 m/h, and 16 m/h between two readings. What leaves a
settled level abruptly and comes back within four samples is no water; nor is what jumps exactly onto an end of what the
device can measure and does not stay there. Everything else is at most suspect, and a suspect reading still alarms. A
suspect step that the next readings confirm is cleared with them. The order and the meaning of the flags follow QARTOD
(IOOS, Manual for Real-Time Quality Control of Water Level Data, 2021); the constants were measured on recorded rivers
(docs/decisions/0005-quality-flags.md, docs/decisions/0022-limits-and-steps.md).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf

from kawamori.domain.limits import bounds_of
from kawamori.domain.reading import Flag
from kawamori.domain.reading import Reason as _Reason
from kawamori.domain.registry import Limits

#: A spike comes back to within this of where it left, in stored units (m). Quiet-time noise is 1 to 4 mm.
BACK_WITHIN = 0.06
#: … within so many samples and so long.
SPIKE_SAMPLES = 4
SPIKE_LASTS = timedelta(hours=3)
#: A drop must stand out this many times from the steps just before it: a flood in spate is rough water.
STANDS_OUT = 4.0
STEPS_BEFORE = 4
#: A gap longer than this ends a run of unchanged values.
RUN_GAP = timedelta(days=1)
#: A reading's flag depends on at most so many neighbours before it, and on SPIKE_SAMPLES + 1 after it.
REACH_BACK = 26
REACH_ON = SPIKE_SAMPLES + 1
#: … so that a new reading changes the flags of at most so many after it.
REACH_AFTER = 20
#: Between two readings no river rises faster (m/h); the fastest recorded is 16 (Hub'Eau, September 2020).
FASTEST_H = 20.0
#: A step is confirmed by so many of the next readings on its new side …
CONFIRM, CONFIRM_WITHIN = 2, 3
#: … and by water that moves with it: by this share of the step at least, before or after.
MOVES_WITH = 0.1
STEPS_AROUND = 3
#: Readings after a step that stay exactly where it led are in doubt with it for so long.
STEP_LASTS = 4
#: On an end of what the device can measure a value stays for so many readings before it may be water.
PEGGED = 3
#: Amounts that never fall look like a counter's totals: so many nearly the same, each so large in ten minutes …
COUNTS, COUNTS_ABOVE, COUNTS_WITHIN = 3, 10.0, 0.05
#: … or so many in a row, none of them 0, from this on. Steady rain falls back to less, or to nothing, before.
COUNTS_LONG, COUNTS_LONG_ABOVE = 18, 2.0
COUNTS_GAP = timedelta(hours=3)
_TEN_MINUTES = timedelta(minutes=10)
#: Values are compared with the ends of the device's range to this.
_EDGE = 1e-6


#: The reasons as plain numbers: a hundred of them are added and taken apart for a reading.
LATE, RANGE, RATE, FLAT, SPIKE = map(int, (_Reason.LATE, _Reason.RANGE, _Reason.RATE, _Reason.FLAT, _Reason.SPIKE))
CONFLICT, CONDEMNED = int(_Reason.CONFLICT), int(_Reason.CONDEMNED)
CLOCK, ESTIMATED, STEP, LIMIT = map(int, (_Reason.CLOCK, _Reason.ESTIMATED, _Reason.STEP, _Reason.LIMIT))
UNFIT = int(_Reason.UNFIT)
#: What neighbours decide; the other reasons belong to the reading alone.
NEIGHBOURLY = RATE | SPIKE | STEP | UNFIT
#: What makes a value worthless, and what makes it doubtful.
_WORTHLESS = RANGE | SPIKE | CONDEMNED
_DOUBTFUL = RATE | FLAT | CLOCK | CONFLICT | ESTIMATED | STEP | UNFIT | LIMIT


def flag_of(reasons: int) -> Flag:
    """The QARTOD flag that the reasons add up to; lateness alone does not make a value doubtful.

    A value beyond a limit that is itself in doubt is in doubt too.
    """
    if reasons & LIMIT:
        reasons &= ~RANGE
    if reasons & _WORTHLESS:
        return Flag.FAIL
    return Flag.SUSPECT if reasons & _DOUBTFUL else Flag.GOOD


#: The same by number.
FLAG_OF = tuple(flag_of(reasons) for reasons in range(2 * LIMIT))


def possible(limits: Limits) -> tuple[float, float]:
    """The least and the largest value that has not failed."""
    bounds = bounds_of(limits)
    return bounds.low, bounds.high


def least_step(limits: Limits) -> float:
    """The smallest step between two values, in stored units, of which quality control may say anything."""
    return min(inf if limits.spike is None else limits.spike, inf if limits.max_step is None else limits.max_step)


def is_quiet(values: Sequence[float], limits: Limits) -> bool:
    """Whether `assess` finds nothing: no step is large enough and no value near an end. The usual case, told fast."""
    least = least_step(limits)
    low, high = min(values), max(values)
    _, _, sure_low, sure_high = bounds_of(limits)
    if not sure_low <= low <= high <= sure_high:
        return False
    if limits.is_amount and any(
        a > 0 and b > 0 and c > 0 for a, b, c in zip(values, values[1:], values[2:], strict=False)
    ):
        return False
    return high - low <= least or all(abs(b - a) <= least for a, b in pairwise(values))


def assess(times: Sequence[datetime], values: Sequence[float], limits: Limits) -> list[int]:
    """RATE, SPIKE, STEP and LIMIT of in-range readings, oldest first. The ends see fewer neighbours than they need."""
    reasons = [0] * len(values)
    _, _, sure_low, sure_high = bounds_of(limits)
    if values and not sure_low <= min(values) <= max(values) <= sure_high:
        for i, value in enumerate(values):
            if not sure_low <= value <= sure_high:
                reasons[i] |= LIMIT
    if limits.spike is not None:
        for start in range(1, len(values) - 2):
            if abs(values[start + 1] - values[start]) > limits.spike:
                _mark_spike(times, values, limits, start, reasons)
    if limits.max_step is not None and limits.max_rate_h is not None:
        if limits.edges:
            _mark_edges(times, values, limits, reasons)
        _mark_steps(times, values, limits, reasons)
    if limits.is_amount:
        _mark_counting(times, values, reasons)
    return reasons


def _mark_counting(times: Sequence[datetime], values: Sequence[float], reasons: list[int]) -> None:
    """Mark amounts that look like the running total of a counter that is not registered as one.

    They may be rain all the same, so that they are in doubt and count.
    """
    run = 0
    for i, value in enumerate(values):
        goes_on = i and value >= values[i - 1] and times[i] - times[i - 1] <= COUNTS_GAP
        run = run + 1 if value > 0 and goes_on and run else int(value > 0)
        if run >= COUNTS_LONG and value >= COUNTS_LONG_ABOVE:
            reasons[i] |= UNFIT
        elif run >= COUNTS:
            first = values[i - COUNTS + 1]
            heavy = COUNTS_ABOVE * max(1.0, (times[i] - times[i - 1]) / _TEN_MINUTES)
            if first >= heavy and value - first <= COUNTS_WITHIN * first:
                reasons[i] |= UNFIT


def _mark_steps(times: Sequence[datetime], values: Sequence[float], limits: Limits, reasons: list[int]) -> None:
    """Mark steps larger and faster than usual, unless what follows confirms them; and what stays where they led."""
    assert limits.max_step is not None
    for i in range(1, len(values)):
        if reasons[i] & SPIKE:
            continue
        back = next((k for k in range(i - 1, max(-1, i - REACH_ON - 1), -1) if not reasons[k] & SPIKE), i - 1)
        step = values[i] - values[back]
        if abs(step) <= limits.max_step or not _is_fast(step, times[i] - times[back], limits.max_rate_h):
            continue
        if is_confirmed(times, values, back, i):
            continue
        reasons[i] |= RATE
        for k in range(i + 1, min(i + STEP_LASTS, len(values) - 1) + 1):
            if abs(values[k] - values[i]) > BACK_WITHIN:
                break
            if not reasons[k] & SPIKE:
                reasons[k] |= STEP
                reasons[i] |= STEP


def _is_fast(step: float, took: timedelta, rate_h: float | None) -> bool:
    return rate_h is not None and abs(step) > rate_h * took.total_seconds() / 3600


def is_confirmed(times: Sequence[datetime], values: Sequence[float], back: int, at: int) -> bool:
    """Whether the step from `back` to `at` is water: the next readings stay on its new side, and water moves with it.

    A shift of the sensor comes alone: before and after it the water is equally quiet. A sensor that contradicts itself
    goes to and fro. Faster than any river is never confirmed.
    """
    step = values[at] - values[back]
    if _is_fast(step, times[at] - times[back], FASTEST_H):
        return False
    sign = 1.0 if step > 0 else -1.0
    size = abs(step)
    after = values[at + 1 : at + 1 + CONFIRM_WITHIN]
    stay = [v for v in after if (v - values[back]) * sign >= size / 2]
    if len(stay) < CONFIRM:
        return False
    before = [sign * (b - a) for a, b in pairwise(values[max(0, back - STEPS_AROUND) : back + 1])]
    then = [sign * (b - a) for a, b in pairwise(values[at : at + 1 + CONFIRM_WITHIN])][:CONFIRM]
    if min([*before, *then], default=0.0) < -size / 2:
        return False
    return max([*before, *then], default=0.0) >= max(BACK_WITHIN, MOVES_WITH * size)


def _mark_edges(times: Sequence[datetime], values: Sequence[float], limits: Limits, reasons: list[int]) -> None:
    """Mark as no water what jumps from a settled level exactly onto an end of what the device can measure.

    Such a sensor says its nearest or farthest distance when it sees nothing. Water that comes near gradually is water,
    and so may be what stays on the end for PEGGED readings.
    """
    assert limits.max_step is not None
    on_edge = [any(abs(value - edge) <= _EDGE for edge in limits.edges) for value in values]
    for i, value in enumerate(values):
        if not on_edge[i]:
            continue
        base = next((k for k in range(i - 1, max(0, i - REACH_ON), -1) if not on_edge[k]), None)
        if base is None or on_edge[base - 1] or abs(values[base] - values[base - 1]) > BACK_WITHIN:
            continue
        step = value - values[base]
        if abs(step) <= limits.max_step or not _is_fast(step, times[i] - times[base], limits.max_rate_h):
            continue
        same = 1
        for line in (range(i + 1, min(i + PEGGED, len(values))), range(i - 1, max(base, i - PEGGED), -1)):
            for k in line:
                if values[k] != value:
                    break
                same += 1
        if same < PEGGED:
            reasons[i] |= SPIKE


def _mark_spike(
    times: Sequence[datetime], values: Sequence[float], limits: Limits, base: int, reasons: list[int]
) -> None:
    """Mark the samples after `base`, if they leave its settled level together and come back to it.

    A drop (out of the water) counts from `limits.spike`; a rise only from `limits.max_step`, a jump that no river
    makes, because taking a short true rise for a fault hides it.
    """
    level = values[base]
    if abs(level - values[base - 1]) > BACK_WITHIN or times[base] - times[base - 1] > SPIKE_LASTS:
        return
    assert limits.spike is not None
    down = values[base + 1] < level
    before = values[max(0, base - STEPS_BEFORE) : base + 1]
    rough = max(abs(b - a) for a, b in pairwise(before))
    least = max(limits.spike, STANDS_OUT * rough, 0.0 if down else (limits.max_step or 0.0))
    for i in range(base + 1, min(base + REACH_ON + 1, len(values))):
        if times[i] - times[base] > SPIKE_LASTS:
            return
        away = level - values[i] if down else values[i] - level
        if away > least:
            continue
        if abs(away) <= BACK_WITHIN:
            for spike in range(base + 1, i):
                reasons[spike] |= SPIKE
        return


def runs(times: Sequence[datetime], values: Sequence[float], first_since: datetime | None = None) -> list[datetime]:
    """Since when each reading's value has not changed; `first_since` is known for the first reading."""
    since: list[datetime] = []
    for i, (at, value) in enumerate(zip(times, values, strict=True)):
        if i == 0:
            since.append(first_since or at)
        else:
            same = value == values[i - 1] and at - times[i - 1] <= RUN_GAP
            since.append(since[-1] if same else at)
    return since


def is_flat(at: datetime, value: float, since: datetime, limits: Limits) -> bool:
    """Whether a sensor looks stuck: unchanged for long while the water stands high. At low flow that is normal."""
    return (
        limits.flat_after is not None
        and limits.flat_above is not None
        and value >= limits.flat_above
        and at - since >= limits.flat_after
    )
