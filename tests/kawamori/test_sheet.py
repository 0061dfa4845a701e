# ruff: noqa: E501 - one case a line reads best
"""The registration sheet: what is wrong is named."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kawamori.domain.registration.doubts import BUILT_IN
from kawamori.domain.registration.examine import examine
from kawamori.domain.registration.standing import nothing_registered
from kawamori.errors import ConfigurationError
from kawamori.operate.sheet import read_sheet
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
    (plan,) = read_sheet(sheet(tmp_path, ward_ja="港区", ward_en="Minato", cross_section=points)).stations
    assert (plan.ward_ja, plan.ward_en) == ("港区", "Minato")
    assert [list(point) for point in plan.cross_section] == points


@pytest.mark.parametrize(
    "points", [[[0, 1], [2, 3]], [[0, 1], [5, 0], [4, 1]], [[0, 1], [1, None], [2, 1]], [[0, 1, 2]], [[0, 1e9]] * 3, 7]
)
def test_a_wrong_cross_section_is_named(tmp_path, points):
    with pytest.raises(ConfigurationError, match=r"bridge: cross_section"):
        read_sheet(sheet(tmp_path, cross_section=points))


def test_the_sheet_in_the_manual_is_understood(tmp_path):
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    (tmp_path / "stations.json").write_text(re.search(r"```json\n(.+?)```", manual, re.DOTALL)[1])
    found = read_sheet(tmp_path / "stations.json")
    (plan,) = found.stations
    assert max(z for _, z in plan.cross_section) == plan.marks["crest_left"]
    assert not examine(
        found, nothing_registered(), replace(BUILT_IN, asked=True), datetime(2026, 7, 1, tzinfo=UTC)
    ).remarks


def refusal(file) -> str:
    """Why a sheet is refused, or what is doubtful about it."""
    now = datetime(2026, 7, 1, tzinfo=UTC)
    try:
        return "\n".join(
            map(str, examine(read_sheet(file), nothing_registered(), replace(BUILT_IN, asked=True), now).remarks)
        )
    except ConfigurationError as error:
        return f"REFUSED {error}"


def sensor(**more):
    return [{"quantity": "water_level", "device_id": "a"} | more]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"time_zone": "Asia/Tokio"}, "bridge: time_zone: no time zone of this name"),
        ({"time_zone": "JST"}, "bridge: time_zone: no time zone"),
        ({"time_zone": "../etc/passwd"}, "bridge: time_zone: no time zone"),
        ({"thresholds": {"1": float("nan")}}, "bridge: thresholds.1: must be a finite number"),
        ({"thresholds": {"1": {"value_m": float("inf")}}}, "bridge: thresholds.1.value_m: must be a finite number"),
        ({"thresholds": {"1": 10**400}}, "bridge: thresholds.1: must be a finite number"),
        ({"thresholds": {"1": True}}, "bridge: thresholds.1: must be a number"),
        ({"thresholds": {"1": "2.0"}}, "bridge: thresholds.1: must be a number"),
        ({"thresholds": {"3": -9999}}, "bridge: thresholds.3: -9999 is no height"),
        ({"thresholds": {"3": -99.99}}, "bridge: thresholds.3: -99.99 is no height"),
        ({"thresholds": {"3": 999}}, "bridge: thresholds.3: 999 is no height"),
        ({"thresholds": {"6": 2.0}}, "bridge: thresholds.6: Input should be less than or equal to 5"),
        ({"thresholds": {"2": 2.0, "02": 5.0}}, "bridge: thresholds.02: a level is 1 to 5, written as one digit"),
        ({"thresholds": {"1": 2, "2": 28, "3": 3.5}}, "bridge: thresholds.3: 3.5 m must lie above level 2 (28 m)"),
        ({"thresholds": {"1": 2, "2": 2}}, "bridge: thresholds.2: 2 m must lie above level 1"),
        ({"thresholds": {"1": {"value_m": 2, "hold": 5}}}, "bridge: thresholds.1.hold: must be an ISO 8601 duration"),
        ({"gauge_zero_tp_m": -9999}, "bridge: gauge_zero_tp_m: -9999 is no height"),
        ({"marks": {"crest_left": float("nan")}}, "bridge: marks.crest_left: must be a finite number"),
        ({"marks": {"crest": 5}}, "bridge: marks.crest: Input should be 'crest_left'"),
        ({"lon": 36.4, "lat": 140.5}, "bridge: lat: 140.5 must be -90 to 90: are lon and lat swapped?"),
        ({"station_id": "brid\u200bge"}, "station 0: station_id: String should match"),
        ({"station_id": "bridge\n"}, "station 0: station_id: String should match"),
        ({"name_ja": "橋\u2028"}, "bridge: name_ja: character 2 is U+2028"),
        ({"name_ja": "橋\u0085梁"}, "bridge: name_ja: character 2 is U+0085"),
        ({"ward_en": "\u202eegdirB"}, "bridge: ward_en: character 1 is U+202E"),
        ({"river_name_en": "A\u0000"}, "bridge: river_name_en: character 2 is U+0000"),
        ({"name_en": "  "}, "bridge: name_en: must be 1 to 100 characters"),
        ({"colour": "red"}, "bridge: colour: is no field of a sheet"),
        ({"valid_from": "2026-04-01T00:00:00"}, "bridge: valid_from: Input should have timezone info"),
        ({"sensors": sensor(report_every=600)}, "bridge: sensors.0.report_every: must be an ISO 8601 duration"),
        ({"sensors": sensor(scale=0)}, "bridge: sensors.0.scale: must not be 0"),
        ({"sensors": sensor(quantity="level")}, "bridge: sensors.0.quantity: 'level' is no quantity"),
        ({"sensors": sensor(reports="depth")}, "bridge: sensors.0.reports: 'depth' is no quantity"),
        ({"sensors": sensor(span={"max": 9, "unit": "yd"})}, "bridge: sensors.0.span.unit: 'yd' is no unit"),
        ({"sensors": sensor(span={"max": 9, "unit": "kPa"})}, "kPa is a unit of pressure, which the device does not report"),
        ({"sensors": sensor(span={"min": 9, "max": 0, "unit": "m"})}, "bridge: sensors.0.span: min must be less than max"),
        ({"sensors": sensor(nothing=[float("nan")])}, "bridge: sensors.0.nothing.0: must be a finite number"),
        ({"sensors": sensor(model="R 7")}, "bridge: sensors.0.model: no device model 'R 7' is registered"),
        ({"sensors": sensor(limits={"range_min": 9, "range_max": 3})}, "sensors.0.limits.range_max: 3 must be more than"),
        ({"sensors": sensor(valid_from="2026-04-01T00:00:00Z", valid_to="2026-03-01T00:00:00Z")}, "sensors.0.valid_to: must"),
        ({"sensors": sensor() + sensor(device_id="b")}, "bridge: sensors.1.quantity: water_level is given twice"),
        ({"thresholds": {"1": 377}, "gauge_zero_tp_m": 363.19, "marks": {"crest_left": 16}, "sensors": sensor()},
         "bridge: thresholds.1: 377 m lies above the levee's crest (16 m): is it a T.P. height (gauge zero 363.19, so 13.81 m"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_field_with_the_stations_name(tmp_path, more, said):
    assert said in (words := refusal(sheet(tmp_path, **more)))
    assert words.startswith("REFUSED")


CREST = {"marks": {"crest_left": 6.0, "crest_right": 5.0}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"thresholds": {"1": 2.0, "5": 5.5}, **CREST}, "bridge: thresholds.5: 5.5 m lies above the levee's crest (5 m)"),
        ({"thresholds": {"1": 370.0}, "gauge_zero_tp_m": 363.0}, "thresholds.1: 370 m: is it a T.P. height (gauge zero 363"),
        ({"thresholds": {"1": 9.0}, "sensors": sensor(limits={"range_max": 8})}, "thresholds.1: 9 m lies above range_max (8 m)"),
        ({"thresholds": {"1": 9.0}, "sensors": sensor(span={"max": 800, "unit": "cm"})},
         "bridge: thresholds.1: 9 m lies above what a can measure (up to 8 m)"),
        ({"thresholds": {"1": 7.2}, "sensors": sensor(reports="distance", scale=-1, shift=7.25,
                                                      span={"min": 200, "max": 9000, "unit": "mm"})},
         "bridge: thresholds.1: 7.2 m lies above what a can measure (up to 7.05 m)"),
        ({"thresholds": {"1": 2}, "sensors": sensor(reports="distance", scale=1)}, "sensors.0.scale: a distance that shrinks"),
        ({"thresholds": {"1": 2}, "sensors": sensor(reports="distance", scale=-1)},
         "thresholds.1: 2 m lies above what a can measure (up to 0 m)"),
        ({"thresholds": {"1": 2}, "sensors": sensor(reports="distance", scale=-1, shift=800)},
         "sensors.0.shift: hangs 800 m above zero, far above the highest threshold: is it in metres?"),
        ({"thresholds": {"1": 2}, "sensors": sensor(reports="distance", scale=-1, shift=8, span={"min": 0.3, "max": 30, "unit": "mm"})},
         "thresholds.1: 2 m lies below what a can measure (from 7.97 m)"),
        ({"sensors": sensor()}, "bridge: thresholds: there are none: no water level of this station will ever alarm"),
        ({"thresholds": {"1": 2}, "hold": "P1D"}, "bridge: hold: people are told only 24 h after the water came"),
        ({"thresholds": {"1": {"value_m": 2, "hold": "PT45M"}}}, "thresholds.1.hold: people are told only 45 min after"),
        ({"thresholds": {"1": {"value_m": 2, "consecutive": 100}}, "sensors": sensor()},
         "thresholds.1.consecutive: 100 readings of one every 10 min take 16.5 h: nobody is told before"),
        ({"thresholds": {"1": {"value_m": 2, "keep_firing": "P1D"}}}, "thresholds.1.keep_firing: the alert lasts 24 h longer"),
        ({"thresholds": {"1": 2}, "hysteresis_m": 12}, "hysteresis_m: the alert ends only when the water is 12 m below"),
        ({"thresholds": {"1": -49}}, "thresholds.1: -49 m lies far below the gauge's zero"),
        ({"thresholds": {"1": 2}, "sensors": sensor(report_every="P366D")}, "sensors.0.report_every: one reading in 366 days"),
        ({"thresholds": {"1": 2}, "sensors": sensor(usual_delay="P2D")}, "sensors.0.usual_delay: readings that are 2 days old"),
        ({"thresholds": {"1": 2, "3": 3.5}, "sensors": sensor(nothing=[3.0, -9999])},
         "sensors.0.nothing: 3 is a height at which water can stand here (3 m)"),
        ({"thresholds": {"1": 370, "3": 378}, "gauge_zero_tp_m": 0, "sensors": sensor(nothing=[375])},
         "sensors.0.nothing: 375 is a height at which water can stand here"),
        ({"thresholds": {"1": 2.0, "2": 2.8, "3": 888}}, "thresholds.3: 888 m lies 885.2 m above level 2: is it in metres"),
        ({"thresholds": {"1": 200, "2": 280}}, "thresholds.2: 280 m lies 80 m above level 1: is it in metres"),
        ({"thresholds": {"1": 2}, "sensors": sensor(scale=0.01)}, "sensors.0.scale: 0.01 looks like a change of units"),
        ({"thresholds": {"1": 2}, "valid_from": "2062-04-01T00:00:00Z"}, "valid_from: lies ahead: until 2062-04-01"),
        ({"thresholds": {"1": 2}, "sensors": sensor(valid_from="2062-04-01T00:00:00Z")}, "sensors.0.valid_from: no device"),
        ({"thresholds": {"1": 2}, "sensors": sensor(valid_from="2020-04-01T00:00:00Z", valid_to="2021-04-01T00:00:00Z")},
         "sensors.0.valid_from: no device measures here now"),
        ({"lon": 12.5, "lat": 41.9}, "bridge: lon: 12.5, 41.9 is not in Japan: is it right?"),
        ({"lon": 140.5}, "bridge: lat: is missing"),
        ({"sensors": sensor(report_every_low="P1D"), "thresholds": {"1": 2}}, "sensors.0.report_every_low: does nothing"),
        ({"sensors": sensor(counter=True), "thresholds": {"1": 2}}, "sensors.0.counter: is for amounts"),
        ({"thresholds": {"1": 2}, "marks": {"observation_start": 2.5}}, "marks.observation_start: 2.5 m lies above level 1"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_said_and_taken(tmp_path, more, said):
    assert said in (words := refusal(sheet(tmp_path, **more)))
    assert not words.startswith("REFUSED")


def whole(tmp_path, *stations, **more):
    file = tmp_path / "stations.json"
    file.write_text(json.dumps({"stations": [BRIDGE | station for station in stations], **more}))
    return file


def test_what_one_sheet_says_twice_is_refused(tmp_path):
    ford = {"station_id": "ford", "name_ja": "渡"}
    for stations, said in (
        (({}, {}), "bridge: station_id: is in the sheet twice"),
        (
            ({"name_ja": "第１橋"}, {"station_id": "ford", "name_ja": "第1橋"}),
            "ford: name_ja: 第1橋 differs only by width",
        ),
        (
            ({"sensors": sensor()}, ford | {"sensors": sensor()}),
            "ford: sensors.0.device_id: a measures water_level at bridge",
        ),
    ):
        assert said in (words := refusal(whole(tmp_path, *stations)))
        assert words.startswith("REFUSED")
    assert "ford: name_ja: 橋 is the name of bridge" in refusal(whole(tmp_path, {}, {"station_id": "ford"}))
    text = json.dumps([BRIDGE]).replace("{", '{"thresholds": {"3": 3.5, "3": 35.0}, ', 1)
    (tmp_path / "stations.json").write_text(text)
    assert "'3' is given twice in one object" in refusal(tmp_path / "stations.json")


def test_one_device_after_another_may_stand_in_one_sheet(tmp_path):
    swapped = "2026-03-01T00:00:00Z"
    both = sensor(valid_to=swapped, valid_from="2024-01-01T00:00:00Z") + sensor(device_id="b", valid_from=swapped)
    assert not refusal(sheet(tmp_path, sensors=both, thresholds={"1": 2.0}))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"stations": 7}', "[7]", "7", "{", "\udcff", '{"gateways": ["g/1"]}'])
def test_what_is_no_sheet_is_refused_in_a_line(tmp_path, text):
    (tmp_path / "stations.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert refusal(tmp_path / "stations.json").startswith("REFUSED")


def test_the_demo_citys_levees_are_where_its_crests_are():
    for plan in plans(datetime(2026, 7, 14, tzinfo=UTC)):
        offsets = [x for x, _ in plan.cross_section]
        middle = offsets[-1] / 2
        heights = plan.cross_section
        assert offsets == sorted(offsets)
        assert max(z for x, z in heights if x < middle) == plan.marks["crest_left"]
        assert max(z for x, z in heights if x > middle) == plan.marks["crest_right"]
        assert min(z for _, z in heights) < 0 < plan.thresholds[1]


def test_usual_waits_and_numbers_for_nothing_are_not_remarked_on(tmp_path):
    usual = {
        "thresholds": {"1": 2.0, "4": {"value_m": 4.2, "hysteresis_m": 0.1, "hold": "PT2M", "consecutive": 2, "keep_firing": "PT10M"}},
        "sensors": [
            {"quantity": "water_level", "device_id": "a", "reports": "distance", "scale": -1, "shift": 8, "usual_delay": "PT40M",
             "nothing": [0, 9999], "report_every": "PT10M"},
        ],
    }  # fmt: skip
    found = examine(
        read_sheet(sheet(tmp_path, **usual)), nothing_registered(), BUILT_IN, datetime(2026, 9, 1, tzinfo=UTC)
    )
    assert [str(remark) for remark in found.remarks] == []
