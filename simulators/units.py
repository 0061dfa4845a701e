"""How people write units: in a column of their own, beside a number, in the name of a column. Pure."""

import re
import unicodedata

#: What people write for a unit, in small letters, in a column of its own or beside a number.
_UNITS = {
    **dict.fromkeys(("masd", "maod", "m asd", "m aod", "metre", "metres", "meter", "meters", "メートル"), "m"),
    **dict.fromkeys(("cm", "cms", "センチ", "センチメートル"), "cm"),
    **dict.fromkeys(("mm", "ミリ", "ミリメートル"), "mm"),
    **dict.fromkeys(("ft", "foot", "feet"), "ft"),
    **dict.fromkeys(("in", "inch", "inches"), "in"),
    **{word: word for word in ("dm", "km", "yd", "%", "cfs")},
    "°c": "°C", "°f": "°F", "hpa": "hPa", "kpa": "kPa",
}  # fmt: skip
#: The unit that ends the name of a column: `水位(cm)`, `stage [ft]`, `level_mm`.
_UNIT_IN_NAME = re.compile(r".+?(?:[(\[](?P<in_brackets>[^()\[\]]+)[)\]]|[_ ](?P<last>m|cm|mm|ft))")


def unit_of(text: str) -> str:
    """The unit that a cell of a unit column names, as it stands there where it is not known."""
    text = unicodedata.normalize("NFKC", text).strip()
    return known_unit(text) or text


def known_unit(word: str) -> str | None:
    """The symbol of a unit that is written so; a single capital letter is a mark, no unit."""
    return "m" if word == "m" else _UNITS.get(word.lower())


def unit_in_name(column: str) -> str | None:
    """The unit that a column's name ends with; None where it names none."""
    found = _UNIT_IN_NAME.fullmatch(unicodedata.normalize("NFKC", column).strip())
    return None if found is None else known_unit((found["in_brackets"] or found["last"]).strip())
