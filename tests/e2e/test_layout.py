"""On the screens of a desk nothing is cut off and nothing lies on anything else, in either language, at its worst."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SIZES = ((1440, 900), (1280, 800), (1024, 768))
VIEWS = {
    "/": "station-row", "/station/shigi-ohashi": "hydrograph", "/alerts": "alerts-view", "/system": "chain",
    "/?wall=1": "wall-view",
}  # fmt: skip
#: The rows of the stream would say how the stations really are.
NO_ROWS = """
const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, ...more) {
  if (name !== "level" && name !== "reading") listen.call(this, name, ...more);
};
"""
FAULTS = """() => {
  const found = [];
  const seen = { checkOpacity: true, checkVisibilityCSS: true };
  const shown = (e) => e.checkVisibility(seen) && e.getClientRects().length > 0;
  const name = (e) => `${e.tagName.toLowerCase()} ${(e.dataset.testid ?? e.textContent).trim().slice(0, 40)}`;
  const aside = (e) => e.closest(".leaflet-container, .sr, .skip, .row-cut");
  if (document.documentElement.scrollWidth > innerWidth)
    found.push(`the page is ${document.documentElement.scrollWidth - innerWidth} px wider than the screen`);
  const boxes = [...document.querySelectorAll("a[href], button, select, input, summary")]
    .filter((e) => shown(e) && !aside(e)).map((e) => ({ e, r: e.getBoundingClientRect() }))
    .filter(({ r }) => r.width > 1 && r.height > 1);
  for (const { e, r } of boxes) {
    if (r.left < -0.5 || r.right > innerWidth + 0.5) found.push(`${name(e)} leaves the screen`);
    for (let a = e.parentElement; a && a !== document.body; a = a.parentElement) {
      if (getComputedStyle(a).overflowX === "visible") continue;
      const c = a.getBoundingClientRect();
      if (r.left < c.left - 0.5 || r.right > c.left + a.clientLeft + a.clientWidth + 0.5)
        found.push(`${name(e)} is cut off by ${Math.round(r.right - c.right)} px`);
    }
  }
  // the arrows between the links of `.chain` are clipped on purpose
  for (const e of document.querySelectorAll("#app *")) {
    if (!shown(e) || aside(e) || e.closest(".u-wrap, svg") || e.matches(".chain") || e.clientWidth <= 2) continue;
    const style = getComputedStyle(e);
    const hides = ["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis";
    if (hides && e.scrollWidth > e.clientWidth + 1) found.push(`${name(e)} hides ${e.scrollWidth - e.clientWidth} px`);
  }
  for (const e of document.querySelectorAll(".chip, .count, .answer, .flag, .segments button, .banner")) {
    if (!shown(e) || aside(e)) continue;
    const [edge, words] = [e.getBoundingClientRect().right, document.createRange()];
    words.selectNodeContents(e);
    const out = words.getBoundingClientRect().right - edge;
    if (out > 0.5) found.push(`${name(e)} is ${Math.round(out)} px wider than its box`);
  }
  const inView = boxes.filter(({ e, r }) => {
    for (let a = e.parentElement; a; a = a.parentElement) {
      const c = a.getBoundingClientRect();
      if (getComputedStyle(a).overflowY !== "visible" && (r.bottom <= c.top + 1 || r.top >= c.bottom - 1)) return false;
    }
    return true;
  });
  for (const [i, a] of inView.entries()) for (const b of inView.slice(i + 1)) {
    if (a.e.contains(b.e) || b.e.contains(a.e)) continue;
    const wide = Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left);
    const high = Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top);
    if (wide > 1 && high > 1) found.push(`${name(a.e)} lies on ${name(b.e)}`);
  }
  return [...new Set(found)];
}"""


def worst(body: Any) -> Any:
    """Every row in a state that takes the most room."""
    at = datetime.fromisoformat(body["as_of"])

    def measured(**ago: float) -> dict[str, str]:
        time = (at - timedelta(**ago)).isoformat()
        return {"observed_at": time, "judged_at": time}

    states: list[dict[str, Any]] = [
        {"flag": 3, "flood_level": 5, "next_threshold": None, "freeboard_m": -0.45, "freshness": "late",
         "silence": "gateway", **measured(seconds=22)},
        {"freshness": "dead", "silence": "server", "flood_level": 4, **measured(days=3)},
        {"flag": 4, "quality_reasons": ["range"], "level_m": -123.45, "freshness": "dead", "flood_level": 3,
         **measured(days=400)},
        {"freshness": "late", "silence": "sensor", "report_every_s": 7200, **measured(hours=3),
         "arrival": {"earliest": body["as_of"], "likely": (at + timedelta(hours=23)).isoformat(), "latest": None}},
        {"level_m": None, "judged_m": None, "observed_at": None, "judged_at": None, "freshness": "dead",
         "flood_level": 0, "next_threshold": None, "freeboard_m": None, "trend_m_per_h": None},
        {"freshness": "dead", **measured(hours=-30)},
    ]  # fmt: skip
    for n, row in enumerate(body["stations"]):
        row |= {"level_m": 12.34, "judged_m": 12.34, "trend_m_per_h": -13.26} | states[n % len(states)]
    return body


def come_to_rest(page: Page, there: str) -> None:
    expect(page.get_by_test_id("connection").first).to_have_attribute("data-state", "live")
    page.get_by_test_id(there).first.wait_for()
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    page.evaluate(
        "document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))))"
    )


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("state", ["as it is", "at its worst"])
def test_no_control_is_cut_off_and_none_lies_on_another(
    town: Any, browser: Browser, wait_until: Callable[..., Any], language: str, state: str
) -> None:
    for station, level in (("shigi-takinoue", 4), ("shigi-ohashi", 2), ("asagiri-tanaka", 3), ("shigi-nakasu", 1)):
        if not town.alerts(station):
            town.rises(station, level)
            wait_until(lambda station=station: town.alerts(station), 20, f"{station} alarms")
    context = browser.new_context(locale="ja-JP")
    context.add_init_script(f"localStorage.setItem('kawamori.lang', '{language}')")
    page = context.new_page()
    if state == "at its worst":
        page.add_init_script(NO_ROWS)

        def answer(route: Route) -> None:
            with suppress(Error):  # the page has gone on to the next view
                response = route.fetch()
                route.fulfill(response=response, json=worst(response.json()))

        page.route("**/api/v1/levels/latest", answer)
    faults = []
    for view, there in VIEWS.items():
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(town.url + view)
            come_to_rest(page, there)
            if view in ("/", "/?wall=1"):
                page.get_by_test_id("station-row").first.wait_for()
            faults += [f"{view} at {width} px: {fault}" for fault in page.evaluate(FAULTS)]
    page.unroute_all(behavior="ignoreErrors")
    context.close()
    assert not faults, "\n".join(faults)
