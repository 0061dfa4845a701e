"""The browser that people use, and a town for it to look at."""

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.databases import migrated_database

from kawamori.operate.servers import DatabaseServer, cache_folder, private_broker
from kawamori.storage.registry import StationPlan
from simulators.city import plans

AXE = Path(__file__).parents[2] / "dashboard/node_modules/axe-core/axe.min.js"
NAME = "佐藤 花子"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only", default="", help="screenshots: only those whose name matches")
    parser.addoption("--docs", action="store_true", help="screenshots: the best into docs/pictures")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    own = cache_folder() / "chromium/usr/bin/chromium"
    program = own if own.exists() else Path("/usr/bin/chromium")
    # the Node that playwright brings wants a library that a bare Debian lacks; the page's build has found a better one
    node = shutil.which("node", path=f"{os.environ.get('PATH', '')}:{Path(sys.executable).parent}")
    if node:
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", node)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        with_chromium = playwright.chromium.launch(executable_path=str(program), args=arguments)
        yield with_chromium
        with_chromium.close()


class Town:
    """The whole chain on servers of its own, and devices that say what the test wants."""

    def __init__(self, chain: Any, database: DatabaseServer, payload: Callable[..., bytes]) -> None:
        self.chain, self.database, self._payload = chain, database, payload
        self.url = chain.url("api")
        self.peaks = {p.station_id: p.thresholds for p in plans(datetime.now(UTC))}

    def says(self, station: str, *values: float) -> None:
        """One value every two seconds, the last one now."""
        now = datetime.now(UTC)
        times = [now - timedelta(seconds=2 * (len(values) - 1 - i)) for i in range(len(values))]
        self.chain.publish(
            [(f"{station}-level", self._payload(t.isoformat(), v)) for t, v in zip(times, values, strict=True)]
        )

    def rises(self, station: str, level: int) -> None:
        """So slowly that nothing is doubted, to just above a level."""
        top = self.peaks[station][level] + 0.05
        self.says(station, *(round(0.5 + (top - 0.5) * i / 59, 3) for i in range(60)))

    def jumps(self, station: str, level: int) -> None:
        """As no river does: doubted."""
        self.says(station, 0.5, 0.51, 0.5, 0.51, 0.5, self.peaks[station][level] + 0.05)

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), method="POST",
            headers={"Content-Type": "application/json", "X-Kawamori-Name": quote(NAME)},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def alerts(self, station: str) -> list[Any]:
        with urllib.request.urlopen(f"{self.url}/api/v1/alerts?station={station}", timeout=5) as answer:
            return list(json.load(answer)["alerts"])


@pytest.fixture(scope="module")
def town_of(
    fresh_chain_on: Callable[..., Any], payload: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Town]]:
    """Make a town: `town_of(KAWAMORI_…="…")`, the demo city unless its stations are given."""
    with ExitStack() as stack:

        def make(stations: list[StationPlan] | None = None, **extra: str) -> Town:
            database = stack.enter_context(migrated_database(durable=False))
            chain = fresh_chain_on(
                stack, stack.enter_context(private_broker()), database, tmp_path_factory.mktemp("town"),
                KAWAMORI_API__OPEN="true", **extra,
            )  # fmt: skip
            chain.register(stations or plans(datetime.now(UTC)))
            chain.start("gateway", "ingest", "alerts", "api")
            return Town(chain, database, payload)

        yield make


@pytest.fixture(scope="module")
def town(town_of: Callable[..., Town]) -> Town:
    return town_of()


@pytest.fixture
def page_of(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open the page in a browser of its own; `page_of(name=…)` has answered under this name before."""
    contexts = []

    def make(
        *,
        name: str | None = None,
        url: str | None = None,
        width: int = 1440,
        height: int = 900,
        language: str = "ja",
        at: str = "/",
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, locale="ja-JP")
        contexts.append(context)
        if name:
            context.add_init_script(f"localStorage.setItem('kawamori.name', {json.dumps(name)})")
        context.add_init_script(f"localStorage.setItem('kawamori.lang', '{language}')")
        page = context.new_page()
        page.goto((url or request.getfixturevalue("town").url) + ("" if url and at == "/" else at))
        expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def faults_axe_finds() -> Callable[[Page], list[str]]:
    """Every fault against WCAG 2.2 AA that axe-core finds on a page as it stands."""
    if not AXE.exists():
        pytest.skip("axe-core is not there: npm ci in dashboard/")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

    def look(page: Page) -> list[str]:
        page.evaluate(AXE.read_text())  # the page's policy forbids a script tag; this goes in as the debugger's
        found = page.evaluate(f"async () => (await axe.run(document, {{runOnly: {tags}}})).violations")
        return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found for n in v["nodes"]]

    return look


@pytest.fixture(scope="session")
def drawn() -> Callable[..., None]:
    """Wait until a page's map and chart, which come after its numbers, are there; where it has them."""

    def wait(page: Page, timeout: float = 15_000) -> None:
        for panel, what in ((".panel-map", ".leaflet-marker-icon"), (".panel-chart", "canvas")):
            if page.locator(panel).count():
                expect(page.locator(f"{panel} {what}").first).to_be_attached(timeout=timeout)

    return wait
