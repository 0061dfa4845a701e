"""Look at a whole sheet before anything is written: what it would do, what is wrong and what is doubtful. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kawamori.domain.registration import doubts
from kawamori.domain.registration.doubts import Known
from kawamori.domain.registration.plans import Remark, Sheet
from kawamori.domain.registration.register import registered
from kawamori.domain.registration.standing import Change, Registered, changes
from kawamori.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration did, or would do."""

    changes: Sequence[Change] = ()
    #: What is doubtful; where anything is wrong there is no registration.
    remarks: Sequence[Remark] = ()
    #: Stations that were registered before.
    known: frozenset[str] = field(default_factory=frozenset)


def examine(sheet: Sheet, before: Registered, known: Known, now: datetime, *, strict: bool = False) -> Registration:
    """What a sheet would change; raises ConfigurationError, one line a wrong (`strict`: or doubtful) field."""
    remarks = doubts.of_sheet(sheet, known, before)
    _refuse_wrong(remarks, strict=False)
    done = registered(before, sheet, now)
    remarks = doubts.told_once([*remarks, *done.remarks, *doubts.of_outcome(sheet, known, done.rows, now)])
    _refuse_wrong(remarks, strict=strict)
    return Registration(list(changes(before, done.rows)), remarks, done.known)


def _refuse_wrong(remarks: Sequence[Remark], *, strict: bool) -> None:
    wrong = [str(remark) for remark in remarks if remark.is_error]
    doubtful = [f"warning: {remark}" for remark in remarks if not remark.is_error]
    if wrong or (strict and doubtful):
        raise ConfigurationError("\n".join(["the sheet is refused", *wrong, *doubtful]))
