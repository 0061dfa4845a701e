"""The situation view and the wall: rows hold still under a hand, no filter hides unsaid, keys are enough."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
NAME = "佐藤 花子"


def ids(page: Page) -> list[str]:
    rows = page.get_by_test_id("station-row")
    return list(rows.evaluate_all("rows => rows.map(row => row.dataset.stationId)"))


def row(page: Page, station: str) -> Any:
    return page.locator(f'[data-testid=station-row][data-station-id="{station}"]')


@pytest.fixture
def alive(town: Any) -> Iterator[Any]:
    """A town all of whose stations go on reporting; `levels` says what, and sensors add a millimetre or two.

    After a steep fall a number that never moves would end no alert.
    """
    levels = dict.fromkeys(town.peaks, 0.5)
    stop = Event()

    def report() -> None:
        ticks = 0
        while not stop.wait(1.5):
            ticks += 1
            for station, level in dict(levels).items():
                town.says(
                    station, level + 0.001 * (ticks % 3)
                )  # as sensors do: a number that never moves ends no alert

    town.levels = levels
    reporting = Thread(target=report, daemon=True)
    reporting.start()
    yield town
    stop.set()
    reporting.join()


def test_rows_do_not_move_under_a_hand_and_a_button_brings_the_order_up_to_date(
    alive: Any, page_of: Callable[..., Page]
) -> None:
    page = page_of(name=NAME)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    page.get_by_test_id("station-row").nth(2).hover()
    before = ids(page)
    last = [one for one in before if one != "asagiri-tanaka"][-1]  # that one is the next test's
    alive.rises(last, 3)
    alive.levels[last] = alive.peaks[last][3] + 0.05
    expect(row(page, last).get_by_test_id("row-acknowledge")).to_be_visible(timeout=15_000)
    changes = page.get_by_test_id("changes")
    expect(changes).to_be_visible(timeout=15_000)
    expect(changes).to_contain_text("変化を反映")
    assert ids(page) == before
    changes.click()
    expect(page.get_by_test_id("station-row").first).to_have_attribute("data-station-id", last)
    expect(changes).not_to_be_attached()
    assert sorted(ids(page)) == sorted(before)


def test_the_keyboard_alone_searches_opens_and_acknowledges(alive: Any, page_of: Callable[..., Page]) -> None:
    page = page_of(name=NAME)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    alive.rises("asagiri-tanaka", 2)
    alive.levels["asagiri-tanaka"] = alive.peaks["asagiri-tanaka"][2] + 0.05
    expect(row(page, "asagiri-tanaka").get_by_test_id("row-acknowledge")).to_be_visible(timeout=15_000)
    page.keyboard.press("/")
    expect(page.get_by_test_id("search")).to_be_focused()
    page.keyboard.type("たなか")  # the kana of 田中 are in no name: nothing fits, and that is said
    expect(page.get_by_test_id("filter-count")).to_have_text("0 / 12 局")
    expect(page.get_by_test_id("hidden-unanswered")).to_contain_text("1 局")
    page.keyboard.press("Escape")
    page.keyboard.type("ＴＡＮＡＫＡ")
    expect(page.get_by_test_id("station-row")).to_have_count(1)
    assert "q=" in page.url
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.testid") == "station-link":
            break
    expect(row(page, "asagiri-tanaka").get_by_test_id("station-link")).to_be_focused()
    page.keyboard.press("a")
    dialog = page.get_by_test_id("alert-dialog")
    expect(dialog).to_contain_text("田中橋")
    page.keyboard.type("現地確認済み")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "submit":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("answer-done")).to_have_text("記録しました", timeout=5_000)
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_attached()
    expect(row(page, "asagiri-tanaka").get_by_test_id("station-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("station-view")).to_be_visible()
    page.go_back()
    expect(page.get_by_test_id("search")).to_have_value("ＴＡＮＡＫＡ")


def test_a_link_opens_the_same_filters_and_none_hides_an_unanswered_station_silently(
    alive: Any, page_of: Callable[..., Page]
) -> None:
    page = page_of(at="/?river=asagiri&ward=Minato%20Ward")
    expect(page.get_by_test_id("filter-count")).to_have_text("2 / 12 局")
    assert set(ids(page)) == {"asagiri-ekimae", "asagiri-minato"}
    alive.rises("shigi-kamimachi", 1)
    alive.levels["shigi-kamimachi"] = alive.peaks["shigi-kamimachi"][1] + 0.05
    hidden = page.get_by_test_id("hidden-unanswered")
    expect(hidden).to_be_visible(timeout=15_000)
    hidden.get_by_role("button").click()
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    assert "?" not in page.url


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(
    ("at", "width", "height"),
    [("/", 1440, 900), ("/", 360, 780), ("/?wall=1", 1920, 1080), ("/alerts", 1440, 900), ("/system", 360, 780)],
)
def test_no_view_has_a_fault_that_axe_finds(
    alive: Any, page_of: Callable[..., Page], faults_axe_finds: Callable[[Page], list[str]],
    drawn: Callable[[Page], None], at: str, width: int, height: int, theme: str,
) -> None:  # fmt: skip
    for language in ("ja", "en"):
        page = page_of(at=at, width=width, height=height, language=language)
        page.evaluate(f"localStorage.setItem('kawamori.theme', {json.dumps(theme)})")
        page.reload()
        expect(
            page.locator("[data-testid=station-row], [data-testid=alerts-view], [data-testid=chain]").first
        ).to_be_visible()
        drawn(page)
        found = faults_axe_finds(page)
        assert not found, "\n".join(found)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.context.close()


def test_on_a_phone_every_target_is_large_enough_for_a_thumb(
    alive: Any, page_of: Callable[..., Page], drawn: Callable[[Page], None]
) -> None:
    page = page_of(width=360, height=780)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    for tab in ("situation", "map", "situation"):
        page.get_by_test_id(f"nav-{tab}").click()
        expect(page.get_by_test_id(f"nav-{tab}")).to_have_attribute("aria-current", "page")
        drawn(page)
        small = page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, select, input")]
              .filter((one) => one.checkVisibility() && !one.matches(".skip, .pickrow, .leaflet-control-attribution a"))
              .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
              .filter(([, box]) => box.width > 0 && (box.width < 44 || box.height < 44))
              .map(([text, box]) => `${text} ${box.width}x${box.height}`)"""
        )
        assert small == []


def test_the_wall_is_large_and_shows_the_worst_in_turn(
    alive: Any, page_of: Callable[..., Page], drawn: Callable[[Page], None]
) -> None:
    page = page_of(at="/?wall=1", width=1920, height=1080)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    drawn(page)
    small = page.evaluate(
        """() => {
          const found = new Set();
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const host = walk.currentNode.parentElement;
            if (!walk.currentNode.data.trim() || !host.checkVisibility({ visibilityProperty: true })) continue;
            if (host.closest("svg, .sr, dialog, noscript, .skip")) continue;
            const size = parseFloat(getComputedStyle(host).fontSize);
            if (size < 24) found.add(`${host.className} ${size} ${walk.currentNode.data.trim()}`);
          }
          return [...found];
        }"""
    )
    assert small == []
    chosen = page.locator("tr.row-chosen")
    first = chosen.get_attribute("data-station-id")
    page.get_by_test_id("wall-light").click()
    page.wait_for_timeout(16_000)
    assert chosen.get_attribute("data-station-id") == first, "a press holds it"
    page.get_by_test_id("wall-light").click()
    page.wait_for_function(
        "first => document.querySelector('tr.row-chosen')?.dataset.stationId !== first", arg=first, timeout=20_000
    )
    page.set_viewport_size({"width": 1920, "height": 860})
    expect(page.get_by_test_id("wall-more")).to_be_visible()
    page.wait_for_function(  # no row is cut, and what has no room is counted
        """() => {
          const box = (what) => document.querySelector(what).getBoundingClientRect();
          const rows = [...document.querySelectorAll("[data-testid=station-row]")]
            .filter((row) => row.checkVisibility({ visibilityProperty: true }));
          const note = box("[data-testid=wall-more]");
          const said = document.querySelector("[data-testid=wall-more]").textContent;
          return rows.length >= 5 && rows.at(-1).getBoundingClientRect().bottom <= note.top + 1
            && note.bottom <= box(".wall-worst").bottom + 1 && said.includes(`ほか ${12 - rows.length} 局`);
        }""",
        timeout=5_000,
    )
    page.screenshot(path=ARTEFACTS / "wall-low-1920-ja.png")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_wall_narrower_than_most_cuts_off_no_age_and_no_count(
    alive: Any, page_of: Callable[..., Page], language: str
) -> None:
    page = page_of(at="/?wall=1", language=language)
    expect(page.get_by_test_id("station-row")).to_have_count(12)
    page.screenshot(path=ARTEFACTS / f"wall-1440-{language}.png")
    beyond = page.evaluate(
        """() => {
          const right = (element) => element.getBoundingClientRect().right;
          const cut = (inner, outer) => [...document.querySelectorAll(inner)]
            .filter((element) => right(element) > right(element.closest(outer)) + 1).map((e) => e.textContent);
          return [...cut("[data-testid=age]", ".wall-worst"), ...cut(".count", ".wall")];
        }"""
    )
    assert beyond == []
