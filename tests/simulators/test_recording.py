"""A file that people wrote is read as it was meant, or refused by line; never bent."""
# ruff: noqa: DTZ001 - times of the wall clock

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kawamori.errors import ConfigurationError
from simulators.cells import Refused, number, wall_clock
from simulators.recording import Columns, Reading, Recording, decoded, device_id, read_text, station_id, usual_step

LONDON = ZoneInfo("Europe/London")
HEAD = "station,time,value\n"


def rows(text: str, **how: object) -> Recording:
    return read_text(text, Reading(**how))  # type: ignore[arg-type]


def values(text: str, **how: object) -> list[float]:
    return [row.value for row in rows(text, **how).rows]


def at(minute: int, value: str, station: str = "a") -> str:
    return f'{station},2025-09-05T01:{minute:02}Z,"{value}"\n'


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-04T24:00", "2025-09-04 24:00:00", "2025/09/04 24:00", "2025/9/4 24:00", "2025-09-05T00:00",
        "20250905T0000", "2025.09.04 24:00", "２０２５-09-04 24:00",
    ],
)  # fmt: skip
def test_the_last_hour_of_a_day_is_the_next_days_first(text: str) -> None:
    assert wall_clock(text) == datetime(2025, 9, 5)


def test_an_offset_stays_with_the_hour_24() -> None:
    assert wall_clock("2025-09-04T24:00+09:00").astimezone(UTC) == datetime(2025, 9, 4, 15, tzinfo=UTC)
    assert wall_clock("2025-12-31 24:00 Z") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2025-09-04T24:10", "2025-09-04T25:00", "2025-13-01 00:00", "05/09/2025 01:00", "", "x"]
)
def test_what_is_no_time_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(Refused, match=r"is not a time"):
        wall_clock(text)


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)))
def test_every_time_that_is_written_is_read_back(when: datetime) -> None:
    assert wall_clock(when.isoformat(" ")) == when


@pytest.mark.parametrize(
    ("text", "value", "mark"),
    [
        ("4.10e", 4.10, "e"), ("4.35*", 4.35, "*"), (">5.00", 5.0, ">"), ("4.70 e", 4.7, "e"), ("< 0.2", 0.2, "<"),
        ("~1.5", 1.5, "~"), ("7.2 est", 7.2, "est"), ("１．２５", 1.25, None), ("−0.5", -0.5, None),
        ("1e2", 100.0, None),
        (".5", 0.5, None), ("1 012", 1012.0, None), ("2.1(P)", 2.1, "(P)"), ("≥5.0 R", 5.0, "≥R"),
    ],
)  # fmt: skip
def test_a_number_with_something_beside_it_is_a_number_in_doubt(text: str, value: float, mark: str | None) -> None:
    assert number(text) == (value, mark)


@pytest.mark.parametrize("text", ["1|2", "1-2", "3.1 4.2", "1.2.3", "12:30", "Ice 3", "1/2", "9" * 400, "0x10", "--5"])
def test_what_could_be_two_numbers_or_none_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(Refused):
        number(text)


def test_marks_come_along_and_words_for_no_measurement_are_counted_by_line() -> None:
    found = rows(HEAD + at(0, "3.90") + at(10, ">5.00") + at(20, "Ice") + at(30, "***") + at(40, "-") + at(50, "欠測"))
    assert [(r.value, r.mark) for r in found.rows] == [(3.9, None), (5.0, ">")]
    assert [line for line, _ in found.without_value] == [4, 5, 6, 7]
    assert found.dropped == 4
    assert "no measurement (Ice): line 4" in found.told()


def test_a_decimal_comma_and_a_thousands_separator_are_told_apart_by_the_whole_file() -> None:
    assert values(HEAD + at(0, "0,962") + at(10, "0,987") + at(20, "1,012")) == [0.962, 0.987, 1.012]
    assert values(HEAD + at(0, "962") + at(10, "987") + at(20, "1,012")) == [962, 987, 1012]
    assert values(HEAD + at(0, "1,012.5") + at(10, "1,013")) == [1012.5, 1013]
    assert values(HEAD + at(0, "1.012,5") + at(10, "12,25")) == [1012.5, 12.25]
    assert values(HEAD + at(0, "1,234,567")) == [1234567]


def test_a_comma_that_may_mean_either_is_refused_as_a_whole_and_settled_by_an_option() -> None:
    text = HEAD + at(0, "1,012") + at(10, "1,038")
    with pytest.raises(ConfigurationError, match=r"line 2: the comma in 1,012 .*--comma"):
        rows(text)
    assert values(text, comma="decimal") == [1.012, 1.038]
    assert values(text, comma="thousands") == [1012, 1038]
    with pytest.raises(ConfigurationError, match="decimal comma in line 2 and groups thousands in line 3"):
        rows(HEAD + at(0, "0,5") + at(10, "1,012.5"))


def test_a_decimal_comma_without_quotes_is_refused_by_line() -> None:
    found = rows(HEAD + "a,2025-09-05T01:00Z,0,962\n" + at(10, "1.0"))
    assert found.refused == ["line 2: 4 fields where the header has 3: is there a comma within a number?"]
    assert len(found.rows) == 1


def test_semicolons_and_tabs_separate_too() -> None:
    assert values("station;time;value\na;2025-09-05T01:00Z;0,96\n") == [0.96]
    assert values("station\ttime\tvalue\na\t2025-09-05T01:00Z\t1.5\n") == [1.5]


def test_a_unit_column_is_obeyed_row_by_row_and_no_option_stands_against_it() -> None:
    text = "station,time,value,unit\na,2025-09-05T01:00Z,0.12,m\na,2025-09-05T01:10Z,12,cm\n"
    assert [(r.value, r.unit) for r in rows(text).rows] == [(0.12, "m"), (12.0, "cm")]
    with pytest.raises(ConfigurationError, match="there is a column `unit`"):
        rows(text, unit="cm")
    assert rows(text.replace("unit", "unitName").replace(",m\n", ",mAOD\n")).rows[0].unit == "m"


def test_a_unit_beside_the_number_is_the_rows_unit() -> None:
    found = rows(HEAD + at(0, "120cm") + at(10, "1.2 m") + at(20, "1.3"))
    assert [(r.value, r.unit, r.mark) for r in found.rows] == [(120, "cm", None), (1.2, "m", None), (1.3, "m", None)]
    both = rows("station,time,value,unit\na,2025-09-05T01:00Z,120cm,m\n")
    assert both.refused == ["line 2: the number says cm, the column says m"]


def test_a_file_of_several_quantities_is_refused_until_one_is_chosen() -> None:
    text = "station,time,parameter,value\na,2025-09-05T01:00Z,rainfall,0.2\na,2025-09-05T01:00Z,level,3.1\n"
    with pytest.raises(ConfigurationError, match=r"several quantities \(level, rainfall\)"):
        rows(text)
    chosen = rows(text, only=("parameter", "level"))
    assert [r.value for r in chosen.rows] == [3.1]
    assert chosen.dropped == 0


def london(*times: str) -> str:
    return HEAD + "".join(f"a,{day},{i}\n" for i, day in enumerate(times))


AUTUMN = [
    f"2025-10-26T{t}"
    for t in (
        "00:30",
        "00:45",
        "01:00",
        "01:15",
        "01:30",
        "01:45",
        "01:00",
        "01:15",
        "01:30",
        "01:45",
        "02:00",
        "02:15",
    )
]


def test_an_hour_that_comes_twice_is_told_by_the_order_of_its_rows() -> None:
    found = rows(london(*AUTUMN), time_zone=LONDON)
    assert found.dropped == 0
    assert [r.at for r in found.rows] == [
        datetime(2025, 10, 25, 23, 30, tzinfo=UTC) + timedelta(minutes=15 * i) for i in range(12)
    ]
    assert [r.value for r in found.rows] == list(range(12))


def test_newest_first_tells_the_two_passes_too() -> None:
    found = rows(london(*AUTUMN[::-1]), time_zone=LONDON)
    assert [r.value for r in found.rows] == list(range(12))[::-1]
    assert all(b.at - a.at == timedelta(minutes=15) for a, b in pairwise(found.rows))


def test_one_pass_of_a_repeated_hour_is_refused_unless_said_which() -> None:
    text = london("2025-10-26T00:30", "2025-10-26T01:00", "2025-10-26T01:30", "2025-10-26T02:00")
    found = rows(text, time_zone=LONDON)
    assert len(found.rows) == 2
    assert found.refused[0] == (
        "line 3: 01:00 comes twice on 2025-10-26 in Europe/London: give offsets, or say --repeated-hour first or second"
    )
    second = rows(text, time_zone=LONDON, twice="second")
    assert [r.at.hour for r in second.rows] == [23, 1, 1, 2]


def test_stations_do_not_disturb_each_others_repeated_hour() -> None:
    pairs = "".join(f"{s},{t},1\n" for t in AUTUMN for s in ("a", "b"))
    found = rows(HEAD + pairs, time_zone=LONDON)
    assert (len(found.rows), found.dropped) == (24, 0)


def test_a_time_that_never_was_is_refused_by_line() -> None:
    found = rows(
        london("2025-03-30T00:45", "2025-03-30T01:00", "2025-03-30T01:30", "2025-03-30T02:00"), time_zone=LONDON
    )
    assert [line.split(":")[0] for line in found.refused] == ["line 3", "line 4"]
    assert [r.value for r in found.rows] == [0, 3]


def test_an_offset_in_the_cell_needs_no_zone() -> None:
    assert rows(london("2025-10-26T01:00+01:00", "2025-10-26T01:00+00:00")).dropped == 0


def test_two_values_for_one_moment_are_refused_by_line_and_a_repeat_is_not() -> None:
    found = rows(HEAD + at(0, "1.0") + at(0, "1.0") + at(0, "2.0"))
    assert found.refused == ["line 4: a has another value for the same moment in line 2"]


def test_names_in_kanji_are_stations_of_their_own_and_plain_names_stay() -> None:
    names = ["太田橋", "水府橋", "Ōta", "Ota", "a b", "a-b", "a/b", "x" * 70, "x" * 71, "é", "e\u0301é"]
    ids = {station_id(name) for name in names}
    assert len(ids) == len(names)
    assert all(len(i) <= 64 and i.isascii() for i in ids)
    assert len({device_id(name) for name in names}) == len(names)
    assert all(len(device_id(name)) <= 64 for name in names)
    assert station_id("fr-Y1422020_01.a") == "fr-Y1422020_01.a"


@given(st.lists(st.text(min_size=1, max_size=80).filter(lambda t: t.strip()), unique=True, max_size=20))
def test_no_two_names_share_a_station_or_a_device(names: list[str]) -> None:
    import unicodedata

    distinct = {unicodedata.normalize("NFC", name) for name in names}
    assert len({station_id(name) for name in distinct}) == len(distinct)
    assert len({device_id(name) for name in distinct}) == len(distinct)


def test_files_of_japanese_spreadsheets_are_read_and_said_to_be() -> None:
    text = "観測所,日時,水位\n太田橋,2025/09/05 24:00,1.20\n"
    for encoding in ("utf-8-sig", "cp932", "utf-16"):
        found, notes = decoded(text.encode(encoding), "x.csv")
        assert found == text
        assert len(notes) == (encoding != "utf-8-sig")
    recording = read_text(text, Reading(time_zone=ZoneInfo("Asia/Tokyo")))
    assert recording.rows[0].at == datetime(2025, 9, 5, 15, tzinfo=UTC)


def test_a_column_is_named_where_the_file_does_not_speak_for_itself() -> None:
    text = "gauge,when,h\na,2025-09-05T01:00Z,1.5\n"
    with pytest.raises(ConfigurationError, match="--station-column"):
        rows(text)
    assert values(text, columns=Columns("gauge", "when", "h")) == [1.5]


def test_how_often_a_station_reports_is_the_middle_of_its_steps() -> None:
    start = datetime(2025, 9, 5, tzinfo=UTC)
    hourly = [start + timedelta(hours=h) for h in (0, 1, 2, 5, 6, 7)]
    assert usual_step(hourly) == timedelta(hours=1)
    assert usual_step(hourly[:2]) is None


def test_a_point_that_may_group_thousands_is_refused_as_a_whole_and_settled_by_an_option() -> None:
    text = HEAD + at(0, "968") + at(10, "987") + at(20, "1.012") + at(30, "1.038")
    with pytest.raises(ConfigurationError, match=r"line 4: the point in 1.012 .*--comma"):
        rows(text)
    assert values(text, comma="decimal") == [968, 987, 1012, 1038]
    assert values(text, comma="thousands") == [968, 987, 1.012, 1.038]
    with pytest.raises(ConfigurationError, match=r"the point in 1\.013"):
        rows(HEAD + at(0, "0,5") + at(10, "1.013"))


def test_points_group_where_the_file_shows_that_they_do_and_are_decimal_elsewhere() -> None:
    assert values(HEAD + at(0, "987,5") + at(10, "1.012,5") + at(20, "1.038")) == [987.5, 1012.5, 1038]
    assert values(HEAD + at(0, "1.012") + at(10, "1.038")) == [1.012, 1.038]
    assert values(HEAD + at(0, "235") + at(10, "235.125") + at(20, "235.5")) == [235, 235.125, 235.5]


@pytest.mark.parametrize("text", ["4²", "4.35²", "4½", "4.1\x00"])
def test_a_footnote_is_no_digit(text: str) -> None:
    with pytest.raises(Refused, match="is not a number"):
        number(text)


@pytest.mark.parametrize("text", ["1757043000000", "1757043000", "20250904011000", "2025-09-04x01:00", "20250904 2400"])
def test_a_number_of_milliseconds_is_no_time_in_the_year_1757(text: str) -> None:
    with pytest.raises(Refused, match="is not a time"):
        wall_clock(text)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("410 センチ", 410, "cm"), ("410㌢", 410, "cm"), ("410 CM", 410, "cm"),
        ("4.1 feet", 4.1, "ft"),
        ("4.1 ft.", 4.1, "ft"),        ("12 in", 12, "in"), ("21 °F", 21, "°F"), ("5 %", 5, "%"),
        ("12 cfs", 12, "cfs"), ("4.1 M", 4.1, "m"),
    ],
)  # fmt: skip
def test_another_word_for_a_unit_is_a_unit_and_no_mark(text: str, value: float, unit: str) -> None:
    (row,) = rows(HEAD + at(0, text)).rows
    assert (row.value, row.unit) == (value, unit)


@pytest.mark.parametrize("column", ["水位(cm)", "水位（cm）", "level_cm", "stage [cm]", "Level CM (cm)"])
def test_the_unit_in_a_columns_name_is_obeyed(column: str) -> None:
    text = f"station,time,{column}\na,2025-09-05T01:00Z,410\n"
    (row,) = rows(text, columns=Columns(value=column)).rows
    assert (row.value, row.unit) == (410, "cm")
    with pytest.raises(ConfigurationError, match="says cm, --unit says m"):
        rows(text, columns=Columns(value=column), unit="m")


def test_an_empty_cell_beside_units_is_refused_by_line() -> None:
    found = rows("station,time,value,unit\na,2025-09-05T01:00Z,120,cm\na,2025-09-05T01:10Z,121,\n")
    assert found.refused == ["line 3: the unit is empty"]


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two columns are called value"):
        rows("station,time,value,value\na,2025-09-05T01:00Z,4.1,9.9\n")


def test_a_quote_that_never_ends_swallows_no_lines() -> None:
    with pytest.raises(ConfigurationError, match="unexpected end of data"):
        rows(HEAD + 'a,2025-09-05T01:00Z,"4.20\na,2025-09-05T01:10Z,4.30\n')
    with pytest.raises(ConfigurationError, match="expected after"):
        rows(HEAD + '"a,2025-09-05T01:00Z,4.20\n"a,2025-09-05T01:10Z,4.30\n')


def test_days_without_an_hour_are_one_reading_a_day_or_refused_by_line() -> None:
    text = "station,date,hour,value\na,2025-09-05,1,4.1\na,2025-09-05,2,4.1\na,2025-09-06,1,4.2\n"
    found = rows(text, time_zone=LONDON)
    assert found.refused == ["line 3: the day of line 2 again, without an hour"]


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\u202eabc", "x" * 101])
def test_a_name_that_the_register_would_not_take_is_refused_by_line(name: str) -> None:
    (line,) = rows(HEAD + f'"{name}",2025-09-05T01:00Z,4.1\n').refused
    assert "the station's name" in line
