"""The page asks nobody but its own site, is small, works on a thin line, and notices that it has grown old."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from simulators.city import plans

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

#: Bytes of the first load as they travel, headers included: gzipped, in one language, with map and chart.
BUDGET = 110_000
#: 64 kbit/s.
THIN = 64_000 / 8
VIEWS = ("/", "/station/shigi-ohashi", "/alerts", "/system", "/?wall=1")


@pytest.fixture(scope="module")
def quiet_town(town: Any) -> Any:
    for station in town.peaks:
        town.says(station, 0.5, 0.51)
    return town


def test_no_view_asks_another_host(quiet_town: Any, browser: Browser, drawn: Callable[..., None]) -> None:
    context = browser.new_context(locale="ja-JP")
    asked: set[str] = set()
    context.on("request", lambda request: asked.add(request.url.split("/")[2]))
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    for view in VIEWS:
        page.goto(quiet_town.url + view)
        expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
        page.wait_for_load_state("load")
        drawn(page)
    assert asked == {quiet_town.url.split("/")[2]}
    assert refused == []
    context.close()


def test_the_first_load_is_small_all_told(quiet_town: Any, browser: Browser) -> None:
    context = browser.new_context(locale="ja-JP", viewport={"width": 1440, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    session.on("Network.responseReceived", lambda e: names.update({e["requestId"]: e["response"]["url"]}))
    session.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: int(e["encodedDataLength"])}))
    page.goto(quiet_town.url)
    expect(page.get_by_test_id("station-row").first).to_be_visible()
    expect(page.locator(".pin-host").first).to_be_visible()
    expect(page.locator(".uplot canvas").first).to_be_visible()
    page.wait_for_timeout(1000)
    page_bytes = sum(size for key, size in sizes.items() if "/api/" not in names.get(key, "/api/"))
    data_bytes = sum(sizes.values()) - page_bytes
    print(f"\nfirst load: {page_bytes / 1000:.1f} kB of page, {data_bytes / 1000:.1f} kB of data")
    assert page_bytes <= BUDGET
    context.close()


def thin(context: BrowserContext) -> Page:
    """A page at the end of a thin line."""
    page: Page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    line = {"offline": False, "latency": 100, "downloadThroughput": THIN, "uploadThroughput": THIN}
    session.send("Network.emulateNetworkConditions", line)
    return page


def test_a_thin_line_is_enough(quiet_town: Any, browser: Browser, drawn: Callable[..., None]) -> None:
    context = browser.new_context(locale="ja-JP")
    page = thin(context)
    station = "shigi-ohashi"
    begun = time.monotonic()
    page.goto(quiet_town.url, wait_until="commit")
    level = page.locator(f'[data-testid=station-row][data-station-id="{station}"]').get_by_test_id("level")
    expect(level).to_be_visible(timeout=60_000)
    first = time.monotonic() - begun
    drawn(page, 60_000)
    delays = []
    for n in range(5):
        value = 0.6 + n / 100
        quiet_town.says(station, value)
        begun = time.monotonic()
        expect(level).to_contain_text(f"{value:.2f}", timeout=20_000)
        delays.append(time.monotonic() - begun)
        page.wait_for_timeout(2_000)
        expect(page.get_by_test_id("banner-lost")).not_to_be_attached()
    print(f"\n64 kbit/s: first numbers after {first:.1f} s, a new level after {[round(d, 1) for d in delays]} s")
    assert first < 30
    assert max(delays) < 10
    context.close()


def test_a_thousand_stations_reach_a_thin_line_too(
    town_of: Callable[..., Any], browser: Browser, payload: Callable[..., bytes]
) -> None:
    one = plans(datetime.now(UTC))[0]
    names = [f"thin-{n:04}" for n in range(1000)]
    many = [
        replace(one, station_id=name, name_ja=f"第{n}観測所", sensors=tuple(
            replace(sensor, device_id=f"{name}-{sensor.quantity}") for sensor in one.sensors
        ))
        for n, name in enumerate(names)
    ]  # fmt: skip
    town = town_of(many)
    now = datetime.now(UTC).isoformat()
    devices = [next(s.device_id for s in plan.sensors if s.quantity == "water_level") for plan in many]
    town.chain.publish([(device, payload(now, 0.5)) for device in devices])
    context = browser.new_context(locale="ja-JP")
    page = thin(context)
    begun = time.monotonic()
    page.goto(town.url, wait_until="commit")
    expect(page.get_by_test_id("filter-count")).to_have_text("1000 局", timeout=90_000)
    print(f"\n64 kbit/s, 1,000 stations: first numbers after {time.monotonic() - begun:.1f} s")
    context.close()


#: As on a terminal that is locked down.
FORBIDDEN = """for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
  Object.defineProperty(window, name, { get() { throw new DOMException(name, 'SecurityError'); } });"""


def older(route: Route) -> None:
    """The page as an older build of it would say of itself."""
    answer = route.fetch()
    route.fulfill(response=answer, body=re.sub(r'(name="version" content=)"\w+"', r'\1"older"', answer.text()))


def test_a_screen_learns_that_it_is_an_older_build_and_the_wall_reloads_itself(
    quiet_town: Any, browser: Browser
) -> None:
    context = browser.new_context(locale="ja-JP", service_workers="block")
    page: Page = context.new_page()
    page.route("**/", older, times=1)
    page.goto(quiet_town.url + "/")
    expect(page.get_by_test_id("banner-version")).to_be_visible(timeout=10_000)
    page.get_by_test_id("banner-version").get_by_role("button").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    page.wait_for_timeout(6_000)  # a heartbeat has come
    expect(page.get_by_test_id("banner-version")).not_to_be_attached()

    wall: Page = context.new_page()
    loads: list[str] = []
    wall.add_init_script(FORBIDDEN)
    wall.on("load", lambda _: loads.append(wall.url))
    wall.route(re.compile(r"/\?wall=1$"), older, times=1)
    wall.goto(quiet_town.url + "/?wall=1")
    expect(wall.locator("meta[name=version]")).not_to_have_attribute("content", "older", timeout=15_000)
    wall.wait_for_timeout(6_000)
    assert len(loads) == 2, "it reloads once, and finds itself up to date"
    context.close()
