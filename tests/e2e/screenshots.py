"""`make screenshots`: every view of the console in every state that people meet it in, taken of the real chain.

`ARGS="--only REGEX"` takes some of them, `ARGS=--docs` copies the best into docs/pictures.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from kawamori import basemap, wire
from kawamori.operate.servers import free_port
from simulators import land, night
from simulators.night import SHOWN, Heard

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SCREENS, PICTURES = ROOT / "tests/artefacts/screens", ROOT / "docs/pictures"
SIZES = {"1440": (1440, 900), "360": (360, 780), "1920": (1920, 1080), "3840": (3840, 2160)}
#: Where each view is, and what is there once it has something to say.
VIEWS = {
    "situation": ("/", "[data-testid=station-row]"),
    "station": (f"/station/{SHOWN}", "[data-testid=hydrograph] canvas"),
    "station-month": (f"/station/{SHOWN}?range=d30", "[data-testid=hydrograph] canvas"),
    "station-year": (f"/station/{SHOWN}?range=y1", "[data-testid=hydrograph] canvas"),
    "alerts": ("/alerts", "[data-testid=alerts-view]"),
    "system": ("/system", "[data-testid=chain]"),
    "wall": ("/?wall=1", "[data-testid=wall-view]"),
    "lite": ("/lite", "table"),
}
#: One gateway on each river. The Shigi's is a real one; the other's part is played here, so that it can fall silent.
REAL, PLAYED = "gw-shigi", "gw-asagiri"
CONTACT_SHEET = """<!doctype html><meta charset="utf-8"><title>Kawamori</title><style>
body { background: #222; color: #eee; font: 14px sans-serif; display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0 } img { height: 320px }
</style>
"""
FIGURE = '<figure><a href="{0}"><img src="{0}" loading="lazy" alt=""></a><figcaption>{1}</figcaption></figure>\n'
#: What the README shows.
DOCS = {
    "typhoon-situation-1440-ja": "typhoon-desktop-ja",
    "typhoon-situation-360-ja": "typhoon-phone-ja",
    "typhoon-station-1440-ja": "station-ja",
    "typhoon-wall-3840-ja": "wall-ja",
    "drill-dialog-1440-ja": "alert-dialog-ja",
    "typhoon-lite-360-ja": "lite-ja",
    "stale-screen-situation-1440-ja": "lost-ja",
    "drill-situation-1440-ja": "drill-ja",
}


class Night:
    """The simulated city reporting to a town: what was before, and on from there minute by minute."""

    def __init__(self, town: Any, scenario: str, wait_until: Callable[..., Any], *, well: bool) -> None:
        self.town, self.scenario, self.well = town, scenario, well
        self._wait_until = wait_until
        self.now = datetime.now(UTC)
        self._client = town.chain.client()
        self._batches = 0
        self._stop, self._silent = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        heard = night.history(self.scenario, self.now, well=self.well)
        for i in range(0, len(heard), 4000):
            for gateway in (REAL, PLAYED):
                self._forward(gateway, [h for h in heard[i : i + 4000] if _gateway(h) == gateway])
        self._wait_until(lambda: self.town.chain.sql("SELECT count(*) FROM reading")[0][0] >= len(heard), 90,
                         f"{len(heard)} readings are stored\n{self.town.chain.last_words()}")  # fmt: skip
        print(f"{(datetime.now(UTC) - self.now).total_seconds():5.1f} s to store {len(heard)} readings", flush=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def fall_silent(self) -> None:
        """The Asagiri's gateway and everything behind it."""
        self._silent.set()

    def _forward(self, gateway: str, heard: list[Heard]) -> None:
        """As a gateway does: each reading with the time it was heard of."""
        self._batches += 1
        readings = [wire.UplinkReading(h.device_id, h.received_at, msgspec.Raw(wire.encode(h.reading))) for h in heard]
        batch = wire.Batch("night", self._batches, readings=readings)
        self._client.publish(wire.batch_topic(gateway), wire.encode(batch), qos=1)

    def _go_on(self) -> None:
        minute = 0
        while not self._stop.is_set():
            if not self._silent.is_set():
                self._client.publish(wire.alive_topic(PLAYED), wire.encode(wire.Alive()), qos=1)
            if datetime.now(UTC) >= self.now + (minute + 1) * night.MINUTE:
                minute += 1
                heard = list(night.heard_at(self.scenario, minute, self.now, well=self.well))
                for h in heard:
                    if _gateway(h) == REAL:
                        said = msgspec.structs.replace(h.reading, status={"battery_v": 3.58, "rssi_dbm": -91})
                        self._client.publish(wire.device_topic(h.device_id, "reading"), wire.encode(said), qos=1)
                if not self._silent.is_set():
                    self._forward(PLAYED, [h for h in heard if _gateway(h) == PLAYED])
            self._stop.wait(5)


def _gateway(heard: Heard) -> str:
    return PLAYED if heard.device_id.startswith("asagiri") else REAL


class Shot(NamedTuple):
    """A picture: which view, on which screen, and what somebody does there first."""

    view: str
    size: str = "1440"
    language: str = "ja"
    theme: str = "dark"
    full: bool = False
    called: str | None = None
    first: Callable[[Page], None] | None = None

    def name(self, state: str) -> str:
        light = "-light" if self.theme == "light" else ""
        return f"{state}-{self.called or self.view}-{self.size}{'-full' if self.full else ''}{light}-{self.language}"


class Camera:
    """Opens pages and takes pictures of them."""

    def __init__(self, browser: Browser, only: str) -> None:
        self._browser, self._only, self._begun = browser, re.compile(only), time.monotonic()
        self._under_way: dict[Page, set[Any]] = {}

    def wanted(self, state: str, shots: list[Shot]) -> list[Shot]:
        """Those that were asked for; skips the test when there are none."""
        found = [shot for shot in shots if self._only.search(shot.name(state))]
        if not found:
            pytest.skip(f"no picture of {state} was asked for")
        return found

    def take(self, url: str, state: str, shots: list[Shot]) -> None:
        for shot in shots:
            with self.page(url, shot) as page:
                if shot.first:
                    shot.first(page)
                self.keep(page, shot.name(state), full=shot.full)

    @contextmanager
    def page(self, url: str, shot: Shot) -> Iterator[Page]:
        """A page that has come to rest, in the browser of somebody who has been here before."""
        width, height = SIZES[shot.size]
        context = self._browser.new_context(viewport={"width": width, "height": height}, locale="ja-JP")
        stored = {"kawamori.lang": shot.language, "kawamori.theme": shot.theme, "kawamori.name": "佐藤 花子"}
        context.add_init_script(f"Object.assign(localStorage, {json.dumps(stored)})")
        page = context.new_page()
        under_way = self._under_way[page] = set()
        page.on("request", lambda r: under_way.add(r) if not r.url.endswith("/stream") else None)
        for over in ("requestfinished", "requestfailed"):
            page.on(over, lambda r: under_way.discard(r))  # noqa: PLW0108 - the library marks what it is given
        path, there = VIEWS[shot.view]
        page.goto(f"{url}{path}{'&' if '?' in path else '?'}lang={shot.language}")
        page.locator(there).first.wait_for(timeout=20_000)
        self._settle(page)
        yield page
        del self._under_way[page]
        context.close()

    def _settle(self, page: Page) -> None:
        """Wait until nothing has been on its way for a moment, and what came is drawn."""
        quiet_since, deadline = time.monotonic(), time.monotonic() + 20
        while time.monotonic() - quiet_since < 0.6:
            page.wait_for_timeout(50)
            if self._under_way[page] or page.locator("[aria-busy=true]").count():
                quiet_since = time.monotonic()
            assert time.monotonic() < deadline, f"{page.url} does not come to rest"
        page.evaluate("document.fonts.ready")

    def keep(self, page: Page, name: str, *, full: bool = False) -> None:
        if self._only.search(name):
            if full:  # what is fixed to the screen's edge stays at the edge
                height = page.evaluate("document.documentElement.scrollHeight")
                page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
            self._settle(page)
            page.screenshot(path=SCREENS / f"{name}.png")
            print(f"{time.monotonic() - self._begun:5.0f} s  {name}", flush=True)


@pytest.fixture(scope="module")
def camera(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Camera]:
    SCREENS.mkdir(parents=True, exist_ok=True)
    yield Camera(browser, request.config.getoption("--only"))
    pictures = sorted(SCREENS.glob("*.png"))
    (SCREENS / "index.html").write_text(CONTACT_SHEET + "".join(FIGURE.format(p.name, p.stem) for p in pictures))
    print(f"{len(pictures)} pictures: {SCREENS / 'index.html'}")
    if request.config.getoption("--docs"):
        for name, called in DOCS.items():
            with suppress(FileNotFoundError):
                small(SCREENS / f"{name}.png", PICTURES / f"{called}.png")


def small(source: Path, target: Path) -> None:
    """A picture for a page of text: at most 1440 wide, 256 colours, the rare and telling ones among them."""
    with Image.open(source) as picture:
        picture.thumbnail((1440, 4000), Image.Resampling.LANCZOS)
        few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(target, optimize=True)


@pytest.fixture(scope="module")
def night_of(
    town_of: Callable[..., Any], wait_until: Callable[..., Any], inbox_on: Callable[..., Any]
) -> Iterator[Callable[..., Night]]:
    """A town in the middle of a night: `night_of("typhoon", well=False, KAWAMORI_…="…")`."""
    with ExitStack() as stack:

        def make(scenario: str, *, well: bool, **extra: str) -> Night:
            port = free_port()
            stack.enter_context(inbox_on(port))
            town = town_of(
                night.plans(datetime.now(UTC)), KAWAMORI_GATEWAY__ID=REAL, KAWAMORI_ALERTS__SELF_TEST_EVERY="PT1H",
                KAWAMORI_ALERTS__SMTP_HOST="127.0.0.1", KAWAMORI_ALERTS__SMTP_PORT=str(port),
                KAWAMORI_ALERTS__MAIL_TO='["bousai@city.example"]', KAWAMORI_SITE__NAME_JA="川守市",
                KAWAMORI_SITE__NAME_EN="Kawamori City", **extra,
            )  # fmt: skip
            return stack.enter_context(Night(town, scenario, wait_until, well=well))

        yield make


@pytest.fixture(scope="module")
def typhoon(
    night_of: Callable[..., Night], wait_until: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Night:
    """Some of it answered, some not, some in doubt; on a map of the operator's own."""
    folder = tmp_path_factory.mktemp("map")
    for name, layer in land.layers().items():
        file = folder / f"{name}.geojson"
        file.write_text(json.dumps(layer))
        basemap.put(folder / "kept", file, basemap.check(file), name=name, attribution="川守市（架空）")
    found = night_of("typhoon", well=False, KAWAMORI_API__BASEMAP=str(folder / "kept"))
    answer(found.town, wait_until)
    return found


def answer(town: Any, wait_until: Callable[..., Any]) -> None:
    """What the people on duty have said until now."""

    def alert(station: str, level: int) -> int:
        def look() -> Any:
            lasting = [a for a in town.alerts(station) if a["ended_at"] is None and a["flood_level"] == level]
            return lasting and lasting[0]["id"]

        return int(wait_until(look, 30, f"{station} is above {level}"))

    alert("shigi-kamimachi", 5)
    alert(night.DOUBTFUL, 2)
    for station, level, note in (
        ("shigi-takinoue", 3, "滝ノ上地区に高齢者等避難を発令済み"), ("shigi-takinoue", 4, "水防団に出動を要請"),
        ("shigi-yamaguchi", 4, "消防と現地へ向かう"), ("asagiri-minenosawa", 3, None), ("shigi-nakasu", 2, None),
        ("asagiri-ekimae", 1, None),
    ):  # fmt: skip
        town.post(f"/api/v1/alerts/{alert(station, level)}/acknowledge", {"note": note} if note else {})
    broken = {"time": "2026-07-14T02:10:00", "quantity": "water_level", "value": 1.2, "unit": "m"}
    town.chain.publish(
        [("shigi-kako-level", json.dumps(broken).encode()), ("asagiri-shinden-level", b"\xff\x00 18:02 ERR"),
         ("keiki-0193", json.dumps(broken | {"time": datetime.now(UTC).isoformat()}).encode())]
    )  # fmt: skip
    shelved = {"minutes": 60, "reason": "潮の影響で上下している"}
    town.post(f"/api/v1/alerts/{alert('shigi-shiomi', 1)}/shelve", shelved)


def open_alert(page: Page) -> None:
    """The dialog of one that somebody has answered."""
    row = page.locator("[data-testid=alert-row]", has_text="滝ノ上").filter(has_text="氾濫危険")
    row.first.get_by_test_id("answer-details").click()
    expect(page.get_by_test_id("chronology")).to_be_visible()


def open_sound(page: Page) -> None:
    page.get_by_test_id("sound").click()
    expect(page.get_by_test_id("sound-dialog")).to_be_visible()


def as_table(page: Page) -> None:
    page.get_by_test_id("as-table").click()


CALM = [Shot("situation"), Shot("situation", "360"), Shot("system"), Shot("wall", "1920"), Shot("lite", "360")]
MAIN = ("situation", "station", "alerts", "system")
TYPHOON = [
    *(Shot(view, size, language) for view in MAIN for size in ("1440", "360") for language in ("ja", "en")),
    *(Shot(view, "360", full=True) for view in (*MAIN, "lite")),
    *(Shot(view, theme="light") for view in ("situation", "station", "alerts")),
    Shot("station", full=True), Shot("station-month"), Shot("station-year"),
    Shot("station", called="table", first=as_table, full=True),
    *(Shot("alerts", size, called="dialog", first=open_alert) for size in ("1440", "360")),
    *(Shot("situation", size, called="sound", first=open_sound) for size in ("1440", "360")),
    Shot("wall", "1920"), Shot("wall", "3840"), Shot("wall", "3840", "en"),
    Shot("lite"), Shot("lite", "360"), Shot("lite", "360", "en"),
]  # fmt: skip
DRILL = [
    *(Shot(view, size) for view in ("situation", "alerts") for size in ("1440", "360")),
    Shot("situation", language="en"), Shot("station"), Shot("wall", "3840"), Shot("lite", "360"),
    Shot("alerts", called="dialog", first=open_alert),
]  # fmt: skip
STALE = [
    Shot("situation", size, called=f"{link}-situation")
    for link in ("sensor", "gateway", "server", "screen") for size in ("1440", "360")
]  # fmt: skip


def test_a_typhoon_night(camera: Camera, request: pytest.FixtureRequest) -> None:
    shots = camera.wanted("typhoon", TYPHOON)
    camera.take(request.getfixturevalue("typhoon").town.url, "typhoon", shots)


def test_a_silent_sensor_then_its_gateway(camera: Camera, request: pytest.FixtureRequest) -> None:
    """The gateway is missed after three minutes: other nights' pictures are taken meanwhile."""
    asked = camera.wanted("stale", STALE)
    typhoon = request.getfixturevalue("typhoon")
    camera.take(typhoon.town.url, "stale", [shot for shot in asked if shot.called == "sensor-situation"])
    typhoon.fall_silent()


def test_a_calm_day(camera: Camera, night_of: Callable[..., Night]) -> None:
    shots = camera.wanted("calm", CALM)
    camera.take(night_of("calm", well=True).town.url, "calm", shots)


def test_a_drill(camera: Camera, night_of: Callable[..., Night], wait_until: Callable[..., Any]) -> None:
    shots = camera.wanted("drill", DRILL)
    town = night_of("typhoon", well=False, KAWAMORI_SITE__STATUS="exercise").town
    answer(town, wait_until)
    camera.take(town.url, "drill", shots)


def test_a_silent_gateway_then_our_server_then_this_screen(camera: Camera, request: pytest.FixtureRequest) -> None:
    camera.wanted("stale", STALE)
    typhoon = request.getfixturevalue("typhoon")
    url, chain = typhoon.town.url, typhoon.town.chain
    with camera.page(url, Shot("situation")) as desk, camera.page(url, Shot("situation", "360")) as phone:

        def keep(link: str) -> None:
            for page, size in ((desk, "1440"), (phone, "360")):
                camera.keep(page, Shot("situation", size, called=f"{link}-situation").name("stale"))

        beyond = desk.locator('[data-testid=station-row][data-station-id="asagiri-tanaka"][data-freshness=dead]')
        expect(beyond).to_be_visible(timeout=240_000)
        keep("gateway")
        chain.kill("ingest")
        for page in (desk, phone):
            expect(page.get_by_test_id("banner-behind")).to_be_visible(timeout=240_000)
        keep("server")
        chain.kill("api")
        for page in (desk, phone):
            expect(page.get_by_test_id("banner-lost")).to_be_visible(timeout=20_000)
        keep("screen")
