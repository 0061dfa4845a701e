"""Every decision names what keeps it, and what it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def kept_by(decision: Path) -> list[str]:
    """The files and tests behind a decision's last `Kept by`; commands and prose in quotes are left out."""
    _, _, last = decision.read_text("utf-8").rpartition("Kept by")
    return [word for word in re.findall(r"`([^`]+)`", last) if " " not in word]


def test_there_are_decisions():
    assert len(DECISIONS) >= 22


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.stem)
def test_what_a_decision_is_kept_by_exists(decision):
    named = kept_by(decision)
    assert named
    for word in named:
        path, _, test = word.partition("::")
        assert (ROOT / path).exists(), word
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), word
