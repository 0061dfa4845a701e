"""Quality control: flags, never drops. Pure functions of one sensor's readings in order of measurement.

A value is never called wrong for rising fast: real floods rise 5 m/h. What leaves a settled level abruptly and
comes back within four samples is no water; everything else is at most suspect, and a suspect reading still alarms.
The order and the meaning of the flags follow QARTOD (IOOS, Manual for Real-Time Quality Control of Water Level
Data, 2021); the constants were measured on recorded rivers (docs/decisions/0005-quality-flags.md).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf

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
REACH_BACK = 20
REACH_ON = SPIKE_SAMPLES + 1


#: The reasons as plain numbers: a hundred of them are added and taken apart for a reading.
LATE, RANGE, RATE, FLAT, SPIKE = map(int, (_Reason.LATE, _Reason.RANGE, _Reason.RATE, _Reason.FLAT, _Reason.SPIKE))
CONFLICT, CONDEMNED = int(_Reason.CONFLICT), int(_Reason.CONDEMNED)
#: What makes a value worthless, and what makes it doubtful.
_WORTHLESS = RANGE | SPIKE | CONDEMNED
_DOUBTFUL = (
    RATE | FLAT | CONFLICT | int(_Reason.CLOCK) | int(_Reason.ESTIMATED) | int(_Reason.STEP) | int(_Reason.UNFIT)
)


def flag_of(reasons: int) -> Flag:
    """The QARTOD flag that the reasons add up to; lateness alone does not make a value doubtful."""
    if reasons & _WORTHLESS:
        return Flag.FAIL
    return Flag.SUSPECT if reasons & _DOUBTFUL else Flag.GOOD


#: The same by number.
FLAG_OF = tuple(flag_of(reasons) for reasons in range(2 * CONDEMNED))


def possible(limits: Limits) -> tuple[float, float]:
    """The least and the largest value that the sensor can measure at all."""
    return (
        -inf if limits.range_min is None else limits.range_min,
        inf if limits.range_max is None else limits.range_max,
    )


def is_quiet(values: Sequence[float], limits: Limits) -> bool:
    """Whether no step between neighbours is large enough for `assess` to find anything: the usual case, told fast."""
    least = min(inf if limits.spike is None else limits.spike, inf if limits.max_step is None else limits.max_step)
    return max(values) - min(values) <= least or all(abs(b - a) <= least for a, b in pairwise(values))


def assess(times: Sequence[datetime], values: Sequence[float], limits: Limits) -> list[int]:
    """RATE and SPIKE of in-range readings, oldest first. The ends see fewer neighbours than they may need."""
    reasons = [0] * len(values)
    if limits.spike is not None:
        for start in range(1, len(values) - 2):
            if abs(values[start + 1] - values[start]) > limits.spike:
                _mark_spike(times, values, limits, start, reasons)
    if limits.max_step is not None and limits.max_rate_h is not None:
        previous = None
        for i, value in enumerate(values):
            if reasons[i] & SPIKE:
                continue
            if previous is not None:
                step = abs(value - values[previous])
                if step > limits.max_step:
                    hours = (times[i] - times[previous]).total_seconds() / 3600
                    if step > limits.max_rate_h * hours:
                        reasons[i] |= RATE
            previous = i
    return reasons


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
