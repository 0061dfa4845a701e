"""HTML from the templates in this folder (Jinja2): every value is escaped, and a name that is not given is an error."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent
_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def render(template: str, /, **values: Any) -> str:
    """A page, or a part of one, from `templates/NAME`; raises UndefinedError for a value that is missing."""
    return _templates.get_template(template).render(values)


def rendered(text: str) -> Markup:
    """What `render` gave, to be put into another page as it is."""
    return Markup(text)  # noqa: S704 - it was escaped when it was made


@cache
def style(name: str) -> str:
    """A style sheet, `styles/NAME.css`."""
    return (_HERE / "styles" / f"{name}.css").read_text(encoding="utf-8")
