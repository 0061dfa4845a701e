"""How fast the water moves, in the words of the people who read it: the page reads the same vectors."""

import json
from pathlib import Path

import pytest

from kawamori.domain.trend import change_per_10min

VECTORS = json.loads((Path(__file__).parents[1] / "contracts/change_per_10min.json").read_text())["vectors"]


@pytest.mark.parametrize("given", VECTORS)
def test_a_trend_is_rounded_as_the_page_rounds_it(given):
    assert change_per_10min(given["trend_m_per_h"]) == given["cm_per_10min"]
