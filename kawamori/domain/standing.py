"""Is what a message says still so when it leaves? The last word that people have must be the state as it is. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Claim(StrEnum):
    """What a message says of an alert."""

    LASTS = "lasts"
    OVER = "over"
    #: It was no water.
    NEVER_WAS = "never_was"


class Verdict(StrEnum):
    """What becomes of a message about one alert."""

    SEND = "send"
    DROP = "drop"
    #: Sent in words that say how it is now.
    REPHRASE = "rephrase"


_CLAIMS = {"resolved": Claim.OVER, "withdrawn": Claim.NEVER_WAS}
_STATES = {"resolved": Claim.OVER, "withdrawn": Claim.NEVER_WAS}


def claim_of(event: str) -> Claim:
    """What an event says; whatever is no end says that the alert lasts."""
    return _CLAIMS.get(event, Claim.LASTS)


def claim_of_state(state: str | None) -> Claim:
    """What there is to be said of an alert in that state; None: it is in the record no more."""
    return Claim.NEVER_WAS if state is None else _STATES.get(state, Claim.LASTS)


#: The event that says so.
EVENT_OF = {Claim.LASTS: "raised", Claim.OVER: "resolved", Claim.NEVER_WAS: "withdrawn"}


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last that reached a person of an alert."""

    claim: Claim
    #: By a message that was made later than the one in question.
    newer: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What a person may have heard of an alert."""

    #: None: nothing is certain. An attempt that failed may have got through all the same, after it.
    last: LastWord | None = None
    #: Whether anything may have reached them at all.
    anything: bool = False


#: No delivery was attempted.
NOTHING = Heard()


def still_true(event: str, state: str | None, heard: Heard = NOTHING) -> tuple[Verdict, str]:
    """Whether a message with that event may leave while the alert stands like this, and why not.

    What is no longer so is said as it is now, unless the person knows that already for certain, or never heard of what
    turned out to be none.
    """
    says, is_ = claim_of(event), claim_of_state(state)
    last = heard.last
    if is_ is Claim.LASTS:
        if says is not is_:
            return Verdict.DROP, "the alert lasts again"
        known = last is not None and last.claim is is_ and last.newer
        return (Verdict.DROP, "said by another message") if known else (Verdict.SEND, "")
    if last is not None and last.claim is is_:
        return Verdict.DROP, "said by another message"
    if is_ is Claim.NEVER_WAS and not heard.anything:
        return Verdict.DROP, "withdrawn before anything was told of it"
    if says is is_:
        return Verdict.SEND, ""
    return Verdict.REPHRASE, "over meanwhile" if is_ is Claim.OVER else "withdrawn meanwhile"
