# ruff: noqa: E501 - a table reads best unbroken
"""The last word that people have of an alert is the state as it is, whatever is delivered when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kawamori.domain.standing import (
    EVENT_OF,
    NOTHING,
    Claim,
    Heard,
    LastWord,
    Verdict,
    claim_of,
    claim_of_state,
    still_true,
)

LASTS, OVER, NEVER = Claim.LASTS, Claim.OVER, Claim.NEVER_WAS
SEND, DROP, REPHRASE = Verdict.SEND, Verdict.DROP, Verdict.REPHRASE


def told(claim, newer=False):
    return Heard(last=LastWord(claim, newer), anything=True)


@pytest.mark.parametrize(
    ("event", "state", "heard", "verdict"),
    [
        ("raised", "firing", NOTHING, SEND), ("escalated", "firing", told(LASTS), SEND),
        ("raised", "firing", told(OVER), SEND), ("raised", "firing", told(LASTS, newer=True), DROP),
        ("raised", "resolved", NOTHING, REPHRASE), ("raised", "resolved", told(LASTS), REPHRASE),
        ("raised", "resolved", told(OVER, newer=True), DROP),
        ("raised", "withdrawn", NOTHING, DROP), ("raised", None, NOTHING, DROP), ("raised", "withdrawn", told(LASTS), REPHRASE),
        ("raised", "withdrawn", Heard(anything=True), REPHRASE),
        ("resolved", "firing", told(LASTS), DROP), ("resolved", "pending", told(LASTS), DROP),
        ("resolved", "resolved", told(LASTS), SEND), ("resolved", "resolved", NOTHING, SEND),
        ("resolved", "resolved", told(OVER), DROP), ("resolved", "withdrawn", told(LASTS), REPHRASE),
        ("resolved", "withdrawn", NOTHING, DROP),
        ("withdrawn", "withdrawn", told(LASTS), SEND), ("withdrawn", "withdrawn", NOTHING, DROP),
        ("withdrawn", "firing", told(LASTS), DROP), ("withdrawn", "resolved", told(LASTS), REPHRASE),
    ],
)  # fmt: skip
def test_what_becomes_of_a_message_when_it_leaves(event, state, heard, verdict):
    assert still_true(event, state, heard)[0] is verdict


#: What the engine tells of each change of a state.
CHANGES = {
    "firing": {"resolved": "resolved", "withdrawn": "withdrawn"}, "resolved": {"firing": "raised", "withdrawn": "withdrawn"},
    "withdrawn": {"firing": "raised"},
}  # fmt: skip


@settings(max_examples=1000)
@given(st.data())
def test_for_every_history_and_every_order_of_delivery_the_last_word_is_the_state_as_it_is(data):
    """One person, one alert; any message in the outbox may be tried at any moment, and may get through or not."""
    state, made, waiting, log = "firing", 1, [(1, "raised")], []

    def attempt(message, outcome):
        id_, event = message
        certain = log[-1] if log and log[-1][2] else None
        last = None if certain is None else LastWord(certain[1], newer=certain[0] > id_)
        verdict, _ = still_true(event, state, Heard(last=last, anything=bool(log)))
        if verdict is DROP:
            waiting.remove(message)
            return
        claim = claim_of(event) if verdict is SEND else claim_of_state(state)
        if verdict is REPHRASE:
            waiting[waiting.index(message)] = message = (id_, EVENT_OF[claim])
        if outcome != "failed":
            log.append((id_, claim, outcome == "delivered"))  # got through, perhaps without our knowing
        if outcome == "delivered":
            waiting.remove(message)

    for _ in range(data.draw(st.integers(0, 12))):
        if data.draw(st.booleans()):
            state, event = data.draw(st.sampled_from(sorted(CHANGES[state].items())))
            made += 1
            waiting.append((made, event))
        elif waiting:
            attempt(data.draw(st.sampled_from(waiting)), data.draw(st.sampled_from(["delivered", "failed", "unknown"])))
    while waiting:
        attempt(data.draw(st.sampled_from(waiting)), "delivered")
    if log:
        assert log[-1][1] is claim_of_state(state)
    else:
        assert state == "withdrawn", "only what was no water is never told at all"
