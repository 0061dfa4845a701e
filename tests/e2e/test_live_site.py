"""A live site: what a device publishes is on the API, the stream and the page within a second."""

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from simulators.city import plans

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
STATION, DEVICE = "shigi-takinoue", "shigi-takinoue-level"


class Site:
    """The whole chain, and its web address."""

    def __init__(self, chain: Any, url: str) -> None:
        self.chain, self.url = chain, url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def level(self, station: str) -> Any:
        return next(s for s in self.get("/api/v1/levels/latest")["stations"] if s["station_id"] == station)


@pytest.fixture
def site(fresh_chain_of: Callable[..., Any], wait_until: Callable[..., Any], tmp_path: Path) -> Site:
    address = tmp_path / "address"
    chain = fresh_chain_of(KAWAMORI_API__PORT="0", KAWAMORI_DEMO_URL_FILE=str(address))
    chain.register(plans(datetime.now(UTC)))
    chain.start("gateway", "ingest", "alerts", "api")
    return Site(chain, wait_until(lambda: address.exists() and address.read_text(), 20, "the API serves"))


def stamp(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def test_a_reading_is_on_the_api_and_on_the_stream_within_a_second(
    site: Site, payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    heard: list[tuple[float, float]] = []
    opened = threading.Event()

    def listen() -> None:
        with urllib.request.urlopen(f"{site.url}/api/v1/stream", timeout=60) as stream:
            opened.set()
            for raw in stream:
                if raw.startswith(b"data: ") and b'"readings"' in raw:
                    for reading in json.loads(raw[6:])["readings"]:
                        heard.append((time.time(), reading["value"]))
                        if reading["value"] > 900:
                            return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert opened.wait(5)
    client = site.chain.client()
    sent = {}
    for i in range(100):
        value = round(0.5 + i / 1000, 3)
        sent[value] = time.time()
        client.publish(f"kawamori/v1/device/{DEVICE}/reading", payload(stamp(), value), qos=1)
        wait_until(lambda value=value: any(v == value for _, v in heard), 5, "the reading is on the stream")
    delays = sorted(at - sent[v] for at, v in heard if v in sent)
    p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99) - 1]
    print(f"\npublish to stream: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms; memory {site.chain.memory_mb()}")
    assert p99 < 1.0
    begun = time.monotonic()
    client.publish(f"kawamori/v1/device/{DEVICE}/reading", payload(stamp(), 0.777), qos=1)
    wait_until(lambda: site.level(STATION)["level_m"] == 0.777, 1, "the reading is in levels/latest")
    print(f"publish to levels/latest: {(time.monotonic() - begun) * 1000:.0f} ms")
    client.disconnect()
    client.loop_stop()


def test_what_a_device_sends_wrong_is_in_quarantine_with_its_reason_within_a_second(
    site: Site, payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    cases = {
        b"\xff\x00 garbage": "message", b"x" * 1_000_000: "message", payload(stamp(), "NaN"): "value",
        payload("2026-07-14T02:10:00", 1.0): "time", payload("1970-01-01T00:00:00Z", 1.0): "time",
        payload("2199-01-01T00:00:00Z", 1.0): "time", payload(stamp(), 1.0, "furlong"): "unit",
    }  # fmt: skip
    client = site.chain.client()
    client.publish(f"kawamori/v1/device/{DEVICE}/reading", payload(stamp(), 0.6), qos=1)
    for number, (bad, field) in enumerate([*cases.items(), (payload(stamp(), 1.0), "device")], start=1):
        device = "nobody-knows-me" if field == "device" else DEVICE
        begun = time.monotonic()
        client.publish(f"kawamori/v1/device/{device}/reading", bad, qos=1)

        def refused(number: int = number) -> Any:
            messages = site.get("/api/v1/quarantine")["messages"]
            return messages if len(messages) == number else None

        newest = wait_until(refused, 1.5, f"{bad[:60]!r} is in quarantine")[0]
        assert time.monotonic() - begun < 1.5
        assert newest["reason"].startswith(field), newest["reason"]
        assert base64.b64decode(newest["payload_base64"]) == bad[:4096]
        assert newest["payload_bytes"] == len(bad)
        with urllib.request.urlopen(f"{site.url}/api/v1/quarantine/{newest['id']}", timeout=5) as whole:
            assert whole.read() == bad
    assert site.level(STATION)["level_m"] == 0.6
    client.disconnect()
    client.loop_stop()


def flood(site: Site, payload: Callable[..., bytes], levels: dict[str, list[float]]) -> None:
    """Half an hour of the city's levels, one a minute, the last one now."""
    messages = []
    for station, values in levels.items():
        for i, value in enumerate(values):
            messages.append((f"{station}-level", payload(stamp(seconds=2 * (len(values) - 1 - i)), value)))
    site.chain.publish(messages)


def test_the_page_shows_what_the_api_says_in_both_languages_and_dies_visibly(
    site: Site, payload: Callable[..., bytes], wait_until: Callable[..., Any], browser: Browser
) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    peaks = {p.station_id: p.thresholds for p in plans(datetime.now(UTC))}
    levels = {}
    for n, (station, steps) in enumerate(peaks.items()):
        top = steps[max(1, 5 - n)] + 0.02 if n < 5 else steps[1] * 0.6
        levels[station] = [round(0.3 + (top - 0.3) * i / 59, 3) for i in range(60)]
    flood(site, payload, levels)
    wait_until(lambda: len(site.get("/api/v1/alerts")["alerts"]) >= 15, 15, "the crossings are recorded")
    stop = threading.Event()

    def keep_reporting() -> None:  # devices that go on, so that the numbers stay fresh
        while not stop.wait(2):
            site.chain.publish([(f"{s}-level", payload(stamp(), v[-1])) for s, v in levels.items()])

    reporting = threading.Thread(target=keep_reporting, daemon=True)
    reporting.start()
    try:
        for width, height in ((1440, 900), (360, 780)):
            for language in ("ja", "en"):
                context = browser.new_context(viewport={"width": width, "height": height}, locale="ja-JP")
                page = context.new_page()
                hosts: set[str] = set()
                page.on("request", lambda request, hosts=hosts: hosts.add(request.url.split("/")[2]))
                page.goto(site.url)
                expect(page.get_by_test_id("station-row")).to_have_count(12)
                if language == "en":
                    page.get_by_test_id("lang-toggle").click()
                    expect(page.locator("html")).to_have_attribute("lang", "en")
                check_numbers(page, site)
                expect(page.get_by_test_id("row-acknowledge").first).to_be_attached()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                page.screenshot(path=ARTEFACTS / f"live-{width}-{language}.png")
                assert hosts == {site.url.split("/")[2]}
                if (width, language) != (360, "en"):
                    context.close()
        site.chain.kill("api")
        expect(page.get_by_test_id("banner-lost")).to_be_visible(timeout=13_000)
        expect(page.locator(".alerting-ok")).to_have_text("Not known how automatic alerting is")
        page.screenshot(path=ARTEFACTS / "lost-360-en.png")
        context.close()
    finally:
        stop.set()
        reporting.join()


def check_numbers(page: Page, site: Site) -> None:
    """Every row's number is the API's."""
    for station in site.get("/api/v1/levels/latest")["stations"]:
        row = page.locator(f'[data-testid=station-row][data-station-id="{station["station_id"]}"]')
        expect(row.get_by_test_id("level").first).to_contain_text(f"{station['level_m']:.2f}", timeout=5000)
