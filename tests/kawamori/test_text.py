"""No hidden line break and no hidden order in what people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kawamori.domain.text import BIDI, hidden_in, is_hidden, lines, one_line


@given(st.text())
def test_one_line_is_one_line_whatever_is_in_it(text):
    found = one_line(text)
    assert len(found.splitlines()) <= 1
    assert not any(map(is_hidden, found))


@given(st.text())
def test_lines_break_at_lf_alone(text):
    found = lines(text)
    assert not any(c != "\n" and is_hidden(c) for c in found)
    assert found.split("\n") == (found + "\n").splitlines()


@pytest.mark.parametrize("breaking", "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_every_character_that_breaks_a_line_is_a_space_in_one_line_and_lf_in_several(breaking):
    assert one_line(f"川{breaking}水") == "川 水"
    assert lines(f"川{breaking}水") == "川\n水"
    assert hidden_in(f"川{breaking}水") == f"U+{ord(breaking):04X}"


@pytest.mark.parametrize("mark", sorted(BIDI))
def test_marks_of_direction_are_gone(mark):
    assert one_line(f"水位 {mark}5.00{mark} m") == "水位 5.00 m"


def test_plain_text_stays_as_it_is():
    text = "氾濫危険水位 4.00 m（基準）— café ½ 👩🏽‍🚒"
    assert one_line(text) == lines(text) == text
    assert hidden_in("一行目\n二行目\t欄", allowed="\n\t") is None
