# ruff: noqa: E501 - SQL reads best unbroken
"""One station on the real chain: what it shows is what was measured, in every stretch, datum and language."""

import csv
import io
import json
import re
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
STATION, OTHER = "shigi-shiomi", "shigi-nakasu"
JST = ZoneInfo("Asia/Tokyo")
EVERY = timedelta(seconds=2)
#: What the hydrograph's canvas shows of a colour: the x of every column that has it, as shares of the plot's width.
COLUMNS = """([name, tolerance]) => {
  const canvas = document.querySelector('[data-testid=hydrograph] canvas');
  if (!canvas?.width) return [];
  const [r, g, b] = getComputedStyle(canvas).getPropertyValue(name).match(/\\w\\w/g).map((h) => parseInt(h, 16));
  const { width, height } = canvas;
  const px = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  const found = new Set();
  for (let i = 0; i < px.length; i += 4)
    if (Math.abs(px[i] - r) + Math.abs(px[i + 1] - g) + Math.abs(px[i + 2] - b) <= tolerance) found.add((i / 4) % width);
  return [...found].sort((a, z) => a - z).map((x) => x / width);
}"""


def site_time(at: datetime) -> str:
    """As the address bears it."""
    return f"{at.astimezone(JST):%Y-%m-%dT%H:%M:%S}"


@pytest.fixture(scope="module")
def hour(town: Any, payload: Callable[..., bytes], wait_until: Callable[..., Any]) -> datetime:
    """The start of an hour of readings: twenty minutes, as many of silence, and twenty until now.

    In the last minutes one is impossible, and a step that no river makes is doubted.
    """
    start = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)
    n = timedelta(hours=1) // EVERY
    messages = [
        (f"{STATION}-level", payload((start + i * EVERY).isoformat(), round(0.8 + i / 4000 + 0.8 * (i > 0.985 * n), 3)))
        for i in range(n)
        if not n / 3 <= i < 2 * n / 3
    ]
    messages += [
        (f"{STATION}-rain", payload((start + i * EVERY).isoformat(), 0.1, "mm", "rainfall")) for i in range(0, n, 9)
    ]
    messages += [(f"{STATION}-level", payload((start + timedelta(minutes=58, seconds=1)).isoformat(), 99.0))]
    now = datetime.now(UTC).isoformat()
    messages += [(f"{STATION}-level", payload(now, 2.05, status={"battery_v": 3.61, "rssi_dbm": -91}))]
    town.chain.publish(messages)
    count = f"SELECT count(*) FROM reading r JOIN sensor s USING (sensor_id) WHERE s.station_id = '{STATION}' AND quantity = 'water_level'"
    wait_until(lambda: town.chain.sql(count)[0][0] >= 1200, 30, "the hour is stored")
    return start


def open_station(town: Any, page_of: Callable[..., Page], query: str = "", station: str = STATION, **how: Any) -> Page:
    page = page_of(url=f"{town.url}/station/{station}{query}", **how)
    expect(page.get_by_test_id("station-view")).to_be_visible()
    expect(page.locator(".plot-large")).to_have_attribute("data-state", "ready")
    expect(page.get_by_test_id("hydrograph").locator("canvas")).to_be_attached()
    return page


def api(town: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{town.url}/api/v1{path}", timeout=5) as answer:
        return json.load(answer)


def colour(page: Page, name: str, tolerance: int = 12) -> list[float]:
    return list(page.evaluate(COLUMNS, [name, tolerance]))


def holds(page: Page, condition: str) -> None:
    """Polled from here: the page's policy forbids it to evaluate text by itself."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"within 5 s: {condition}")


def paints(page: Page, name: str, columns: int) -> None:
    """Wait until the hydrograph shows more than so many columns of a colour."""
    for _ in range(100):
        if len(colour(page, name)) > columns:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"within 5 s: the hydrograph paints {name}")


def within(start: datetime, **length: float) -> str:
    return f"?from={site_time(start)}&to={site_time(start + timedelta(**length))}"


def test_a_silence_is_a_gap_and_never_a_line(town: Any, hour: datetime, page_of: Callable[..., Page]) -> None:
    page = open_station(town, page_of, within(hour, minutes=57))
    expect(page.get_by_test_id("resolution")).to_have_text("全観測値")
    expect(page.get_by_test_id("hydrograph")).to_have_attribute("aria-label", re.compile("観測値のない期間 1 か所"))
    paints(page, "--water", 100)
    seen = colour(page, "--water")
    breaks = [(a, b) for a, b in pairwise(seen) if b - a > 0.02]
    assert len(breaks) == 1, breaks
    # twenty of fifty-seven minutes, less the room that the axis takes
    assert 0.28 < breaks[0][1] - breaks[0][0] < 0.37
    page.screenshot(path=ARTEFACTS / "station-gap-ja.png")


def test_late_doubted_and_impossible_readings_are_marked_and_the_impossible_squash_nothing(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    points = api(town, f"/stations/{STATION}/readings?quantity=water_level")["points"]
    doubted = [p["value"] for p in points if p["flag"] == 3]
    assert doubted
    assert [p["value"] for p in points if p["flag"] == 4] == [99.0]
    page = open_station(town, page_of, within(hour + timedelta(minutes=57, seconds=55), seconds=90))
    paints(page, "--fail", 3)
    assert max(colour(page, "--fail")) - min(colour(page, "--fail")) < 0.03  # one cross
    assert not colour(page, "--late-mark")
    page.get_by_test_id("as-table").click()
    rows = page.get_by_test_id("numbers").locator("tbody tr")
    expect(rows.filter(has_text="異常値")).to_have_count(1)
    expect(rows.filter(has_text="99.00")).to_contain_text("異常値")
    expect(rows.filter(has_text="要確認").first).to_be_visible()
    # the scale is that of the river, not of the impossible value
    expect(page.get_by_test_id("hydrograph")).to_have_attribute("aria-label", re.compile(r"最高 零点上 2\.0. m"))
    page.goto(f"{town.url}/station/{STATION}{within(hour, minutes=10)}")
    paints(page, "--late-mark", 3)
    page.get_by_test_id("as-table").click()
    expect(page.get_by_test_id("numbers").locator("tbody tr").filter(has_text="遅れて届いた")).to_have_count(48)


def test_any_stretch_has_an_address_that_opens_it_again(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    page = open_station(town, page_of)
    page.get_by_test_id("range-h6").click()
    expect(page).to_have_url(re.compile(r"\?range=h6$"))
    expect(page.get_by_test_id("range-h6")).to_have_attribute("aria-pressed", "true")
    page.get_by_test_id("step-earlier").click()
    expect(page).to_have_url(re.compile("from="))
    page.get_by_test_id("step-later").click()
    expect(page).to_have_url(re.compile(r"\?range=h6$"))
    page.get_by_test_id("any-range").click()
    page.get_by_test_id("range-from").fill(site_time(hour)[:16])
    page.get_by_test_id("range-to").fill(site_time(hour + timedelta(minutes=10))[:16])
    page.get_by_test_id("range-show").click()
    expect(page.locator(".plot-large")).to_have_attribute("data-state", "ready")
    expect(page.get_by_test_id("hydrograph")).to_have_attribute(
        "aria-label", re.compile(f"{hour.astimezone(JST):%H:%M} 〜")
    )
    label = page.get_by_test_id("hydrograph").get_attribute("aria-label")
    again = open_station(town, page_of, "?" + page.url.partition("?")[2])
    expect(again.get_by_test_id("hydrograph")).to_have_attribute("aria-label", str(label))
    # drawn across with the pointer: closer, down to the reading; and out again
    box = again.get_by_test_id("hydrograph").bounding_box()
    assert box
    again.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    again.mouse.down()
    again.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 120, steps=5)
    again.mouse.up()
    expect(again.get_by_test_id("step-back")).to_be_visible()
    expect(again.get_by_test_id("hydrograph")).not_to_have_attribute("aria-label", str(label))
    again.get_by_test_id("step-back").click()
    expect(again.get_by_test_id("hydrograph")).to_have_attribute("aria-label", str(label))


def test_ten_years_are_summaries_and_zooming_in_fetches_every_reading(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    (sensor,) = town.chain.sql(
        f"SELECT sensor_id FROM sensor WHERE station_id = '{OTHER}' AND quantity = 'water_level'"
    )[0]
    old = hour - timedelta(days=60)
    span = "FROM generate_series(%s::timestamptz, %s::timestamptz, %s::interval) at RETURNING 1"
    town.chain.sql(
        f"INSERT INTO reading SELECT {sensor}, at, 1 + extract(minute FROM at) / 100, 1, 0, at {span}",
        old,
        old + timedelta(days=40),
        "10 minutes",
    )
    town.chain.sql(
        f"INSERT INTO reading_hour SELECT {sensor}, date_trunc('hour', at), 6, 7500000, 1, 1.5 {span}",
        old,
        old + timedelta(days=40),
        "1 hour",
    )
    town.chain.sql(
        f"INSERT INTO reading_day SELECT {sensor}, date_trunc('day', at, 'Asia/Tokyo'), 144, 180000000, 1, 1.5 {span}",
        hour - timedelta(days=3600),
        old,
        "1 day",
    )
    page = open_station(town, page_of, "?range=y10", station=OTHER)
    expect(page.get_by_test_id("resolution")).to_contain_text("平均")
    page.goto(f"{town.url}/station/{OTHER}{within(old, days=30)}")
    expect(page.get_by_test_id("resolution")).to_have_text("1時間ごとの平均と幅")
    for _ in range(4):
        page.get_by_test_id("step-closer").click()
    expect(page.get_by_test_id("resolution")).to_have_text("全観測値")
    page.goto(f"{town.url}/station/{OTHER}{within(old, days=30)}")
    page.get_by_test_id("all-readings").check()
    expect(page.get_by_test_id("resolution")).to_have_text("全観測値")
    page.get_by_test_id("as-table").click()
    expect(page.get_by_test_id("page-of")).to_contain_text("全 4320 件")
    page.get_by_test_id("page-older").click()
    expect(page.get_by_test_id("page-of")).to_contain_text("49〜96 件目")


def test_the_datum_changes_every_number_and_says_so(town: Any, hour: datetime, page_of: Callable[..., Page]) -> None:
    facts = api(town, f"/stations/{STATION}")
    zero, crest = facts["gauge_zero_tp_m"], facts["crest_m"]
    page = open_station(town, page_of, within(hour, minutes=10))
    page.get_by_test_id("as-table").click()
    level = api(town, f"/levels/latest?station={STATION}")
    now = next(s for s in level["stations"] if s["station_id"] == STATION)["level_m"]
    first = api(town, f"/stations/{STATION}/readings?quantity=water_level")["points"][0]["value"]
    for kind, turn, word in (
        ("zero", lambda v: v, "零点上 "), ("tp", lambda v: v + zero, "T.P. "), ("crest", lambda v: crest - v, "天端下 "),
    ):  # fmt: skip
        page.get_by_test_id(f"datum-{kind}").click()
        expect(page.get_by_test_id(f"datum-{kind}")).to_have_attribute("aria-pressed", "true")

        def said(value: float, turn: Callable[[float], float] = turn) -> str:
            return f"{turn(value):.2f}".replace("-", "−")

        expect(page.get_by_test_id("now-level")).to_have_text(said(now))
        lowest = word + said(first)
        expect(page.get_by_test_id("hydrograph")).to_have_attribute("aria-label", re.compile(re.escape(lowest)))
        page.get_by_test_id("page-older").click(click_count=6)
        expect(page.get_by_test_id("numbers").locator("tbody tr").last.locator("td").first).to_have_text(said(first))
        picture = page.get_by_test_id("section").get_by_role("img")
        for threshold in facts["thresholds"]:
            expect(picture).to_have_attribute("aria-label", re.compile(re.escape(word + said(threshold["value_m"]))))
            expect(picture).to_contain_text(said(threshold["value_m"]))
        expect(page.get_by_test_id("fact-next")).to_contain_text(word)
        page.get_by_test_id("page-newer").click(click_count=6)
    again = open_station(town, page_of)
    expect(again.get_by_test_id("datum-zero")).to_have_attribute("aria-pressed", "true")  # each browser its own
    town.chain.sql("DELETE FROM datum WHERE station_id = 'shigi-kako' RETURNING 1")
    town.says("shigi-kako", 0.5, 0.51)
    bare = open_station(town, page_of, station="shigi-kako")
    expect(bare.get_by_test_id("datum-tp")).to_have_attribute("aria-disabled", "true", timeout=10_000)
    expect(bare.get_by_text("零点高が未登録")).to_be_visible()
    bare.get_by_test_id("datum-tp").click(force=True)
    expect(bare.get_by_test_id("datum-zero")).to_have_attribute("aria-pressed", "true")


def test_the_shown_stretch_is_saved_as_a_file(town: Any, hour: datetime, page_of: Callable[..., Page]) -> None:
    page = open_station(town, page_of, within(hour, minutes=10))
    with page.expect_download() as downloading:
        page.get_by_test_id("csv").click()
    saved = downloading.value
    assert saved.suggested_filename.endswith(".csv")
    text = Path(saved.path()).read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert len(rows) == 300
    assert [datetime.fromisoformat(rows[i]["time"]) for i in (0, -1)] == [hour, hour + timedelta(minutes=10) - EVERY]


def test_a_silent_station_is_a_dead_number_with_its_time(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    page = open_station(town, page_of)
    expect(page.get_by_test_id("now")).to_have_attribute("data-freshness", "dead", timeout=12_000)
    expect(page.get_by_test_id("now-age")).to_contain_text("の値")
    expect(page.get_by_test_id("now").get_by_test_id("flood-level")).to_contain_text("欠測")
    assert "repeating-linear-gradient" in page.get_by_test_id("now-level").evaluate(
        "e => getComputedStyle(e).backgroundImage"
    )
    expect(page.get_by_test_id("doubts")).to_be_visible()
    alive = page.locator("[data-testid=now][data-freshness=fresh]")
    for _ in range(20):  # a device that goes on: a single word would be dead again six seconds later
        town.says(STATION, 1.31)
        page.wait_for_timeout(500)
        if alive.count():
            break
    expect(alive).to_be_visible()
    expect(page.get_by_test_id("now-level")).to_have_text("1.31")


def test_boxes_and_alerts_of_the_station_are_there_however_old(
    town: Any, hour: datetime, page_of: Callable[..., Page], wait_until: Callable[..., Any]
) -> None:
    page = open_station(town, page_of)
    box = page.locator(f'[data-device-id="{STATION}-level"]')
    expect(box).to_contain_text("3.61 V")
    expect(box).to_contain_text("−91 dBm")
    long_ago = hour - timedelta(days=300)
    text = (
        "INSERT INTO alert (station_id, sensor_id, flood_level, threshold_m, state, started_at, ended_at, value_m, peak_m, verified, retroactive, paged_at, status)"
        " SELECT s.station_id, s.sensor_id, 3, 2, 'resolved', at, at + interval '1 hour', 2.1, 2.5, true, false, at, 'actual'"
        " FROM sensor s, generate_series(%s::timestamptz, %s::timestamptz, interval '1 day') at WHERE s.station_id = %s AND s.quantity = 'water_level' RETURNING 1"
    )
    town.chain.sql(text, long_ago, long_ago + timedelta(days=24), "shigi-ohashi")
    town.chain.sql(text, long_ago + timedelta(days=100), long_ago + timedelta(days=180), "shigi-yamaguchi")
    page = open_station(town, page_of, station="shigi-ohashi")
    rows = page.get_by_test_id("alert-row")
    expect(rows).to_have_count(20)
    page.get_by_test_id("alerts-older").click()
    expect(rows).to_have_count(25)
    rows.last.get_by_test_id("answer-details").click()
    dialog = page.get_by_test_id("alert-dialog")
    expect(dialog).to_contain_text("避難判断")
    expect(dialog).not_to_contain_text("無くなりました")
    expect(dialog.get_by_test_id("do-notes")).to_be_visible()


def test_the_situation_is_where_it_was_when_one_comes_back(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    page = page_of(url=town.url, width=360, height=700)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    page.evaluate("scrollTo(0, 900)")
    holds(page, "scrollY === 900")
    page.evaluate(
        f"document.body.insertAdjacentHTML('beforeend', '<a id=go href=\"/station/{STATION}\">go</a>'); document.getElementById('go').click()"
    )
    expect(page.get_by_test_id("station-view")).to_be_visible()
    holds(page, "scrollY === 0")
    near = api(town, f"/stations/{STATION}")["neighbours"]
    expect(page.get_by_test_id("neighbour")).to_have_count(len(near["upstream"] + near["downstream"]))
    page.locator(f'[data-testid=neighbour][data-station-id="{near["upstream"][0]}"] a').click()
    expect(page).to_have_url(re.compile(f"/station/{near['upstream'][0]}$"))
    expect(page.get_by_test_id("section").locator(".ground")).to_be_attached()
    page.get_by_test_id("back").click()
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    holds(page, "Math.abs(scrollY - 900) < 3")


def test_the_keyboard_alone_reads_the_chart_and_comes_back(
    town: Any, hour: datetime, page_of: Callable[..., Page]
) -> None:
    page = open_station(town, page_of, within(hour, minutes=10))

    def tab_to(test_id: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement?.dataset?.testid") == test_id:
                return
        pytest.fail(f"the Tab key never comes to {test_id}")

    plot = page.get_by_test_id("hydrograph")
    tab_to("hydrograph")
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", re.compile(r"零点上 0\.80 m"))
    page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    page.keyboard.press("+")
    expect(page.get_by_test_id("step-back")).to_be_visible()
    page.keyboard.press("PageUp")
    tab_to("as-table")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("page-of")).to_be_visible()
    page.evaluate("document.getElementById('view').focus()")
    tab_to("datum-tp")
    page.keyboard.press("Enter")
    expect(plot).to_have_attribute("aria-label", re.compile(r"T\.P\. "))
    page.evaluate("document.getElementById('view').focus()")
    tab_to("back")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("station-row")).to_have_count(12)


@pytest.mark.parametrize("width", [1440, 360])
def test_axe_finds_nothing_in_either_language_or_light(
    town: Any, hour: datetime, page_of: Callable[..., Page], faults_axe_finds: Callable[[Page], list[str]], width: int
) -> None:
    for language in ("ja", "en"):
        page = open_station(town, page_of, language=language, width=width)
        page.get_by_test_id("any-range").click()
        page.get_by_test_id("as-table").click()
        for theme in ("dark", "light"):
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            assert faults_axe_finds(page) == []
            page.screenshot(path=ARTEFACTS / f"station-{width}-{language}-{theme}.png", full_page=True)
            page.get_by_test_id("theme-toggle").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 360:
            small = page.evaluate("""[...document.querySelectorAll('.view-station :is(button, summary, input, select, a[href])')]
                .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML.slice(0, 120))""")
            assert [one for one in small if "checkbox" not in one] == []
