"""Heights that people type: numbers that stand for "none" in other systems' tables are none. Pure."""

#: What such tables hold where a level is not defined.
_NONE_AT_ALL = frozenset({999.0, 9999.0, 99999.0, 999.9, 999.99, 9999.9, 9999.99, 999999.0, 32767.0, 65535.0, -32768.0})
#: No gauge's threshold, mark or zero lies deeper or higher, in metres: what does stands for "none".
_DEEPEST_M, HIGHEST_M = -50.0, 5000.0


def check_height(value: float) -> float:
    """The height itself, in metres; raises ValueError where it can be none."""
    if value in _NONE_AT_ALL or not _DEEPEST_M <= value <= HIGHEST_M:
        raise ValueError(f"{value:g} is no height in metres: leave out what is not defined")
    return value
