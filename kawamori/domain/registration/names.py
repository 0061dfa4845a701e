"""Names that people read on screens and in messages: what must not be in them."""

import unicodedata

LONGEST_NAME = 100
#: Control, format (bidi marks, zero-width and tag characters), surrogate, private use, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def check_name(text: str) -> str:
    """The name without spaces around it; raises ValueError for invisible characters and line ends."""
    found = text.strip(" \u3000")
    for place, character in enumerate(found, start=1):
        if unicodedata.category(character) in _UNSEEN:
            raise ValueError(f"character {place} is U+{ord(character):04X}, which is invisible or ends a line")
    if not 1 <= len(found) <= LONGEST_NAME:
        raise ValueError(f"must be 1 to {LONGEST_NAME} characters")
    return found


def same_to_a_reader(text: str) -> str:
    """What two spellings of one name share: width, case, composition and spaces aside."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
