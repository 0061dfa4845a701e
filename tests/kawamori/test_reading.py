"""Which readings something may be concluded from: the page reads the same vectors."""

import json
from pathlib import Path

import pytest

from kawamori.domain.reading import believed

VECTORS = json.loads((Path(__file__).parents[1] / "contracts/believed.json").read_text())["vectors"]


@pytest.mark.parametrize("given", VECTORS)
def test_a_value_is_believed_as_the_page_believes_it(given):
    assert believed(given["value"], given["flag"]) == given["believed"]
