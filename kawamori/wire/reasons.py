"""Why a message is refused, in words that name the field and repeat nothing of the content. Pure."""

import re

import msgspec

#: What the decoder raises for bytes of any kind.
DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Names of unknown fields that may be repeated in a reason.
_PLAIN_NAME = re.compile(r"unknown field `[a-z_]{1,32}`$")


def explain(error: Exception) -> str:
    """Name the field and what is wrong with it, without any content of the message."""
    if isinstance(error, msgspec.ValidationError):
        text, _, path = str(error).partition(" - at `$")
        field = path.strip("`.") or "message"
        if "unknown field" in text and not _PLAIN_NAME.search(text):  # the sender's: any length, any character
            text = "Holds a field that is not of the contract"
        if field == "time" and "timezone" in text:
            return "time: has no offset from UTC"
        return f"{field}: {text[0].lower()}{text[1:]}"[:200]
    return "message: not valid JSON"
