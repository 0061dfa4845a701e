# ruff: noqa: E501 - SQL reads best unbroken
"""History: which resolution, every point once, and a file that Japanese Excel opens."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from api.contract import schemas

pytestmark = pytest.mark.integration
START = datetime(2026, 7, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def sensor(rows):
    """Ten days of readings every two minutes (7,200), summarised as ingest would."""
    sensor = rows.station("history")
    rows.sql(
        "INSERT INTO reading SELECT %s, at, 1 + extract(minute FROM at) / 100, 1, 0, at"
        " FROM generate_series(%s::timestamptz, %s::timestamptz, '2 minutes') at",
        sensor, START, START + timedelta(days=10) - MINUTE,
    )  # fmt: skip
    for table, width in (("reading_hour", "hour"), ("reading_day", "day")):
        rows.sql(
            f"INSERT INTO {table} SELECT sensor_id, date_trunc('{width}', observed_at, 'Asia/Tokyo'), count(*),"
            " sum(round(value * 1e6))::bigint, min(value), max(value) FROM reading WHERE sensor_id = %s GROUP BY 1, 2",
            sensor,
        )
    return sensor


def history(api, **parameters):
    parameters = {k.rstrip("_"): v.isoformat() if isinstance(v, datetime) else v for k, v in parameters.items()}
    return schemas.Readings.model_validate_json(api.get("/stations/history/readings", **parameters).content)


@pytest.mark.parametrize(
    ("span", "resolution", "points"),
    [
        (timedelta(days=2), "raw", 1440),
        (timedelta(days=10), "10min", 1440),
        (timedelta(days=80), "hour", 240),
        (timedelta(days=3650), "hour", 240),
    ],
)
def test_auto_chooses_the_finest_that_fits_a_chart(api, sensor, span, resolution, points):
    page = history(api, from_=START, to=START + span)
    assert (page.resolution, len(page.points), page.next) == (resolution, points, None)


def test_auto_never_answers_more_than_a_chart_holds_even_for_decades(api, rows, sensor):
    long = rows.station("decades")
    rows.sql(
        "INSERT INTO reading_hour SELECT %s, at, 6, 6000000, 1, 1 FROM generate_series('1995-01-01Z'::timestamptz, '2025-01-01Z', '1 hour') at",
        long,
    )
    rows.sql(
        "INSERT INTO reading_day SELECT %s, at, 144, 144000000, 1, 1 FROM generate_series('1995-01-01T00:00+09'::timestamptz, '2025-01-01Z', '1 day') at",
        long,
    )
    for years, resolution in ((1, "day"), (5, "day"), (10, "week"), (30, "week")):
        body = api.json(
            "/stations/decades/readings", **{"from": f"{2025 - years}-01-01T00:00:00Z", "to": "2025-01-01T00:00:00Z"}
        )
        assert (body["resolution"], body["next"]) == (resolution, None)
        assert years * 50 < len(body["points"]) <= 2000
        assert {point["mean"] for point in body["points"]} == {1.0}


@pytest.mark.parametrize("resolution", ["raw", "10min", "hour", "day", "week"])
def test_paging_gives_every_point_once(api, sensor, resolution):
    span = {"from_": START + timedelta(hours=3, minutes=7), "to": START + timedelta(days=3), "resolution": resolution}
    whole = history(api, limit=10_000, **span).points
    paged, cursor = [], None
    while True:
        page = history(
            api,
            limit=97 if resolution == "raw" else 1 if len(whole) < 20 else 7,
            **span,
            **({"cursor": cursor} if cursor else {}),
        )
        paged += page.points
        if (cursor := page.next) is None:
            break
    assert paged == whole
    assert len(whole) > (0 if resolution == "week" else 2)


def test_summaries_cover_whole_buckets_from_the_one_that_holds_the_start(api, sensor):
    day = history(api, from_=START + timedelta(days=2, hours=5), to=START + timedelta(days=4), resolution="day")
    assert day.points[0].time == datetime(2026, 7, 2, 15, tzinfo=UTC)  # midnight in Japan
    assert day.points[0].n == 720
    ten = history(api, from_=START + timedelta(minutes=14), to=START + timedelta(minutes=31), resolution="10min")
    assert next((p.time.minute, p.n, p.min, p.mean, p.max) for p in ten.points) == (10, 5, 1.1, 1.14, 1.18)
    assert [p.time.minute for p in ten.points] == [10, 20, 30]


def test_failed_readings_are_in_raw_history_and_in_no_summary(api, rows):
    sensor = rows.station("spiky")
    rows.readings(sensor, START, MINUTE, [1.0, 1.0])
    rows.readings(sensor, START + 2 * MINUTE, MINUTE, [9.9], flag=4)
    span = {"from": START.isoformat(), "to": (START + timedelta(hours=1)).isoformat()}
    assert [p["flag"] for p in api.json("/stations/spiky/readings", **span)["points"]] == [1, 1, 4]
    (bucket,) = api.json("/stations/spiky/readings", resolution="10min", **span)["points"]
    assert (bucket["n"], bucket["max"]) == (2, 1.0)


def test_the_last_day_is_the_default(api, rows):
    sensor = rows.station("recent")
    now = datetime.now(UTC)
    rows.readings(sensor, now - timedelta(hours=25), timedelta(hours=2), [1.0, 2.0])
    assert [p["value"] for p in api.json("/stations/recent/readings")["points"]] == [2.0]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"from": "2026-07-02T00:00:00Z", "to": "2026-07-01T00:00:00Z"}, "from"),
        ({"from": "2026-07-02T00:00:00Z", "to": "2026-07-02T00:00:00Z"}, "from"),
        ({"from": "2026-07-02T00:00:00"}, "from"),
        ({"to": "yesterday"}, "to"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "to"),
        ({"quantity": "happiness"}, "quantity"),
        ({"resolution": "minute"}, "resolution"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "raw.99999999999999999999999"}, "cursor"),
        ({"cursor": "auto.1784000000000000"}, "cursor"),
        ({"cursor": "raw.1784000000000000", "resolution": "day"}, "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(api, sensor, parameters, field):
    response = api.get("/stations/history/readings", **parameters)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert [e.field for e in schemas.Problem.model_validate_json(response.content).errors] == [field]


def test_a_plus_left_unescaped_in_the_address_is_understood(api, sensor):
    response = api.http.get(
        "/api/v1/stations/history/readings?from=2026-07-01T09:00:00+09:00&to=2026-07-01T10:00:00+09:00"
    )
    assert len(response.json()["points"]) == 30


def test_an_unknown_station_or_a_quantity_it_does_not_measure_is_not_found(api, sensor):
    assert api.get("/stations/nowhere/readings").status_code == 404
    assert api.get("/stations/history/readings", quantity="rainfall").status_code == 404


def test_a_single_reading_says_why_it_is_flagged_and_is_silent_where_there_is_nothing(api, rows):
    sensor = rows.station("doubted")
    rows.readings(sensor, START, MINUTE, [1.0, 1.1], 3)
    rows.sql("UPDATE reading SET reasons = 5 WHERE sensor_id = %s AND observed_at = %s", sensor, START + MINUTE)
    span = {"from": START.isoformat(), "to": (START + MINUTE * 5).isoformat()}
    response = api.get("/stations/doubted/readings", **span)
    schemas.Readings.model_validate_json(response.content)
    assert [p.get("reasons") for p in response.json()["points"]] == [None, ["late", "rate"]]
    table = csv.DictReader(io.StringIO(api.get("/stations/doubted/readings.csv", **span).text))
    assert [row["reasons"] for row in table] == ["", "late rate"]


def test_the_file_opens_in_japanese_excel_and_holds_every_reading(api, sensor):
    response = api.get(
        "/stations/history/readings.csv", **{"from": START.isoformat(), "to": (START + timedelta(days=10)).isoformat()}
    )
    assert response.content.startswith(b"\xef\xbb\xbf")
    assert "attachment" in response.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert len(table) == 7200
    assert table[0] == {
        "station_id": "history",
        "quantity": "water_level",
        "unit": "m",
        "time": "2026-07-01T09:00:00+09:00",
        "value": "1.0",
        "flag": "1",
        "reasons": "",
    }
    assert len({row["time"] for row in table}) == 7200


def test_summaries_come_as_a_file_too(api, sensor):
    response = api.get(
        "/stations/history/readings.csv",
        resolution="day",
        **{"from": START.isoformat(), "to": (START + timedelta(days=2)).isoformat()},
    )
    table = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert [row["time"] for row in table] == [
        "2026-07-01T00:00:00+09:00",
        "2026-07-02T00:00:00+09:00",
        "2026-07-03T00:00:00+09:00",
    ]
    assert table[1]["n"] == "720"


def rain(rows, name, start, amounts, *, every=10):
    """A gauge with ten-minute amounts, summarised as ingest would."""
    sensor = rows.station(name, quantity="rainfall")
    rows.readings(sensor, start, every * MINUTE, amounts)
    rows.sql(
        "INSERT INTO reading_hour SELECT sensor_id, date_trunc('hour', observed_at - interval '1 us'), count(*),"
        " sum(round(value * 1e6))::bigint, min(value), max(value) FROM reading WHERE sensor_id = %s GROUP BY 1, 2",
        sensor,
    )


def test_an_hour_of_rain_is_its_sum_and_says_whether_all_of_it_was_measured(api, rows):
    rain(rows, "rain", START + 10 * MINUTE, [0.5] * 10)
    span = {"quantity": "rainfall", "from": START.isoformat(), "to": (START + timedelta(hours=3)).isoformat()}
    first, second = api.json("/stations/rain/readings", resolution="hour", **span)["points"]
    assert (first["sum"], first["n"], first["expected"], first["complete"]) == (3.0, 6, 6, True)
    assert (second["sum"], second["n"], second["expected"], second["complete"]) == (2.0, 4, 6, False)
    ten = api.json("/stations/rain/readings", resolution="10min", **span)["points"]
    assert [datetime.fromisoformat(p["time"]) - START for p in ten] == [10 * n * MINUTE for n in range(10)]
    file = api.get("/stations/rain/readings.csv", resolution="hour", **span).content.decode("utf-8-sig")
    assert [line.split(",")[4:] for line in file.splitlines()] == [
        ["min", "mean", "max", "n", "sum", "expected"],
        ["0.5", "0.5", "0.5", "6", "3.0", "6"],
        ["0.5", "0.5", "0.5", "4", "2.0", "6"],
    ]


def test_hours_and_ten_minutes_are_those_of_the_stations_clock(api, rows):
    sensor = rows.station("kathmandu")
    rows.sql("UPDATE station SET time_zone = 'Asia/Kathmandu' WHERE station_id = 'kathmandu'")
    start = datetime.fromisoformat("2025-09-05T09:00:00+05:45")
    rows.readings(sensor, start, 10 * MINUTE, [4 + n * 0.05 for n in range(12)])
    rows.sql(
        "INSERT INTO reading_hour SELECT sensor_id, date_trunc('hour', observed_at, 'Asia/Kathmandu'), count(*),"
        " sum(round(value * 1e6))::bigint, min(value), max(value) FROM reading WHERE sensor_id = %s GROUP BY 1, 2",
        sensor,
    )
    span = {"from": (start - timedelta(hours=1)).isoformat(), "to": (start + timedelta(hours=3)).isoformat()}
    hours = api.json("/stations/kathmandu/readings", resolution="hour", **span)["points"]
    assert [(datetime.fromisoformat(p["time"]) - start, p["n"], p["mean"]) for p in hours] == [
        (timedelta(0), 6, 4.125), (timedelta(hours=1), 6, 4.425),
    ]  # fmt: skip
    ten = api.json("/stations/kathmandu/readings", resolution="10min", **span)["points"]
    assert [(datetime.fromisoformat(p["time"]) - start) / MINUTE for p in ten] == [10.0 * n for n in range(12)]


def test_a_manager_corrects_a_reading_and_nobody_else_does(api, rows, serve_again):
    sensor = rows.station("wrong")
    rows.readings(sensor, START, MINUTE, [1.0, 9.9, 1.0])
    at = (START + MINUTE).isoformat()
    with serve_again(api={"open": False}) as closed:
        path = f"/stations/wrong/readings/{at}"
        body = {"condemn": True, "reason": "a bird on the sensor"}
        assert closed.act(path, body, by="nobody", method="PUT").status_code == 401
        assert closed.act(path, body, by=rows.account("川田", "operator"), method="PUT").status_code == 403
        manager = rows.account("山田", "manager")
        done = schemas.Correction.model_validate_json(closed.act(path, body, by=manager, method="PUT").content)
        assert (done.kind, done.who, done.starts_at, done.applied) == ("condemn", "山田", START + MINUTE, False)
        again = closed.act(path, body, by=manager, method="PUT").json()
        assert again["id"] == done.id, "asked for twice, recorded once"
        undone = closed.act(f"/stations/wrong/corrections/{done.id}", by=manager, method="DELETE")
        assert undone.json()["undone_by"] == "山田"
        assert closed.act(f"/stations/history/corrections/{done.id}", by=manager, method="DELETE").status_code == 404
    lines = rows.sql(
        "SELECT who, event, note FROM audit WHERE subject = 'readings' AND subject_id = 'wrong' ORDER BY 1, 2"
    )
    assert lines == [("山田", "corrected", "a bird on the sensor"), ("山田", "correction_undone", None)]


@pytest.mark.parametrize(
    ("minute", "body", "status", "field"),
    [
        (1, {"reason": "x"}, 422, "value"),
        (1, {"value": 1.0, "condemn": True, "reason": "x"}, 422, "value"),
        (1, {"value": 1.0}, 422, "reason"),
        (1, {"value": 99.0, "reason": "x"}, 422, "value"),
        (1, {"value": 1e999, "reason": "x"}, 422, "value"),
        (1, {"value": 1.0, "to": "2026-07-02T00:00:00Z", "reason": "x"}, 422, "to"),
        (1, {"offset": 0.1, "to": "2026-06-02T00:00:00Z", "reason": "x"}, 422, "to"),
        (1, {"offset": 0.1, "to": "2026-09-02T00:00:00Z", "reason": "x"}, 422, "to"),
        (1, {"condemn": True, "quantity": "moonlight", "reason": "x"}, 422, "quantity"),
        (7, {"condemn": True, "reason": "x"}, 404, ""),
    ],
)
def test_a_correction_that_cannot_be_is_refused_by_field(api, rows, minute, body, status, field):
    if not rows.sql("SELECT 1 FROM station WHERE station_id = 'fields'"):
        rows.readings(rows.station("fields", thresholds={1: 3.0}), START, MINUTE, [1.0, 1.0])
    path = f"/stations/fields/readings/{(START + minute * MINUTE).isoformat()}"
    refused = api.act(path, body, method="PUT")
    assert refused.status_code == status
    assert [e["field"] for e in refused.json().get("errors", [])] == ([field] if field else [])


def test_the_former_value_is_shown_beside_a_corrected_one(api, rows):
    sensor = rows.station("former")
    rows.readings(sensor, START, MINUTE, [1.0, 1.5])
    rows.sql("UPDATE reading SET stated = 3.5, reasons = 1024 WHERE sensor_id = %s AND observed_at > %s", sensor, START)
    span = {"from": START.isoformat(), "to": (START + timedelta(hours=1)).isoformat()}
    first, second = api.json("/stations/former/readings", **span)["points"]
    assert "former" not in first
    assert (second["value"], second["former"], second["reasons"]) == (1.5, 3.5, ["corrected"])
