"""The order of danger."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kawamori.domain.danger import Danger

NOW = datetime(2026, 9, 9, 12, tzinfo=UTC)
levels = st.integers(0, 5)
some = st.none() | st.floats(-3, 3)
dangers = st.builds(
    Danger, station=st.sampled_from("abcdef"), unanswered=levels, flood_level=levels,
    arrives=st.none() | st.integers(0, 180).map(lambda m: NOW + timedelta(minutes=m)), share=some, to_go_m=some,
    trend_m_per_h=some,
)  # fmt: skip


@given(st.lists(dangers, unique_by=lambda d: d.station), st.randoms())
def test_the_order_does_not_depend_on_where_they_came_from(found, chance):
    mixed = chance.sample(found, len(found))
    assert sorted(mixed, key=lambda d: d.key) == sorted(found, key=lambda d: d.key)


@given(st.lists(dangers))
def test_no_higher_unanswered_level_ever_stands_below_a_lower_one(found):
    ordered = sorted(found, key=lambda d: d.key)
    assert [d.unanswered for d in ordered] == sorted((d.unanswered for d in found), reverse=True)
    for one, other in pairwise(ordered):
        if one.unanswered == other.unanswered:
            assert one.flood_level >= other.flood_level


def test_each_thing_decides_where_all_before_it_are_the_same():
    calm = {"station": "m", "flood_level": 2, "arrives": NOW + timedelta(hours=1), "share": 0.4,
            "to_go_m": 0.5, "trend_m_per_h": 0.1}  # fmt: skip
    for more in ({"unanswered": 1}, {"flood_level": 3}, {"arrives": NOW}, {"share": 0.5}, {"to_go_m": 0.4},
                 {"trend_m_per_h": 0.2},
                 {"station": "a"}):  # fmt: skip
        assert Danger(**{**calm, **more}).key < Danger(**calm).key


def test_what_is_not_known_lifts_nothing():
    known = Danger(station="z", arrives=NOW + timedelta(hours=2), share=-0.9, trend_m_per_h=0.1)
    for unknown in ({"share": 3.0}, {"to_go_m": 0.1}, {"arrives": NOW + timedelta(hours=2)}):
        assert known.key < Danger(station="a", **unknown).key
