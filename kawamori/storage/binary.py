"""PostgreSQL's binary forms of what is written often: columns as arrays, readings as rows of a COPY.

psycopg's own dumpers take 1 to 3 µs a value in Python; one `struct` call packs a whole column.
(PostgreSQL 17 documentation: COPY, "Binary Format"; src/backend/utils/adt/arrayfuncs.c, array_recv.)
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import ClassVar

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from kawamori.domain.reading import Reading

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ARRAY = Struct(">iiIii")
_NULL = b"\xff\xff\xff\xff"
_READING = Struct(">h iiiqidihihiq ii")
_RESTATED = Struct(">h iiiqidihihiq")
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL = b"\xff\xff"


@lru_cache(64)
def _packer(element: str, count: int) -> Struct:
    return Struct(">" + f"i{element}" * count)


class Column(bytes):
    """A one-dimensional array in binary form; make it with `of`."""

    element: ClassVar[str]
    width: ClassVar[int]
    oid: ClassVar[int]
    array_oid: ClassVar[int]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Column":
        """The values as an array; None is NULL."""
        head = _ARRAY.pack(1, None in values, cls.oid, len(values), 1) if values else bytes(8) + _OID.pack(cls.oid)
        if None in values:
            one = _packer(cls.element, 1)
            return cls(head + b"".join([_NULL if v is None else one.pack(cls.width, v) for v in values]))
        flat = [cls.width] * (2 * len(values))
        flat[1::2] = values  # type: ignore[assignment]
        return cls(head + _packer(cls.element, len(values)).pack(*flat))


_OID = Struct(">I")


class Int2s(Column):
    """smallint[]."""

    element, width, oid, array_oid = "h", 2, 21, 1005


class Int4s(Column):
    """integer[]."""

    element, width, oid, array_oid = "i", 4, 23, 1007


class Int8s(Column):
    """bigint[]."""

    element, width, oid, array_oid = "q", 8, 20, 1016


class Float8s(Column):
    """double precision[]."""

    element, width, oid, array_oid = "d", 8, 701, 1022


class Times(Column):
    """timestamptz[]."""

    element, width, oid, array_oid = "q", 8, 1184, 1185

    @classmethod
    def at(cls, values: Iterable[datetime | None]) -> Column:
        """UTC-aware moments."""
        found: list[int | None] = []
        last, number = None, None
        for moment in values:
            if moment is not last:  # hours, days, and what arrived together share the moment
                last, number = moment, None if moment is None else (moment - _EPOCH) // _MICROSECOND
            found.append(number)
        return cls.of(found)


def copied(readings: Iterable[Reading]) -> bytes:
    """Readings as the rows of `copy_readings`, head and tail included."""
    pack, epoch, microsecond = _READING.pack, _EPOCH, _MICROSECOND
    parts, arrived, arrived_at = [COPY_HEAD], 0, epoch
    for sensor, at, value, received, flag, reasons, stated_at, stated, _ in readings:
        if received is not arrived_at:  # what arrived together shares the moment
            arrived, arrived_at = (received - epoch) // microsecond, received
        row = (8, 4, sensor, 8, (at - epoch) // microsecond, 8, value, 2, flag, 2, reasons, 8, arrived)
        if stated_at is None and stated is None:
            parts.append(pack(*row, -1, -1))
        else:
            parts.append(_RESTATED.pack(*row))
            parts.append(_NULL if stated_at is None else _packer("q", 1).pack(8, (stated_at - epoch) // microsecond))
            parts.append(_NULL if stated is None else _packer("d", 1).pack(8, stated))
    parts.append(COPY_TAIL)
    return b"".join(parts)


def _register(kind: type[Column]) -> None:
    class ColumnDumper(Dumper):
        format = Format.BINARY
        oid = kind.array_oid

        def dump(self, obj: Column) -> bytes:
            return bytes(obj)

    psycopg.adapters.register_dumper(kind, ColumnDumper)


for _kind in (Int2s, Int4s, Int8s, Float8s, Times):
    _register(_kind)
