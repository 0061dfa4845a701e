"""What the flood levels are called and coloured: dated rows, the same on every screen."""

from datetime import UTC, datetime

import pytest

from api.contract import schemas
from api.pages.lite import style
from api.registry_cache import USUAL, levels_in_force

OLD = datetime(2000, 1, 1, tzinfo=UTC)
REFORM = {"ja": "危険水位", "en": "danger level"}


def row(level, ja="危険水位", en="danger level", colour="#112233", text="#FFEEDD"):
    return level, ja, en, colour, text, OLD


def test_a_row_that_cannot_be_used_takes_no_level_off_the_screens():
    found = levels_in_force(
        [row(1, colour="red}body{display:none"), row(2, text=""), row(3, ja=" ", en=""), row(4), row(9)]
    )
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert [(found[n].colour, found[n].text_colour) for n in (1, 2)] == [
        (USUAL[n].colour, USUAL[n].text_colour) for n in (1, 2)
    ]
    assert found[3].name == USUAL[3].name
    assert (found[4].name, found[4].colour, found[4].text_colour) == (REFORM, "#112233", "#FFEEDD")
    assert found[5] == USUAL[5]


def test_the_light_page_has_its_colours_from_the_table():
    sheet = style(levels_in_force([row(4)]))
    assert ".l4{background:#112233;color:#FFEEDD}" in sheet
    assert ".l3{background:#FF2800;color:#000000}" in sheet


@pytest.mark.integration
def test_on_the_day_of_a_reform_every_screen_changes_at_once(rows, serve_again):
    rows.newest(rows.station("reformed", thresholds={4: 1.0, 5: 9.0}), 2.0)
    rows.sql("DELETE FROM flood_level WHERE level = 4 AND valid_from > '2001-01-01Z'")

    def told() -> set[str]:
        with serve_again() as api:
            table = {
                one.level: one for one in schemas.FloodLevels.model_validate(api.json("/flood-levels")).flood_levels
            }
            (level,) = api.json("/levels/latest", station="reformed")["stations"]
            (first, _) = api.json("/stations/reformed")["thresholds"]
            light = "危険水位" if "4 危険</b>" in api.http.get("/lite").text else "氾濫危険水位"
            sheet = api.http.get("/api/lite.css").text
            assert f".l4{{background:{table[4].colour};color:{table[4].text_colour}}}" in sheet
            return {table[4].name.ja, level["flood_level_name"]["ja"], first["name"]["ja"], light}

    rows.sql("INSERT INTO flood_level VALUES (4, '2999-05-29Z', '危険水位', 'danger level', '#112233', '#FFEEDD')")
    try:
        assert told() == {"氾濫危険水位"}, "not yet"
        rows.sql("UPDATE flood_level SET valid_from = '2026-05-29T00:00+09' WHERE name_ja = '危険水位'")
        assert told() == {"危険水位"}
    finally:
        rows.sql("DELETE FROM flood_level WHERE name_ja = '危険水位'")
