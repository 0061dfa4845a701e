"""What devices state about one moment, and which statement stands. Pure.

A device's newest statement is its word: a correction, whichever value is higher. Where two devices, or one device at
one time, state different values, nobody can say which is right: that is a conflict, and the higher value stands,
because taking the lower one may hide a flood. Any order and any repetition of the same statements gives the same.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple


class Statement(NamedTuple):
    """A value for a moment, in the sensor's unit."""

    value: float
    #: When a gateway heard it; of one device's statements the latest stands.
    at: datetime
    #: Another value was stated for the moment at the same time, or by another device.
    disputed: bool = False


def newer(one: Statement, other: Statement) -> Statement:
    """Which of two statements of one device stands: the later; of two at one time the higher, disputed."""
    if one.at != other.at:
        return one if one.at > other.at else other
    if one.value == other.value:
        return one if one.disputed else other
    return Statement(max(one.value, other.value), one.at, disputed=True)


def standing(words: Iterable[Statement]) -> Statement:
    """What stands of the last words of several devices: the highest, disputed unless all of them agree."""
    words = list(words)
    top = max(words, key=lambda word: (word.value, word.at))
    disputed = any(word.disputed or word.value != top.value for word in words)
    return Statement(top.value, top.at, disputed)
