"""The registration sheet: what is wrong is named."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kawamori.errors import ConfigurationError
from kawamori.sheet import read_sheet
from simulators.city import plans

BRIDGE = {
    "station_id": "bridge", "name_ja": "橋", "name_en": "Bridge", "river_id": "r", "river_name_ja": "川",
    "river_name_en": "River",
}  # fmt: skip


def sheet(tmp_path, **more):
    file = tmp_path / "stations.json"
    file.write_text(json.dumps([BRIDGE | more]))
    return file


def test_a_ward_and_a_cross_section_are_taken(tmp_path):
    points = [[0, 5], [0, 4.5], [10, -1.25], [21, 5]]
    (plan,) = read_sheet(sheet(tmp_path, ward_ja="港区", ward_en="Minato", cross_section=points))
    assert (plan.ward_ja, plan.ward_en) == ("港区", "Minato")
    assert [list(point) for point in plan.cross_section] == points


@pytest.mark.parametrize(
    "points", [[[0, 1], [2, 3]], [[0, 1], [5, 0], [4, 1]], [[0, 1], [1, None], [2, 1]], [[0, 1, 2]], [[0, 1e9]] * 3, 7]
)
def test_a_wrong_cross_section_is_named(tmp_path, points):
    with pytest.raises(ConfigurationError, match=r"station 0\.cross_section"):
        read_sheet(sheet(tmp_path, cross_section=points))


def test_the_sheet_in_the_manual_is_understood(tmp_path):
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    (tmp_path / "stations.json").write_text(re.search(r"```json\n(.+?)```", manual, re.DOTALL)[1])
    (plan,) = read_sheet(tmp_path / "stations.json")
    assert max(z for _, z in plan.cross_section) == plan.marks["crest_left"]


def test_the_demo_citys_levees_are_where_its_crests_are():
    for plan in plans(datetime(2026, 7, 14, tzinfo=UTC)):
        offsets = [x for x, _ in plan.cross_section]
        middle = offsets[-1] / 2
        heights = plan.cross_section
        assert offsets == sorted(offsets)
        assert max(z for x, z in heights if x < middle) == plan.marks["crest_left"]
        assert max(z for x, z in heights if x > middle) == plan.marks["crest_right"]
        assert min(z for _, z in heights) < 0 < plan.thresholds[1]
