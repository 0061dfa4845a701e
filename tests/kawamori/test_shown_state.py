"""The state of an alert that people see: the page reads the same vectors."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kawamori.domain.shown_state import shown_state
from kawamori.domain.silence import Silence

NOW = datetime(2026, 7, 14, 2, 0, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[1] / "contracts/shown_state.json").read_text())["vectors"]


def shelved(seconds: int | None) -> bool:
    """Whether a silence of an hour that ends in so many seconds holds now."""
    if seconds is None:
        return False
    ends = NOW + timedelta(seconds=seconds)
    return Silence(
        id=1, alert=1, starts_at=ends - timedelta(hours=1), ends_at=ends, reason="works", author="duty"
    ).in_force(NOW)


@pytest.mark.parametrize("given", VECTORS)
def test_an_alert_is_shown_as_the_page_shows_it(given):
    found = shown_state(given["state"], acknowledged=given["acknowledged"], shelved=shelved(given["shelved_for_s"]))
    assert found == given["shown"]
