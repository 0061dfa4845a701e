"""The state of an alert as people see it: what is stored, with acknowledgement and shelving taken in."""


def shown_state(state: str, *, acknowledged: bool, shelved: bool) -> str:
    """Return pending, firing, shelved, acknowledged, resolved or withdrawn.

    `state` is the stored one; `shelved` says whether a silence covers the alert at this moment. The page decides the
    same at the end of a silence: both read tests/contracts/shown_state.json. The query `alerts_page` filters by it.
    """
    if state != "firing":
        return state
    if shelved:
        return "shelved"
    return "acknowledged" if acknowledged else "firing"
