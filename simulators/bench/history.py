"""How long a person waits for a chart, over real HTTP; and whether a full table makes it longer."""

import http.client
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from kawamori.storage.database import query
from simulators.bench.report import Report, percentile
from simulators.bench.site import Bench, BenchFailed, Site, say

YEARS = timedelta(days=3652)
_DAY = timedelta(days=1)
#: Calls before the measured ones: the API reads the registry, both connect and plan.
_WARM = 5
#: Sensors with ten years at ten minutes each, 0.53 million rows: 5 M rows and 50 M rows.
FEW, MANY = 10, 96

_LATEST = """
UPDATE latest_reading SET observed_at = now() - interval '1 minute', value = 1.5, flag = 1, reasons = 0,
    received_at = now(), trend_h = 0.1;
"""
_SERIES = """
INSERT INTO reading SELECT sensor_id, at, 1.5 + sin(extract(epoch FROM at) / 1e5 + sensor_id), 1, 0, at
FROM generate_series('{start}'::timestamptz, '{stop}'::timestamptz - interval '1 second', '10 minutes') at, generate_series({first}, {last}) sensor_id;
"""  # noqa: E501
_SUMMARY = """
INSERT INTO {table} SELECT sensor_id, date_trunc('{unit}', observed_at, 'Asia/Tokyo'), count(*), sum(round(value * 1e6))::bigint, min(value), max(value)
FROM reading WHERE observed_at >= '{start}' AND observed_at < '{stop}' AND sensor_id BETWEEN {first} AND {last} GROUP BY 1, 2;
"""  # noqa: E501


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asks of the API, the same questions in SQL, and how long it may take."""

    name: str
    path: str
    sql: tuple[str, ...]
    target_ms: float


def run(bench: Bench, report: Report) -> None:
    """With five million rows in the table."""
    with bench.site("history") as site:
        fill(site, 1, 1 if bench.quick else FEW, quick=bench.quick)
        ask_everything(bench, report, site)
        _disk(site, report)


def grow(bench: Bench, report: Report) -> None:
    """With five million rows, then with fifty in the same table: several minutes and about 8 GB of disk."""
    few, many = (1, 3) if bench.quick else (FEW, MANY)
    with bench.site("grow") as site:
        fill(site, 1, few, quick=bench.quick)
        before = ask_everything(bench, report, site)
        begun = time.monotonic()
        fill(site, few + 1, many, quick=bench.quick)
        report.details["grow_fill"] = {"seconds": time.monotonic() - begun, "rows": site.stored()}
        for name, took in ask_everything(bench, report, site).items():
            report.add("grow", f"{name}: {many / few:.0f} times the rows", took / before[name], "×", target=1.3)
        _disk(site, report)


def _end() -> datetime:
    """The last midnight in Japan, so that no day is filled by halves."""
    today = datetime.now(UTC).astimezone(ZoneInfo("Asia/Tokyo")).replace(hour=0, minute=0, second=0, microsecond=0)
    return today.astimezone(UTC)


def fill(site: Site, first: int, last: int, *, quick: bool = False) -> None:
    """Ten years at ten minutes of the sensors `first` to `last`, a stretch of chunks at a time."""
    end = _end()
    start = end - YEARS
    stretch = timedelta(days=140)  # twenty chunks
    site.psql(_LATEST)
    begun = told = time.monotonic()
    while start < end:
        stop = min(start + stretch, end)
        site.psql(_SERIES.format(start=start, stop=stop, first=first, last=last))
        for table, unit in (("reading_hour", "hour"), ("reading_day", "day")):
            site.psql(_SUMMARY.format(table=table, unit=unit, start=start, stop=stop, first=first, last=last))
        start = stop
        if time.monotonic() > told + 15:
            told = time.monotonic()
            left = (end - start) / (start - end + YEARS) * (told - begun)
            say(f"history: filling sensors {first} to {last}, {left:.0f} s left")
    site.psql("ANALYZE;" if quick else "VACUUM ANALYZE;\nCHECKPOINT;")


def literal(name: str, **values: str) -> str:
    """The named query with SQL literals in place of its parameters, as psql takes it.

    Raises BenchFailed when the query has a parameter without a value: psql would see only a syntax error.
    """
    text = str(query(name))
    for key, value in values.items():
        text = text.replace(f"%({key})s", value)
    if left := re.search(r"%\((\w+)\)", text):
        raise BenchFailed(f"query {name}: the bench gives no value for its parameter {left[1]!r}")
    return text.replace("%%", "%")


def questions(site: Site) -> list[Question]:
    """What is asked, of the first station."""
    end = _end()
    sensor = "1"

    def sql(name: str, start: datetime, limit: int) -> str:
        return literal(name, sensor=sensor, start=f"'{start}'", end=f"'{end}'", limit=str(limit),
                       time_zone="'Asia/Tokyo'", stations="NULL")  # fmt: skip

    station = site.psql("SELECT station_id FROM sensor WHERE sensor_id = 1;")[0]

    def path(span: timedelta, resolution: str) -> str:
        times = f"from={quote((end - span).isoformat())}&to={quote(end.isoformat())}"
        return f"/api/v1/stations/{station}/readings?{times}&resolution={resolution}"

    return [
        Question(name="levels/latest of 1,000 stations", path="/api/v1/levels/latest", target_ms=15,
                 sql=(sql("latest_levels", end, 0),)),
        Question(name="10 years, auto", path=path(YEARS, "auto"), target_ms=30,
                 sql=(sql("count_hourly_readings", end - YEARS, 2001), sql("weekly_readings", end - YEARS, 2001))),
        Question(name="a day, raw", path=path(_DAY, "raw"), sql=(sql("raw_readings", end - _DAY, 2001),), target_ms=5),
    ]  # fmt: skip


def ask_everything(bench: Bench, report: Report, site: Site) -> dict[str, float]:
    """Each question through HTTP and through psql by turns; returns the median of each over HTTP."""
    rows = f"{site.stored() / 1e6:.1f} M rows"
    say(f"history: asking with {rows}")
    site.start("api")
    address = urlsplit(site.api_url)
    link = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    medians = {}
    for question in questions(site):
        over_http, over_psql = [], []
        size = 0
        for turn in range(-_WARM, 10 if bench.quick else 60):
            begun = time.perf_counter()
            link.request("GET", question.path)
            answer = link.getresponse()
            body = answer.read()
            over_http.append((time.perf_counter() - begun) * 1000)
            over_psql.append(sum(site.psql.timed_ms(text) for text in question.sql))
            size = len(body)
            if turn < 0:
                over_http.clear()
                over_psql.clear()
            if answer.status != 200 or len(body) < 1000:
                raise BenchFailed(f"{question.path}: {answer.status} {body[:300]!r}")
        medians[question.name] = took = percentile(over_http, 0.5)
        same = percentile(over_psql, 0.5)
        report.add("history", f"{question.name}, {rows}", took, "ms", target=question.target_ms,
                   note=f"p95 {percentile(over_http, 0.95):.1f} ms, {size:,} bytes")  # fmt: skip
        report.add("history", f"{question.name}, {rows}: HTTP to the same SQL in psql", took / same, "×", target=2)
        report.details[f"history_{question.name}_{rows}"] = {
            "http_ms": {"p50": took, "p95": percentile(over_http, 0.95), "least": min(over_http)},
            "psql_ms": {"p50": same, "least": min(over_psql)}, "bytes": size,
        }  # fmt: skip
    report.details[f"history_memory_{rows}"] = site.memory()
    link.close()
    site.end("api")
    return medians


def _disk(site: Site, report: Report) -> None:
    """Bytes on disk of a reading: table, index, and all that is kept beside."""
    rows = site.stored()
    table = site.psql.number("SELECT hypertable_size('reading');")
    beside = site.psql.number("SELECT pg_total_relation_size('reading_hour') + pg_total_relation_size('reading_day');")
    licence = site.psql("SHOW timescaledb.license;")[0]
    report.add("disk", f"a reading, {rows / 1e6:.1f} M rows", table / rows, "bytes")
    report.add("disk", "hour and day summaries, a reading", beside / rows, "bytes")
    report.details["disk"] = {"rows": rows, "table_bytes": table, "summary_bytes": beside, "licence": licence}
    if licence != "timescale":
        report.notes.append(f"disk: not compressed, because timescaledb.license is {licence!r}.")
        return
    site.psql("ALTER TABLE reading SET (timescaledb.compress, timescaledb.compress_segmentby = 'sensor_id');")
    site.psql("SELECT count(compress_chunk(c)) FROM show_chunks('reading') c;")
    report.add("disk", "a reading, compressed", site.psql.number("SELECT hypertable_size('reading');") / rows, "bytes")
