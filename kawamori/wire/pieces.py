"""Cut JSON into the pieces at its top without decoding them, so that each is decoded on its own. Pure.

A strict decoder gives up on a whole message for one `NaN` or one byte that is no UTF-8. Here only strings and brackets
are looked at: linear in the length, whatever the bytes are.
"""

import re
from typing import NamedTuple

#: A string, ended or not, or a mark of structure. No alternative can fail after it has begun, so nothing is read twice.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*"?|[\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb'\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:(.*)', re.DOTALL)
#: What loggers write for a number that is none: none of it is JSON.
_NO_NUMBER = re.compile(
    rb'("[^"\\]*(?:\\.?[^"\\]*)*"?)|(?<![\w.])[+-]?(?:nan|inf(?:inity)?)(?![\w.])', re.DOTALL | re.IGNORECASE
)
_BLANKS = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"


class Cut(NamedTuple):
    """The pieces of an object or array, and whether it ended with them."""

    pieces: list[bytes]
    #: Why it is no whole object or array; the last piece may be a part then.
    fault: str | None


def _cut(raw: bytes, opening: bytes) -> Cut | None:
    """What stands between the commas at the top of an object or array; None where it does not begin with `opening`."""
    raw = raw.removeprefix(_MARK).lstrip(_BLANKS)
    if not raw.startswith(opening):
        return None
    found = []
    fault = None
    depth, start = 0, 1
    for token in _TOKEN.finditer(raw, 1):
        at = token.start()
        mark = raw[at]
        if mark == 0x2C:  # a comma
            if not depth:
                found.append(raw[start:at])
                start = at + 1
        elif mark in b"[{":
            depth += 1
        elif mark in b"]}":
            if not depth:
                found.append(raw[start:at])
                if raw[at + 1 :].strip(_BLANKS):
                    fault = "goes on after its end"
                break
            depth -= 1
    else:
        found.append(raw[start:])
        fault = "was cut off"
    if not found[-1].strip(_BLANKS):  # nothing in it, or a comma too many at the end
        found.pop()
    return Cut(found, fault)


def elements(raw: bytes) -> list[bytes] | None:
    """The elements of an array, each as sent; None when it is none."""
    cut = _cut(raw, b"[")
    return None if cut is None else [piece.strip(_BLANKS) for piece in cut.pieces]


class Members(NamedTuple):
    """The members of an object in order: names in their quotes, values as sent."""

    #: A piece without a name and a colon stands under the empty name.
    pairs: list[tuple[bytes, bytes]]
    fault: str | None


def members(raw: bytes) -> Members | None:
    """The members of an object; None when it is none."""
    cut = _cut(raw, b"{")
    if cut is None:
        return None
    found = []
    for piece in cut.pieces:
        match = _MEMBER.match(piece)
        found.append((match[1], match[2].strip(_BLANKS)) if match else (b"", piece.strip(_BLANKS)))
    return Members(found, cut.fault)


def is_no_number(raw: bytes) -> bool:
    """Whether a value is written as NaN or infinity."""
    match = _NO_NUMBER.fullmatch(raw)
    return match is not None and match[1] is None


def without_no_numbers(raw: bytes) -> bytes:
    """The same with `null` for every NaN and infinity outside of strings."""
    return _NO_NUMBER.sub(lambda match: match[1] or b"null", raw)
