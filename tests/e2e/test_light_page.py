"""The light page in a browser: without a script, on a phone, on paper, and while the database is away."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def flooded(town: Any, wait_until: Callable[..., Any]) -> Any:
    """One station at level 3, one that jumped, the others calm but one that never spoke."""
    first, second, silent, *others = town.peaks
    for station in others:
        town.says(station, 0.5, 0.51)
    town.rises(first, 3)
    town.jumps(second, 2)
    wait_until(lambda: town.alerts(first) and town.alerts(second), 30, "both are alerted of")
    town.silent = silent
    return town


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_light_page_has_no_fault_that_axe_finds(
    flooded: Any, browser: Browser, faults_axe_finds: Callable[[Page], list[str]], language: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(f"{flooded.url}/lite?lang={language}")
    expect(page.locator("tbody tr")).to_have_count(len(flooded.peaks))
    assert faults_axe_finds(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_the_light_page_needs_no_script_and_nobody_else(flooded: Any, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url.removeprefix(flooded.url)))
    page = context.new_page()
    page.goto(f"{flooded.url}/lite")
    expect(page.locator("tbody tr").first).to_contain_text("3 避難判断")
    expect(page.locator("ol")).to_contain_text("未確認")
    expect(page.locator("tr.old").filter(has_text="受信なし")).to_have_count(1)
    assert {path for path in asked if path != "/favicon.ico"} == {"/lite", "/api/lite.css"}
    assert "solid" in page.locator("b").first.evaluate("e => getComputedStyle(e).border")
    context.close()


def test_the_light_page_renews_itself_and_says_when_nothing_can_be_read(flooded: Any, browser: Browser) -> None:
    """The minute is made short on the way; what the browser does with it is its own."""
    context = browser.new_context()
    page = context.new_page()

    def hurry(route: Any) -> None:
        answer = route.fetch()
        assert answer.headers["refresh"] == "60"
        route.fulfill(response=answer, headers={**answer.headers, "refresh": "1"})

    page.route("**/lite", hurry)
    page.goto(f"{flooded.url}/lite")
    before = page.locator(".as-of").inner_text()
    expect(page.locator(".as-of")).not_to_have_text(before, timeout=10_000)
    flooded.database.stop()
    expect(page.locator(".bad")).to_contain_text("データベースが応答していません", timeout=30_000)
    expect(page.locator("main")).not_to_contain_text(re.compile(r"\d"))
    flooded.database.start()
    expect(page.locator("tbody tr").first).to_contain_text("3 避難判断", timeout=40_000)
    context.close()
