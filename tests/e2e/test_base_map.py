"""The operator's own map under rivers and stations, as a browser draws it; and that nobody else is asked for it."""

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARTEFACTS = Path(__file__).parents[1] / "artefacts"

#: Around the middle of the demo city's stations, where the map zooms in.
LAKE = [(140.46, 36.42), (140.52, 36.42), (140.52, 36.46), (140.46, 36.46)]
ROAD = [[140.40, 36.395], [140.49, 36.46], [140.58, 36.50]]
#: The files of their own in which the map and the chart come.
PARTS = re.compile(r"/assets/(river-map|plot)-[^/]+\.js$")
PICTURES = "https://tiles.city.example/pale/{z}/{x}/{y}.png"
#: How many pixels of each colour of the base map its canvases show; an edge that is smoothed keeps its colour.
COUNT = """kinds => {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement('canvas').getContext('2d');
  const wanted = kinds.map(kind => {
    probe.fillStyle = style.getPropertyValue('--base-' + kind).trim();
    probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  });
  const found = kinds.map(() => 0);
  for (const canvas of document.querySelectorAll('.leaflet-base-pane canvas')) {
    if (!canvas.width) continue;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 100) continue;
      const at = wanted.findIndex(colour => [0, 1, 2].every(c => Math.abs(colour[c] - data[i + c]) <= 3));
      if (at >= 0) found[at] += 1;
    }
  }
  return Object.fromEntries(kinds.map((kind, i) => [kind, found[i]]));
}"""


def imports(folder: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "basemap", "import", *words], check=True,
        env={**os.environ, "KAWAMORI_API__BASEMAP": str(folder)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def mapped(town: Any, tmp_path_factory: pytest.TempPathFactory, pmtiles_of: Callable[..., Path]) -> Any:
    """A second API process of the town that has a map: a road that comes whole, a lake in tiles."""
    folder, source = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("source")
    road = source / "road.geojson"
    road.write_text(json.dumps({"type": "LineString", "coordinates": ROAD}))
    lake = pmtiles_of(source / "lake.pmtiles", "water", LAKE, attribution='<b onclick="x">国の湖</b>')
    imports(folder, str(road), "--attribution", "© 川守市 <道路課>")
    imports(folder, str(lake))
    for station in town.peaks:
        town.says(station, 0.5, 0.51)
    town.chain.start("api-2", KAWAMORI_API__BASEMAP=str(folder))
    town.chain.start("api-3", KAWAMORI_API__TILES_URL=PICTURES, KAWAMORI_API__TILES_ATTRIBUTION="地理院タイル")
    return town


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="ja-JP", viewport={"width": 1440, "height": 1000}, service_workers="block")
    yield context
    context.close()


def opened(context: BrowserContext, url: str) -> tuple[Page, set[str], list[str]]:
    """The page, every host it has asked, and what its own policy has refused it."""
    hosts: set[str] = set()
    refused: list[str] = []
    context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page = context.new_page()
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    page.goto(url)
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    expect(page.locator(".leaflet-marker-icon .pin").first).to_be_visible()
    return page, hosts, refused


def pixels(page: Page, *, water: int = 50, road: int = 50) -> dict[str, int]:
    """Pixels of lake and road, once there are more than so many; fails where they do not come."""
    for _ in range(20):
        found: dict[str, int] = page.evaluate(COUNT, ["water", "road"])
        if found["water"] > water and found["road"] >= road:
            return found
        page.wait_for_timeout(500)
    pytest.fail(f"within 10 s: lake and road are drawn; there are {found} pixels")


def test_lines_and_tiles_are_drawn_under_the_stations(
    mapped: Any, context: BrowserContext, faults_axe_finds: Callable[[Page], list[str]]
) -> None:
    url = mapped.chain.url("api-2")
    page, hosts, refused = opened(context, url)
    night = pixels(page)
    assert night["water"] > 5 * night["road"]
    credit = page.locator(".leaflet-control-attribution")
    expect(credit).to_have_text(
        "国の湖, © 川守市 <道路課>" if "国" in credit.inner_text()[:1] else "© 川守市 <道路課>, 国の湖"
    )
    expect(credit).to_be_in_viewport(ratio=1)
    expect(page.locator(".panel-map .panel-note")).to_have_text("背景地図・緯度経度の格子・河川")
    assert page.locator(".leaflet-base-pane").evaluate("e => getComputedStyle(e).pointerEvents") == "none"
    assert faults_axe_finds(page) == []

    page.get_by_role("button", name="明るい画面にする").click()
    assert pixels(page), "in the colours of the light page"

    page.locator(".leaflet-control-zoom-in").focus()
    for _ in range(4):  # finer than the file: cut out of its finest tiles
        page.keyboard.press("Enter")
        page.wait_for_timeout(400)
    pixels(page, water=3 * night["water"], road=0)
    assert hosts == {url.split("/")[2]}
    assert refused == []


def test_without_a_map_of_its_own_the_page_loads_nothing_for_one(mapped: Any, context: BrowserContext) -> None:
    page, _, _ = opened(context, mapped.url)
    expect(page.locator(".panel-map .panel-note")).to_have_text("背景地図なし（緯度経度の格子と河川）")
    expect(page.locator(".leaflet-control-attribution")).not_to_be_attached()
    assert (
        page.evaluate(
            "performance.getEntriesByType('resource').filter(e => /assets.(base|tiles)-/.test(e.name)).length"
        )
        == 0
    )


def test_pictures_of_another_host_come_only_where_the_site_has_set_them(mapped: Any, context: BrowserContext) -> None:
    asked: list[str] = []
    picture = io.BytesIO()
    Image.new("RGB", (256, 256), (200, 30, 30)).save(picture, "PNG")

    def answer(route: Any) -> None:
        asked.append(route.request.headers.get("referer", ""))
        route.fulfill(body=picture.getvalue(), content_type="image/png")

    context.route("https://tiles.city.example/**", answer)
    page, hosts, refused = opened(context, mapped.chain.url("api-3"))
    expect(page.locator(".base-pictures img.leaflet-tile-loaded").first).to_be_attached(timeout=10_000)
    expect(page.locator(".leaflet-control-attribution")).to_have_text("地理院タイル")
    assert hosts == {mapped.chain.url("api-3").split("/")[2], "tiles.city.example"}
    assert set(asked) == {""}, "the other host is not told who asks"
    assert refused == []
    page.evaluate("new Image().src = 'https://elsewhere.example/x.png'")
    page.wait_for_timeout(300)
    assert len(refused) == 1


def without(context: BrowserContext, files: re.Pattern[str]) -> list[str]:
    """Let these files fail until they are routed no more; the ones that were asked for."""
    asked: list[str] = []

    def fail(route: Any) -> None:
        asked.append(route.request.url)
        route.abort()

    context.route(files, fail)
    return asked


def twice(asked: list[str]) -> int:
    """How many files were asked for more than once."""
    return sum(n > 1 for n in Counter(asked).values())


def test_a_map_and_a_chart_that_fail_once_come_by_themselves(
    mapped: Any, context: BrowserContext, wait_until: Callable[..., Any], drawn: Callable[..., None]
) -> None:
    asked = without(context, PARTS)
    page = context.new_page()
    page.goto(mapped.url)
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    # ahead of their need, and then in earnest
    wait_until(lambda: page.wait_for_timeout(50) or twice(asked) == 2, 10, "both have failed")
    expect(page.locator(".leaflet-marker-icon")).not_to_be_attached()
    context.unroute(PARTS)
    page.evaluate("window.sameLife = true")
    drawn(page)
    expect(page.get_by_test_id("missing")).not_to_be_attached()
    assert page.evaluate("window.sameLife") is True


def test_what_does_not_come_is_said_with_a_way_out(
    mapped: Any, context: BrowserContext, faults_axe_finds: Callable[[Page], list[str]], drawn: Callable[..., None]
) -> None:
    # of the map its style sheet alone, which the build's loader asks for only once
    lost = re.compile(r"/assets/(river-map-[^/]+\.css|plot-[^/]+\.js)$")
    without(context, lost)
    page = context.new_page()
    page.goto(mapped.url)
    words = page.get_by_test_id("missing")
    expect(words).to_have_count(2, timeout=20_000)
    expect(words.first).to_contain_text("読み込めませんでした")
    expect(page.get_by_test_id("level").first).to_be_visible()
    assert faults_axe_finds(page) == []
    page.screenshot(path=ARTEFACTS / "missing-1440-ja.png")
    context.unroute(lost)
    words.last.get_by_role("button").click()
    expect(words).to_have_count(0)
    drawn(page)

    view = re.compile(r"/assets/system-view-[^/]+\.js$")
    without(context, view)
    page.get_by_test_id("nav-system").click()
    expect(words).to_be_visible(timeout=20_000)
    context.unroute(view)


def test_a_wall_without_its_map_reloads_itself_once_a_minute_at_most(
    mapped: Any, context: BrowserContext, wait_until: Callable[..., Any]
) -> None:
    without(context, PARTS)
    page = context.new_page()
    loads: list[str] = []
    page.on("load", lambda _: loads.append(page.url))
    page.goto(mapped.url + "/?wall=1")
    wait_until(lambda: page.wait_for_timeout(50) or len(loads) == 2, 25, "the wall reloads itself")
    expect(page.get_by_test_id("missing").first).to_be_visible(timeout=20_000)
    page.wait_for_timeout(5_000)
    assert len(loads) == 2
