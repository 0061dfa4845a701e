"""What people type is refused where it holds what nobody sees."""

import pytest
from pydantic import TypeAdapter, ValidationError

from api.contract.requests import Line, Note, PersonBody, Ref, SilenceBody

HIDDEN = ["\u2028", "\u2029", "\x85", "\u202e", "\u2066", "\u200f", "\ufeff", "\x1c", "\x0b", "\x00"]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("kind", [Line, Note, Ref])
def test_no_hidden_character_comes_in(kind, hidden):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(f"青{hidden}柳")


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_hidden_character_comes_in_by_a_name_an_address_or_a_reason(hidden):
    text = f"a{hidden}b"
    with pytest.raises(ValidationError):
        PersonBody.model_validate({"kind": "person", "name": text})
    with pytest.raises(ValidationError):
        PersonBody.model_validate(
            {"kind": "person", "name": "x", "addresses": [{"channel": "smtp", "address": f"a{hidden}@city.example"}]}
        )
    with pytest.raises(ValidationError):
        SilenceBody.model_validate({"ends_at": "2026-09-01T00:00:00Z", "reason": text})


def test_a_note_may_have_several_lines_and_a_line_one():
    assert TypeAdapter(Note).validate_python("一行目\n二行目\t欄") == "一行目\n二行目\t欄"
    with pytest.raises(ValidationError, match="one line"):
        TypeAdapter(Line).validate_python("一\n二")
