"""Who is told next: the right chain for an alert, and a way through it that always ends."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kawamori.domain.escalation import Escalation, Position, Step, after, choose, most_steps


def escalation(id_: str, steps: int = 1, **more: Any) -> Escalation:
    return Escalation(id=id_, name=id_, steps=tuple(Step(to=(f"{id_}{i}",)) for i in range(steps)), **more)


def by_id(*some: Escalation) -> dict[str, Escalation]:
    return {e.id: e for e in some}


def way(escalations: dict[str, Escalation], position: Position | None, most: int = 10_000) -> list[Position]:
    """Every position from here on, when nobody ever answers."""
    positions: list[Position] = []
    while position is not None and len(positions) < most:
        positions.append(position)
        position = after(escalations, position)
    return positions


def test_every_step_is_told_then_again_then_the_next_chain() -> None:
    chains = by_id(escalation("a", 2, repeat=1, then="b"), escalation("b", 1, repeat=0))
    assert [(p.escalation, p.round, p.step) for p in way(chains, Position(escalation="a"))] == [
        ("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a", 1, 1), ("b", 0, 0),
    ]  # fmt: skip


def test_repeat_0_is_told_once_and_n_times_again_n_times() -> None:
    for repeat in (0, 1, 5):
        assert len(way(by_id(escalation("a", 3, repeat=repeat)), Position(escalation="a"))) == 3 * (repeat + 1)


def test_chains_that_lead_back_to_themselves_end_all_the_same() -> None:
    chains = by_id(escalation("a", then="b"), escalation("b", then="a"), escalation("c", then="a"))
    assert [p.escalation for p in way(chains, Position(escalation="a"))] == ["a", "a"]
    assert [p.escalation for p in way(chains, Position(escalation="c"))] == ["c", "c", "a", "a"]


def test_a_chain_that_was_shortened_or_removed_meanwhile_goes_on_or_ends() -> None:
    chains = by_id(escalation("a", 1, repeat=1))
    assert after(chains, Position(escalation="a", step=7)) == Position(escalation="a", step=0, round=1)
    assert after(chains, Position(escalation="a", step=7, round=9)) is None
    assert after(chains, Position(escalation="gone")) is None
    assert after(by_id(escalation("a", then="gone", repeat=0)), Position(escalation="a")) is None


ids = st.sampled_from("abcdef")


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Escalation]:
    """Escalations that go on to each other in any way."""
    found: dict[str, Escalation] = {}
    for id_ in draw(st.lists(ids, unique=True, min_size=1)):
        then = draw(st.none() | ids)
        found[id_] = escalation(
            id_, draw(st.integers(1, 4)), repeat=draw(st.integers(0, 3)), then=None if then == id_ else then,
            river=draw(st.sampled_from([None, "r", "q"])), min_level=draw(st.integers(0, 5)),
            topics=tuple(draw(st.sets(st.sampled_from(["flood", "equipment"])))),
        )  # fmt: skip
    return found


@settings(max_examples=500)
@given(networks(), ids, st.integers(0, 9), st.integers(0, 9))
def test_nobody_is_told_for_ever(chains: dict[str, Escalation], first: str, step: int, round_: int) -> None:
    most = most_steps(chains, first)
    positions = way(chains, Position(escalation=first))
    assert len(positions) <= max(1, most)
    assert len({(p.escalation, p.round, p.step) for p in positions}) == len(positions)  # nowhere twice
    assert len(way(chains, Position(escalation=first, step=step, round=round_))) <= 1 + most
    for position in positions:
        assert first not in chains or position.step < len(chains[position.escalation].steps)


@settings(max_examples=500)
@given(networks(), st.sampled_from(["flood", "equipment"]), st.sampled_from([None, "r", "x"]), st.integers(0, 5))
def test_the_chain_of_an_alert_is_its_rivers_before_all_rivers_and_the_highest_it_reaches(
    chains: dict[str, Escalation], topic: str, river: str | None, level: int
) -> None:
    found = choose(chains, topic=topic, river=river, level=level)

    def fits(e: Escalation) -> bool:
        return topic in e.topics and e.river in (None, river) and (topic != "flood" or e.min_level <= level)

    if found is None:
        assert not any(map(fits, chains.values()))
        return
    assert fits(found)
    for other in filter(fits, chains.values()):
        if found.river is None:
            assert other.river is None
        if (other.river is None) == (found.river is None):
            assert other.min_level <= found.min_level


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(to=()), "to: must name a contact"),
        (lambda: Step(to=("a",), wait=timedelta(0)), "wait: must be more than 0"),
        (lambda: escalation("a", 0), "steps: must not be empty"),
        (lambda: escalation("a", min_level=6), "min_level: must be 0 to 5"),
        (lambda: escalation("a", repeat=-1), "repeat: must be 0 to 100"),
        (lambda: escalation("a", then="a"), "then: must not be the escalation itself"),
    ],
)
def test_a_wrong_escalation_is_refused_by_the_name_of_its_field(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
