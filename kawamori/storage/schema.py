"""The steps of the schema, and whether a database's steps and this version's fit together.

A version is known by its newest step. A step may say `-- compatible from: NNNN`: once it is applied, services of
versions before NNNN no longer work. A step without that line takes nothing away, so that every older version goes on.
Removing or renaming what an older version uses needs the line (docs/decisions/0021-schema-handshake.md).
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_COMPATIBLE = re.compile(r"^-- compatible from: (\d{4})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; the checksum tells when a step that was applied has been edited."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def compatible_from(self) -> int:
        """A version works with this step if its own newest step has at least this number; 0: every version."""
        found = _COMPATIBLE.search(self.text)
        return int(found[1]) if found else 0


def migrations() -> list[Migration]:
    """Every step, in order."""
    steps = [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text("utf-8"))
        for file in files("kawamori.storage").joinpath("migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(steps, key=lambda step: step.number)


@cache
def known_steps() -> frozenset[int]:
    """The numbers of this version's steps."""
    return frozenset(step.number for step in migrations())


def misfit(applied: Mapping[int, int], known: Collection[int]) -> str | None:
    """Why a version that knows these steps cannot work on a database with those applied, or None. Pure.

    `applied` are the steps of the database, each with its `compatible_from`.
    """
    missing = sorted(set(known) - applied.keys())
    if missing:
        return f"the schema is older than this version, step {missing[0]:04} is missing: run `kawamori db migrate`"
    newest = max(known, default=0)
    breaking = sorted(number for number, since in applied.items() if number not in known and since > newest)
    if breaking:
        return (
            f"the schema is newer than this version, whose services do not work with step {breaking[0]:04}: start the"
            " version that the schema was migrated for"
        )
    return None
