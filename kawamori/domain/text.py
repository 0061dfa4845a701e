"""Text that people typed, made fit for a subject, a header or a screen: no hidden line break, no hidden order. Pure."""

import re
import unicodedata

#: What `str.splitlines` breaks a line at: a header ends there for some readers, a mail library refuses it.
_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
#: Unicode Standard Annex 9: embeddings, overrides, isolates and marks, by which a text reads in another order than it
#: is written ("5 m" for "m 5"). A message of ours has no use for them.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Shown as nothing: they make two different texts look alike.
_INVISIBLE = frozenset("\u200b\u2060\ufeff")


def is_hidden(character: str) -> bool:
    """Whether a character steers a text instead of being read: a control, a line or paragraph separator, a mark of
    direction, half a surrogate pair.
    """
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in BIDI or character in _INVISIBLE


def one_line(text: str) -> str:
    """The text in one line: every line break and control is a space, marks of direction are gone."""
    broken = _BREAKS.sub(" ", text)
    if not any(map(is_hidden, broken)):
        return broken
    return "".join(c if not is_hidden(c) else "" if c in BIDI or c in _INVISIBLE else " " for c in broken)


def lines(text: str) -> str:
    """The text with LF as its only line break, without controls and marks of direction."""
    return "\n".join(one_line(line) for line in _BREAKS.split(text))


def hidden_in(text: str, *, allowed: str = "") -> str | None:
    """The first hidden character as `U+2028`, but for those that are `allowed`; None where there is none."""
    found = next((c for c in text if c not in allowed and is_hidden(c)), None)
    return None if found is None else f"U+{ord(found):04X}"
