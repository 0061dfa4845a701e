"""Answering alerts on the page: what one person says, everybody sees; and when nobody is told, the page says so."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from kawamori.operate.servers import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "artefacts"
NAME = "佐藤 花子"


def row(page: Page, station: str, level: int) -> Locator:
    """The row of one level's crossing: the highest stand first."""
    word = ["", "水防団待機", "氾濫注意", "避難判断", "氾濫危険", "氾濫開始"][level]
    return page.locator(f'[data-testid=alert-row][data-station-id="{station}"]', has_text=f"{word}水位 超過")


def state(where: Locator) -> Locator:
    return where.get_by_test_id("alert-state")


def test_an_acknowledgement_in_one_browser_is_in_another_within_two_seconds(
    town: Any, page_of: Callable[..., Page]
) -> None:
    here, there = page_of(at="/alerts"), page_of(at="/alerts", width=360, height=780)
    town.rises("shigi-nakasu", 4)
    ours, theirs = (row(page, "shigi-nakasu", 4) for page in (here, there))
    expect(state(ours)).to_have_attribute("data-state", "firing", timeout=10_000)
    expect(state(theirs)).to_have_attribute("data-state", "firing")
    expect(there.get_by_test_id("announcer")).to_contain_text("中洲 氾濫危険水位 超過")
    first = here.get_by_test_id("alert-row").first
    assert first.get_attribute("data-alert-id") == ours.get_attribute("data-alert-id")

    ours.get_by_test_id("answer-acknowledge").click()  # nobody has said yet who is here: it asks
    here.get_by_label("お名前").fill(NAME)
    here.get_by_label("メモ（任意）").fill("現地に向かう")
    begun = time.monotonic()
    here.get_by_test_id("answer-send").dblclick()
    expect(theirs.get_by_test_id("alert-answer")).to_contain_text(f"{NAME} が確認", timeout=2000)
    seen = time.monotonic() - begun
    print(f"\nacknowledged → seen in a second browser: {seen * 1000:.0f} ms")
    assert seen < 2
    expect(state(theirs)).to_have_attribute("data-state", "acknowledged")
    dialog = here.get_by_test_id("alert-dialog")
    expect(dialog.get_by_test_id("chronology")).to_contain_text("現地に向かう")
    assert dialog.get_by_test_id("chronology").get_by_text("現地に向かう").count() == 1  # pressed twice, said once
    here.get_by_test_id("dialog-close").click()

    second = row(here, "shigi-nakasu", 3)  # the name is known now: one press
    begun = time.monotonic()
    second.get_by_test_id("answer-acknowledge").click()
    expect(row(there, "shigi-nakasu", 3).get_by_test_id("alert-answer")).to_contain_text(NAME, timeout=2000)
    print(f"one press → seen in a second browser: {(time.monotonic() - begun) * 1000:.0f} ms")
    expect(here.get_by_test_id("acting-as")).to_contain_text(NAME)

    row(here, "shigi-nakasu", 2).get_by_test_id("answer-details").click()  # and the rest of the flood wave at once
    here.get_by_test_id("do-acknowledge").click()
    here.get_by_label("同じ出水の未応答 1 件もまとめて確認する").check()
    here.get_by_test_id("answer-send").click()
    for level in (1, 2):
        expect(state(row(there, "shigi-nakasu", level))).to_have_attribute("data-state", "acknowledged")


def test_an_alert_is_shelved_with_a_reason_and_taken_back(town: Any, page_of: Callable[..., Page]) -> None:
    page = page_of(at="/alerts", name=NAME)
    town.rises("shigi-shiomi", 1)
    alert = row(page, "shigi-shiomi", 1)
    alert.get_by_test_id("answer-details").click(timeout=10_000)
    dialog = page.get_by_test_id("alert-dialog")
    dialog.get_by_test_id("do-shelve").click()
    page.get_by_label("保留する時間（分）").fill("0")
    page.get_by_test_id("answer-send").click()
    expect(dialog.locator("#answer-text-wrong")).to_have_text("入力してください")
    expect(dialog.locator("#answer-minutes-wrong")).to_be_visible()
    page.get_by_label("保留する時間（分）").fill("30")
    page.get_by_label("理由").fill("潮の影響")
    page.get_by_test_id("answer-send").click()
    expect(state(alert)).to_have_attribute("data-state", "shelved")
    expect(alert.get_by_test_id("alert-answer")).to_contain_text("まで保留")
    expect(dialog.get_by_test_id("chronology")).to_contain_text("潮の影響")
    dialog.get_by_test_id("do-notes").click()
    page.get_by_label("メモ", exact=True).fill("満潮は 03:10")
    page.get_by_test_id("answer-send").click()
    expect(dialog.get_by_test_id("chronology")).to_contain_text("満潮は 03:10")
    expect(alert).to_contain_text("メモ 2 件")
    dialog.get_by_test_id("do-unshelve").click()
    page.get_by_test_id("answer-send").click()
    expect(state(alert)).to_have_attribute("data-state", "firing")


def test_a_doubtful_alert_says_why_and_is_confirmed_or_withdrawn_by_a_person(
    town: Any, page_of: Callable[..., Page]
) -> None:
    page = page_of(at="/alerts", name=NAME)
    town.says("shigi-kamimachi", 0.8)
    for station in ("shigi-takinoue", "shigi-yamaguchi"):
        town.jumps(station, 1)
    real, false = row(page, "shigi-yamaguchi", 1), row(page, "shigi-takinoue", 1)
    for alert in (real, false):
        expect(alert.get_by_test_id("alert-doubt")).to_contain_text("変化が急", timeout=10_000)
    expect(real.get_by_test_id("alert-doubt")).to_contain_text("上町 0.80 m")
    expect(page.get_by_test_id("announcer")).to_contain_text("未確認。")

    real.get_by_test_id("answer-confirm").click()
    page.get_by_label("メモ（任意）").fill("カメラで確認")
    page.get_by_test_id("answer-send").click()
    expect(real.get_by_test_id("alert-answer")).to_contain_text(f"{NAME} が事実と確認")
    expect(real.get_by_test_id("alert-doubt")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("alert-dialog")).to_have_count(0)

    false.get_by_test_id("answer-withdraw").click()
    page.get_by_label("理由").fill("流木")
    page.get_by_test_id("answer-send").click()
    expect(state(false)).to_have_attribute("data-state", "withdrawn")
    expect(false.get_by_test_id("alert-answer")).to_contain_text(f"{NAME} が取消")
    assert [(a["state"], a["verified"]) for a in town.alerts("shigi-takinoue")] == [("withdrawn", False)]


def test_by_keyboard_alone_an_alert_is_found_and_answered(town: Any, page_of: Callable[..., Page]) -> None:
    page = page_of(at="/alerts", name=NAME)
    town.rises("asagiri-tanaka", 1)
    alert = row(page, "asagiri-tanaka", 1)
    expect(state(alert)).to_have_attribute("data-state", "firing", timeout=10_000)
    page.get_by_test_id("unanswered").focus()
    page.keyboard.press("Enter")
    details = alert.get_by_test_id("answer-details")
    for _ in range(80):
        page.keyboard.press("Tab")
        if details.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    dialog = page.get_by_test_id("alert-dialog")
    expect(dialog).to_be_visible()
    inside = "d => document.activeElement === document.body || d.contains(document.activeElement)"
    for _ in range(12):  # the page behind cannot be reached; between two rounds the browser's own bar has the focus
        page.keyboard.press("Tab")
        assert dialog.evaluate(inside)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(details).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(alert.get_by_test_id("answer-acknowledge")).to_be_focused()
    page.keyboard.press("Enter")
    expect(state(alert)).to_have_attribute("data-state", "acknowledged")


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_page_with_an_open_dialog_has_no_fault_that_axe_finds(
    town: Any,
    page_of: Callable[..., Page],
    faults_axe_finds: Callable[[Page], list[str]],
    width: int,
    theme: str,
) -> None:
    page = page_of(at="/alerts", width=width, height=800)
    town.rises("shigi-ohashi", 3)
    town.jumps("asagiri-minenosawa", 2)
    alert = row(page, "asagiri-minenosawa", 2).first  # what lasts stands before what is over
    expect(alert).to_be_visible(timeout=10_000)
    if theme == "light":
        page.get_by_test_id("theme-toggle").click()
    found = faults_axe_finds(page)
    alert.get_by_test_id("answer-details").click()
    page.get_by_test_id("do-shelve").click()
    page.get_by_test_id("answer-send").click()
    expect(page.locator("#answer-text-wrong")).to_be_visible()
    found += faults_axe_finds(page)
    assert not found, "\n".join(found)
    if width == 360:
        for button in page.locator("[data-testid=alert-dialog] button").all():
            box = button.bounding_box()
            assert box
            assert box["height"] >= 44
            assert box["width"] >= 44


def test_where_a_name_is_not_enough_the_page_asks_for_a_token(
    town: Any, page_of: Callable[..., Page], wait_until: Callable[..., Any]
) -> None:
    port = free_port()
    town.chain.launch("api-closed", KAWAMORI_API__OPEN="false", KAWAMORI_API__PORT=str(port))
    url = f"http://127.0.0.1:{port}"

    def serves() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(serves, 20, "the second page is served")
    town.rises("asagiri-shinden", 1)
    page = page_of(at="/alerts", url=url, name=NAME)
    alert = row(page, "asagiri-shinden", 1)
    alert.get_by_test_id("answer-acknowledge").click(timeout=10_000)
    expect(page.get_by_label("トークン")).to_be_visible()
    page.get_by_label("トークン").fill("wrong")
    page.get_by_test_id("answer-send").click()
    expect(page.locator("#answer-token-wrong")).to_have_text("トークンが違うか、取り消されています。")
    page.get_by_label("トークン").fill(new_token(town))
    page.get_by_test_id("answer-send").click()
    expect(alert.get_by_test_id("alert-answer")).to_contain_text("鈴木 が確認")
    town.chain.kill("api-closed")


def new_token(town: Any) -> str:
    """An account's, made by the command line as an administrator does."""
    done = subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "user", "add", "鈴木", "--role", "operator"],
        env=town.chain.environment, cwd=town.chain.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()[-1]


def test_on_the_night_of_a_drill_every_alert_is_marked_and_fits_every_screen(
    town_of: Callable[..., Any], page_of: Callable[..., Page], wait_until: Callable[..., Any]
) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    closed = str(free_port())  # nobody takes the mail: the dialog must say so
    town = town_of(
        KAWAMORI_SITE__STATUS="exercise", KAWAMORI_ALERTS__SMTP_HOST="127.0.0.1", KAWAMORI_ALERTS__SMTP_PORT=closed,
        KAWAMORI_ALERTS__MAIL_TO='["duty@city.example"]',
    )  # fmt: skip
    for station, level in (("shigi-takinoue", 3), ("shigi-nakasu", 5), ("asagiri-tanaka", 2), ("shigi-kako", 1)):
        town.rises(station, level)
    town.says("shigi-yamaguchi", 1.2)
    town.says("shigi-shiomi", 2.0)
    town.jumps("shigi-kamimachi", 4)
    wait_until(lambda: len(town.alerts("shigi-kamimachi")) == 4, 15, "the doubtful crossings are recorded")
    town.post(
        "/api/v1/alerts",
        {
            "river_id": "asagiri",
            "flood_level": 4,
            "message": {"ja": "堤防から漏水", "en": "Water seeps through the levee"},
        },
    )
    highest = {a["flood_level"]: a["id"] for a in town.alerts("shigi-nakasu")}
    town.post(f"/api/v1/alerts/{highest[5]}/acknowledge", {"note": "水防団に出動を要請"})
    town.post(f"/api/v1/alerts/{highest[1]}/shelve", {"minutes": 60, "reason": "承知"})
    for width, height in ((1440, 900), (360, 780)):
        for language, mark in (("ja", "【訓練】"), ("en", "【DRILL】")):
            page = page_of(at="/alerts", url=town.url, width=width, height=height, language=language, name=NAME)
            rows = page.get_by_test_id("alert-row")
            expect(rows.first).to_contain_text(mark)
            assert rows.count() == rows.filter(has_text=mark).count()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=ARTEFACTS / f"alerts-{width}-{language}.png")
            page.get_by_test_id("unanswered").click()
            page.screenshot(path=ARTEFACTS / f"alerts-list-{width}-{language}.png")
            page.locator(f'[data-alert-id="{highest[5]}"]').get_by_test_id("answer-details").click()
            dialog = page.get_by_test_id("alert-dialog")
            expect(dialog.get_by_role("heading", level=2)).to_contain_text(mark)
            expect(dialog.get_by_test_id("chronology")).to_contain_text("水防団に出動を要請")
            expect(dialog.locator(".told-failed").first).to_be_visible(timeout=15_000)
            dialog.get_by_test_id("do-shelve").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=ARTEFACTS / f"alert-dialog-{width}-{language}.png")
            page.context.close()
    page = page_of(url=town.url, width=360, height=780)
    town.chain.kill("alerts")
    expect(page.get_by_test_id("banner-alerting")).to_be_visible(timeout=15_000)
    page.screenshot(path=ARTEFACTS / "impaired-360-ja.png")
    town.chain.kill("api")
    expect(page.get_by_test_id("banner-lost")).to_be_visible(timeout=15_000)
    page.screenshot(path=ARTEFACTS / "alerts-lost-360-ja.png")


def test_the_page_says_within_fifteen_seconds_that_nobody_judges_and_that_somebody_does_again(
    town: Any, page_of: Callable[..., Page]
) -> None:
    page = page_of()
    line, table = page.get_by_test_id("banner-alerting"), page.locator("table.levels")
    expect(page.get_by_test_id("silence")).to_have_count(12, timeout=30_000)  # every row says all that it will
    expect(line).to_have_count(0)
    place = table.bounding_box()
    town.chain.kill("alerts")
    begun = time.monotonic()
    expect(line).to_be_visible(timeout=15_000)
    print(f"\nengine killed → banner: {time.monotonic() - begun:.1f} s")
    expect(line).to_contain_text("自動判定が止まっています")
    expect(page.get_by_test_id("banner-lost")).to_have_count(0)  # this screen's line is as good as before
    assert table.bounding_box() == place  # and nothing jumped
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "impaired-1440-ja.png")
    town.chain.start("alerts")
    begun = time.monotonic()
    expect(line).to_have_count(0, timeout=15_000)
    print(f"engine back → banner gone: {time.monotonic() - begun:.1f} s")


def test_the_page_says_within_fifteen_seconds_that_the_database_is_away_and_that_it_is_back(
    town: Any, page_of: Callable[..., Page]
) -> None:
    page = page_of()
    line = page.get_by_test_id("banner-alerting")
    town.database.stop()
    begun = time.monotonic()
    expect(line).to_be_visible(timeout=15_000)
    print(f"\ndatabase away → banner: {time.monotonic() - begun:.1f} s")
    expect(line).to_contain_text("データベースに届きません")
    town.database.start()
    begun = time.monotonic()
    expect(line).to_have_count(0, timeout=40_000)
    expect(page.get_by_test_id("banner-lost")).to_have_count(0, timeout=20_000)
    print(f"database back → banners gone: {time.monotonic() - begun:.1f} s")
