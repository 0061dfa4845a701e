"""Who is there to be told, while contacts and escalations change under an open incident."""

from datetime import UTC, datetime

from alerts.notifier import Roster
from kawamori.domain.escalation import Escalation, Position, Step
from kawamori.domain.people import Address, Contact, Person

NOW = datetime(2026, 7, 14, tzinfo=UTC)


def duty(*steps: str, repeat: int = 1) -> Roster:
    contacts: dict[str, Contact] = {
        name: Person(id=name, name=name, addresses=(Address(channel="smtp", address=f"{name}@city.example"),))
        for name in ("first", "second")
    } | {"mute": Person(id="mute", name="mute")}
    chain = Escalation(id="duty", name="当直", steps=tuple(Step(to=(to,)) for to in steps), repeat=repeat)
    return Roster(contacts, {"duty": chain}, NOW)


def reached(known: Roster, step: int, round_: int = 0) -> tuple[Position | None, list[str]]:
    position, found = known.reach(Position(escalation="duty", step=step, round=round_))
    return position, [person.id for person in found]


def test_a_chain_shortened_while_it_is_gone_through_goes_on_with_its_next_round() -> None:
    assert reached(duty("first"), 1) == (Position(escalation="duty", step=0, round=1), ["first"])
    assert reached(duty("first"), 1, round_=1) == (None, [])


def test_a_step_with_nobody_to_reach_is_passed_over() -> None:
    assert reached(duty("mute", "gone", "second"), 0) == (Position(escalation="duty", step=2), ["second"])
    assert reached(duty("mute"), 0) == (None, [])
    position, found = Roster({}, {}, NOW).reach(Position(escalation="duty"))
    assert (position, found) == (None, [])
