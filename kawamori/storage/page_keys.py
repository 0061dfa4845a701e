"""Bounds of the keys that pages start from: times beyond all that is stored, and the largest id."""

from datetime import UTC, datetime

#: Before and after every stored time, a day away from the limits of `datetime`, so that a time zone cannot overflow.
FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 12, 30, tzinfo=UTC)
#: The largest bigint.
LARGEST_ID = 2**63 - 1
