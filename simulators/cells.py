"""What one cell of a table says: a number with what stands beside it, or a time of the wall clock. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from kawamori.errors import ConfigurationError

#: Words for "there was no measurement" (USGS water data; Japanese observation tables; spreadsheets).
NO_MEASUREMENT = frozenset(
    {
        "", "-", "--", "---", "*", "**", "***", "na", "n/a", "nan", "null", "none", "nil", "missing", "m",
        "ice", "eqp", "bkw", "dis", "dry", "fld", "mnt", "pr", "rat", "ssn", "zfl", "dcp", "tst", "--ice", "***ice",
        "欠測", "閉局", "未受信", "休止", "保守", "点検", "欠",
    }
)  # fmt: skip

_DATE = r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"
_CLOCK = r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2}(?:\.\d{1,6})?))?"
_TIME = re.compile(rf"{_DATE}[T ]\s*{_CLOCK}\s*(?P<offset>Z|z|[+-]\d{{2}}:?\d{{2}})?")
#: A sign that the number is a bound, the number, and letters or stars beside it.
_NUMBER = re.compile(
    r"(?P<before>[<>≦≧≤≥~≈約±]?)\s*(?P<number>[+-]?(?:\d[\d.,\u00a0\u202f' ]*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"\s*(?P<after>[^\d\s.,+\-|;/][^\d|;/]{0,7})?"
)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_SPACED = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f']\d{3})+(?:\.\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_POINT_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+")
#: `1.012`: three decimals, or a point that groups thousands.
_POINT_OR_GROUP = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
#: ISO 8601's other forms, such as 20250904T0100; a number of 13 digits (milliseconds since 1970) is none of them.
_ISO = re.compile(r"[\dW-]{7,10}(?:[T ].*)?")


class Refused(ValueError):
    """A row says nothing that can be used; the text says why."""


def comma_means(values: Iterable[str], lines: Iterable[int], name: str) -> Literal["decimal", "thousands"]:
    """What a comma within a number means in this file; raises ConfigurationError where it may mean either.

    A comma that is followed by other than three digits, or stands behind a leading zero or behind points that group,
    is decimal. One before a point, several of them, or whole numbers of three digits beside it group thousands.
    Where the comma is decimal, points group thousands; a point that may do so without that being certain is refused.
    """
    found = _Separators()
    for text, line in zip(values, lines, strict=True):
        found.take(text, line)
    if found.decimal and found.thousands:
        raise ConfigurationError(
            f"{name}: the comma is a decimal comma in line {found.decimal[0]} and groups thousands in line"
            f" {found.thousands[0]}: mend the file, or say --comma decimal or --comma thousands"
        )
    if found.either and not found.decimal and not found.thousands and not found.whole:
        line, digits = found.either[0]
        raise ConfigurationError(
            f"{name}, line {line}: the comma in {digits} may group thousands or be a decimal comma:"
            " say --comma thousands or --comma decimal"
        )
    if found.points and found.is_point_unsure():
        line, digits = found.points[0]
        raise ConfigurationError(
            f"{name}, line {line}: the point in {digits} may group thousands or be a decimal point:"
            " say --comma decimal (points group) or --comma thousands (points are decimal)"
        )
    return "decimal" if found.decimal else "thousands"


class _Separators:
    """What the commas and points of a file's numbers can mean, each with its line."""

    def __init__(self) -> None:
        self.decimal: list[int] = []
        self.thousands: list[int] = []
        self.either: list[tuple[int, str]] = []
        #: `1.012`, which may be three decimals or thousands.
        self.points: list[tuple[int, str]] = []
        #: There is a whole number of three digits; a point that groups before a comma; another point.
        self.whole = self.grouped = self.pointed = False

    def take(self, text: str, line: int) -> None:
        """Look at one cell."""
        found = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text).strip())
        if found is None:
            return
        digits = found["number"].strip()
        if "," not in digits:
            self.whole = self.whole or re.fullmatch(r"[+-]?[1-9]\d\d", digits) is not None
            if _POINT_OR_GROUP.fullmatch(digits):
                self.points.append((line, digits))
            elif "." in digits:
                self.pointed = True
            return
        grouped = _POINT_GROUPED.fullmatch(digits) is not None
        self.grouped = self.grouped or grouped
        if grouped or _GROUPED.fullmatch(digits) is None or re.match(r"[+-]?0", digits):
            self.decimal.append(line)
        elif "." in digits or digits.count(",") > 1:
            self.thousands.append(line)
        else:
            self.either.append((line, digits))

    def is_point_unsure(self) -> bool:
        """Whether `1.012` could be a thousand and twelve: beside whole numbers of three digits and no other decimals
        it is what comes after 987.
        """
        if self.decimal:
            return self.pointed or not self.grouped
        return self.whole and not (self.pointed or self.thousands or self.either)


def number(text: str, comma: Literal["decimal", "thousands"] = "thousands") -> tuple[float, str | None]:
    """The number in a cell and what stands beside it; raises Refused that names the text.

    `4.10e`, `4.35*`, `>5.00` and `4.70 est` are numbers in doubt: estimated, or a bound of what the gauge can show.
    """
    if any(unicodedata.category(c) in ("No", "Cc") for c in text.strip()):  # 4² is no 42
        raise Refused(f"{text[:40]!r} is not a number")
    text = unicodedata.normalize("NFKC", text).strip().replace("\u2212", "-")
    if _PLAIN.fullmatch(text) and not (comma == "decimal" and _POINT_OR_GROUP.fullmatch(text)):
        value, mark = float(text), None
    else:
        found = _NUMBER.fullmatch(text)
        if found is None:
            raise Refused(f"{text[:40]!r} is not a number")
        digits = found["number"].strip()
        mark = f"{found['before']}{(found['after'] or '').strip()}" or None
        value = float(_plain(digits, comma, text))
    if not abs(value) < 1e15:
        raise Refused(f"{text[:40]!r} is not a measurement")
    return value, mark


def _plain(digits: str, comma: Literal["decimal", "thousands"], text: str) -> str:
    if comma == "decimal" and _POINT_OR_GROUP.fullmatch(digits):
        return digits.replace(".", "")
    if _PLAIN.fullmatch(digits):
        return digits
    if _SPACED.fullmatch(digits):
        return re.sub(r"[ \u00a0\u202f']", "", digits)
    if comma == "thousands" and _GROUPED.fullmatch(digits):
        return digits.replace(",", "")
    if comma == "decimal" and (_COMMA.fullmatch(digits) or _POINT_GROUPED.fullmatch(digits)):
        return digits.replace(".", "").replace(",", ".")
    raise Refused(f"{text[:40]!r} is not a number")


def wall_clock(text: str) -> datetime:
    """The time in a cell, with its offset if it has one; 24:00 is the next day's 00:00. Raises Refused."""
    text = unicodedata.normalize("NFKC", text).strip()
    found = _TIME.fullmatch(text)
    if found is None and _ISO.fullmatch(text) is None:
        raise Refused(f"{text[:40]!r} is not a time such as 2026-07-14T02:10:00+09:00")
    try:
        if found is None:
            return datetime.fromisoformat(text)
        hour, minute, second = int(found["h"]), int(found["min"]), float(found["s"] or 0)
        day = timedelta(0)
        if hour == 24 and minute == 0 and second == 0:
            hour, day = 0, timedelta(days=1)
        whole = int(second)
        when = datetime(int(found["y"]), int(found["m"]), int(found["d"]), hour, minute, whole) + day  # noqa: DTZ001
        when += timedelta(microseconds=round((second - whole) * 1_000_000))
        if found["offset"]:
            offset = "+00:00" if found["offset"] in "Zz" else found["offset"]
            when = datetime.fromisoformat(f"{when.isoformat()}{offset}")
    except (ValueError, OverflowError) as error:
        raise Refused(f"{text[:40]!r} is not a time ({error})") from None
    return when
