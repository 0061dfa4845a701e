"""The page cannot lie: what is old dies, which link is broken is said, what must be heard is heard."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
#: Writes down every note that the loudspeaker is given.
EAR = """
window.heardNotes = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) {
  window.heardNotes.push([Math.round(this.frequency.value), this.context.state]);
  return start.call(this, at);
};
"""


def dead(page: Page, station: str) -> Any:
    return page.locator(f'[data-testid=station-row][data-station-id="{station}"][data-freshness=dead]')


def listening(page: Page, url: str) -> Page:
    """A page whose loudspeaker somebody has tried and heard."""
    page.add_init_script(EAR)
    page.goto(url)
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("sound")).to_have_attribute("data-state", "off")
    page.get_by_test_id("sound").click()
    page.get_by_test_id("sound-test").click()
    page.get_by_test_id("sound-heard").click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("sound")).not_to_have_attribute("data-state", "off")
    page.evaluate("window.heardNotes.length = 0")
    return page


def heard(page: Page) -> list[int]:
    return [hz for hz, state in page.evaluate("window.heardNotes") if state == "running"]


def test_a_crossing_is_heard_until_somebody_answers_and_a_higher_one_through_a_mute(
    town_of: Callable[..., Any], page_of: Callable[..., Page], wait_until: Callable[..., Any]
) -> None:
    town = town_of()
    page = listening(page_of(url=town.url, name="佐藤"), town.url)
    sound = page.get_by_test_id("sound")
    expect(sound).to_have_attribute("data-state", "armed")
    town.rises("shigi-ohashi", 2)
    expect(sound).to_have_attribute("data-state", "sounding", timeout=10_000)
    expect(sound).to_have_attribute("data-last-call", "2", timeout=3_000)
    wait_until(lambda: page.wait_for_timeout(50) or heard(page)[-2:] == [660, 880], 3, "two rising notes are played")

    sound.click()
    page.get_by_test_id("mute-10").click()
    page.keyboard.press("Escape")
    expect(sound).to_have_attribute("data-state", "muted")
    expect(sound).to_contain_text("9:")
    page.evaluate("window.heardNotes.length = 0")
    town.rises("shigi-ohashi", 4)
    expect(sound).to_have_attribute("data-last-call", "4", timeout=10_000)
    assert heard(page)[-8:] == [880, 1175] * 4

    page.get_by_test_id("nav-alerts").click()
    expect(page.get_by_test_id("answer-acknowledge").first).to_be_visible()
    while page.get_by_test_id("answer-acknowledge").count():
        page.get_by_test_id("answer-acknowledge").first.click()
        page.wait_for_timeout(300)
    expect(page.get_by_test_id("unanswered")).to_have_text("未応答なし")
    sound.click()
    page.get_by_test_id("unmute").click()
    page.keyboard.press("Escape")
    expect(sound).to_have_attribute("data-state", "armed")
    page.evaluate("window.heardNotes.length = 0")
    page.wait_for_timeout(9_000)  # level 4 would have repeated after 8 s
    assert heard(page) == []
    page.context.close()


def test_a_server_that_freezes_is_told_within_ten_seconds_heard_and_survived_without_a_reload(
    town_of: Callable[..., Any], page_of: Callable[..., Page]
) -> None:
    town = town_of()
    station = "shigi-takinoue"
    town.says(station, 0.6, 0.61)
    page = listening(page_of(url=town.url), town.url)
    page.evaluate("window.sameLife = true")
    town.says(station, 0.61)  # six seconds without a word, and it is dead
    row = page.locator(f'[data-testid=station-row][data-station-id="{station}"]')
    expect(row.get_by_test_id("level")).to_contain_text("0.61")
    expect(dead(page, station)).to_have_count(0)
    town.chain.freeze("api")
    begun = time.monotonic()
    expect(page.get_by_test_id("banner-lost")).to_be_visible(timeout=16_000)
    silent = time.monotonic() - begun
    expect(row.get_by_test_id("age")).to_contain_text("の値")
    expect(page.get_by_test_id("sound")).to_have_attribute("data-last-call", "link", timeout=13_000)
    print(f"\nfrozen: banner after {silent:.1f} s of silence, heard after {time.monotonic() - begun:.1f} s")
    page.screenshot(path=ARTEFACTS / "frozen-1440-ja.png")
    assert heard(page)[:3] == [900, 700, 500]
    town.chain.thaw("api")
    town.says(station, 0.72)
    begun = time.monotonic()
    expect(page.get_by_test_id("banner-lost")).not_to_be_attached(timeout=15_000)
    expect(row.get_by_test_id("level")).to_contain_text("0.72", timeout=5_000)
    print(f"live again {time.monotonic() - begun:.1f} s after the server went on")

    # an answer that a short standstill has held up for seconds does not hold up the next
    town.chain.freeze("api")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(6_000)
    town.chain.thaw("api")
    town.says(station, 0.73)
    expect(row.get_by_test_id("level")).to_contain_text("0.73", timeout=5_000)
    assert page.evaluate("window.sameLife") is True
    page.context.close()


def test_a_silent_station_dies_alone(town_of: Callable[..., Any], page_of: Callable[..., Page]) -> None:
    town = town_of()
    town.says("shigi-takinoue", 0.6, 0.61)
    town.says("shigi-ohashi", 0.6, 0.61)
    page = page_of(url=town.url)
    town.says("shigi-takinoue", 0.62)  # however long the page took to open
    expect(row_of(page, "shigi-takinoue").get_by_test_id("level")).to_contain_text("0.62")
    expect(dead(page, "shigi-takinoue")).to_have_count(0)
    for _ in range(20):
        town.says("shigi-ohashi", 0.62)
        page.wait_for_timeout(500)
        if dead(page, "shigi-takinoue").count():
            break
    expect(dead(page, "shigi-takinoue")).to_have_count(1)
    expect(dead(page, "shigi-ohashi")).to_have_count(0)
    expect(page.get_by_test_id("banner-lost")).not_to_be_attached()
    page.context.close()


def test_a_sensor_that_sends_nothing_but_failed_readings_dies_and_is_not_called_calm(
    town_of: Callable[..., Any], page_of: Callable[..., Page]
) -> None:
    town = town_of()
    station = "shigi-takinoue"
    town.rises(station, 2)
    page = page_of(url=town.url)
    row = row_of(page, station)
    expect(row.get_by_test_id("flood-level")).to_have_attribute("data-level", "2")
    for i in range(20):  # no height of any water, and no two of them agree: the limit is not to blame
        town.says(station, 9100.0 + 100 * (i % 8))
        page.wait_for_timeout(500)
        if dead(page, station).count():
            break
    expect(dead(page, station)).to_have_count(1)
    expect(row.get_by_test_id("silence")).to_have_attribute("data-link", "failing")
    expect(row.get_by_test_id("flood-level")).to_have_attribute("data-level", "2")
    expect(row.get_by_test_id("flood-level")).to_contain_text("欠測")
    expect(row.get_by_test_id("age")).to_contain_text("の値")
    row.scroll_into_view_if_needed()
    page.screenshot(path=ARTEFACTS / "failing-1440-ja.png")
    page.context.close()


def test_a_screen_switched_on_while_the_server_is_away_shows_what_it_last_knew_as_old(
    town_of: Callable[..., Any], browser: Browser, wait_until: Callable[..., Any]
) -> None:
    town = town_of()
    station = "shigi-takinoue"
    town.says(station, 0.6, 0.63)
    context = browser.new_context(locale="ja-JP")
    page = context.new_page()
    page.goto(town.url)
    row = page.locator(f'[data-testid=station-row][data-station-id="{station}"]')
    expect(row.get_by_test_id("level")).to_contain_text("0.63")
    kept = "async () => (await (await caches.open('kawamori-page')).keys()).length"
    wait_until(lambda: page.wait_for_timeout(200) or page.evaluate(kept) > 10, 40, "the page's files are kept")
    known = """async () => {
      const asked = indexedDB.open('kawamori', 1);
      await new Promise((done) => { asked.onsuccess = done; });
      const got = asked.result.transaction('last').objectStore('last').get('snapshot');
      await new Promise((done) => { got.onsuccess = done; });
      asked.result.close();
      return JSON.stringify(got.result ?? null);
    }"""
    wait_until(lambda: page.wait_for_timeout(200) or "0.63" in page.evaluate(known), 40, "what is known is kept")
    page.goto(f"{town.url}/healthz")  # one of the server's other pages: not the one to be kept
    expect(page.locator("body")).to_have_text("alive")
    page.close()
    town.chain.kill("api")
    page = context.new_page()
    page.goto(town.url)
    expect(row_of(page, station).get_by_test_id("level")).to_contain_text("0.63", timeout=15_000)
    expect(page.get_by_test_id("banner-lost")).to_contain_text("この端末に残っていた値")
    expect(row_of(page, station).get_by_test_id("age")).to_contain_text("の値")
    page.screenshot(path=ARTEFACTS / "recalled-1280-ja.png")
    town.chain.start("api")
    town.says(station, 0.8)
    expect(page.get_by_test_id("banner-lost")).not_to_be_attached(timeout=15_000)
    expect(row_of(page, station).get_by_test_id("level")).to_contain_text("0.80")
    context.close()


def row_of(page: Page, station: str) -> Any:
    return page.locator(f'[data-testid=station-row][data-station-id="{station}"]')


def test_sensor_gateway_and_server_are_told_apart(town_of: Callable[..., Any], page_of: Callable[..., Page]) -> None:
    town = town_of()
    for station in town.peaks:
        town.says(station, 0.5, 0.51)
    page = page_of(url=town.url)
    link = row_of(page, "shigi-takinoue").get_by_test_id("silence")
    expect(link).to_have_attribute("data-link", "sensor", timeout=20_000)
    expect(link).to_have_text("センサー無通信")
    expect(page.get_by_test_id("banner-behind")).not_to_be_attached()

    town.chain.kill("ingest")
    begun = time.monotonic()
    expect(page.get_by_test_id("banner-behind")).to_contain_text("12 局", timeout=35_000)
    print(f"\ningest killed → the page says that the server is behind after {time.monotonic() - begun:.1f} s")
    expect(link).to_have_text("サーバー遅れ")
    page.screenshot(path=ARTEFACTS / "behind-1440-ja.png")
    town.chain.start("ingest")
    expect(page.get_by_test_id("banner-behind")).not_to_be_attached(timeout=35_000)

    town.chain.kill("gateway")
    begun = time.monotonic()
    expect(link).to_have_text("ゲートウェイ無通信", timeout=95_000)
    print(f"gateway killed → its stations say so after {time.monotonic() - begun:.1f} s")
    expect(page.get_by_test_id("banner-behind")).not_to_be_attached()
    page.context.close()


def test_the_state_of_the_system_is_never_one_of_an_earlier_visit(
    town_of: Callable[..., Any], page_of: Callable[..., Page]
) -> None:
    town = town_of()
    page = page_of(url=town.url, at="/system")
    database = page.get_by_test_id("link-database")
    expect(database).to_have_attribute("data-health", "ok")
    quarantine = page.get_by_role("region", name="隔離")
    expect(quarantine).to_contain_text("隔離された電文はありません")
    page.route("**/api/v1/quarantine*", lambda route: route.abort())
    expect(quarantine).to_contain_text("取得できません", timeout=10_000)
    expect(quarantine).not_to_contain_text("隔離された電文はありません")
    expect(database).to_have_attribute("data-health", "ok")

    page.get_by_test_id("nav-situation").click()
    expect(page.get_by_test_id("system-view")).not_to_be_attached()
    town.chain.freeze("api")
    page.get_by_test_id("nav-system").click()
    view = page.get_by_test_id("system-view")
    expect(view).to_be_visible()
    expect(page.get_by_test_id("chain")).not_to_be_attached()
    expect(view).to_contain_text("状態をまだ取得していません", timeout=12_000)
    expect(page.get_by_test_id("chain")).not_to_be_attached()
    town.chain.thaw("api")
    expect(database).to_have_attribute("data-health", "ok", timeout=15_000)
    page.context.close()
