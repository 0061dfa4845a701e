"""The same truth for an old phone, a text browser, paper, a line of 64 kbit/s: no script, renewed every minute.

A page is never larger than `LARGEST`, whatever the number of stations: the most dangerous first, others on later pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from api import html
from api.dependencies import Dependencies
from api.feeds import cap
from api.feeds.chronology import JST, STATUS
from api.feeds.routes import subject_of
from api.live.levels import Levels
from api.pages.lite_words import WORDS, Words
from api.registry_cache import USUAL, Level
from kawamori.domain.danger import Danger
from kawamori.domain.reading import Flag
from kawamori.domain.rules import KINDS
from kawamori.domain.trend import change_per_10min
from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.settings import SiteSettings
from kawamori.storage.alert_pages import Alert, AlertsWanted, alerts_page
from kawamori.storage.system import Alerting, alerting_now

LARGEST = 20_000
REFRESH_S = 60
#: The highest of the unanswered alerts are named; all are counted, up to so many.
ALERTS_SHOWN, ALERTS_COUNTED = 8, 2000
#: What keeps people from being told is said in full, of so many.
NOTICES_SHOWN = 5
#: Longer names are cut: a page must stay small.
_LONGEST = 40
#: No site has so many; the room for the links is measured by it.
MOST_PAGES = 9_999
#: Between rows that are made in one go; no text of the database holds it.
_BETWEEN = "\0"


def style(levels: Mapping[int, Level]) -> str:
    """The page's style sheet: the heads of the table on a narrow screen, and the levels' colours in force. Pure."""
    heads = "".join(
        f'td:nth-child({n}):lang({language})::before{{content:"{head} ";color:#444}}'
        for language, words in WORDS.items()
        for n, head in enumerate(words.columns, 1)
        if n > 2
    )
    of = "".join(f".l{n}{{background:{one.colour};color:{one.text_colour}}}\n" for n, one in sorted(levels.items()))
    return f"{html.style('lite')}@media(max-width:48em){{{heads}}}\n{of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which page in which language, and whether it renews itself."""

    language: str = "ja"
    page: int = 1
    renews: bool = True

    @property
    def words(self) -> Words:
        """The words of that language."""
        return WORDS[self.language]

    def href(self, **change: Any) -> str:
        """The address of this page, or of another."""
        wanted = {"language": self.language, "page": self.page, "renews": self.renews, **change}
        query = {
            **({"lang": wanted["language"]} if wanted["language"] != "ja" else {}),
            **({"page": wanted["page"]} if wanted["page"] > 1 else {}),
            **({} if wanted["renews"] else {"renew": "no"}),
        }
        return f"/lite?{urlencode(query)}" if query else "/lite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What the page tells."""

    site: SiteSettings
    as_of: datetime
    #: As `GET /levels/latest` tells them.
    stations: Sequence[Mapping[str, Any]]
    alerting: Alerting
    #: What is measured does not reach the database.
    behind: bool = False
    #: Those that nobody has answered, and what they are called.
    alerts: Sequence[cap.Subject] = ()
    level_names: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def asked(lang: str, page: str, renew: str) -> Asked:
    """What an address means; nobody gets an error for a page number with a slip in it."""
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    return Asked(language="en" if lang == "en" else "ja", page=max(number, 1), renews=renew != "no")


def _highest(alerts: Sequence[Alert]) -> dict[str | None, int]:
    found: dict[str | None, int] = {}
    for alert in alerts:
        found[alert.station] = max(alert.flood_level, found.get(alert.station, 0))
    return found


def by_danger(
    stations: Sequence[Mapping[str, Any]], unanswered: Sequence[Alert], answered: Sequence[Alert]
) -> list[Mapping[str, Any]]:
    """The most dangerous first. Water that no answered alert covers waits for an answer, raised or not."""
    asks, covered = _highest(unanswered), _highest(answered)

    def danger(station: Mapping[str, Any]) -> Danger:
        id_, level, arrival = station["station_id"], station["flood_level"], station["arrival"]
        return Danger(
            station=id_, unanswered=max(asks.get(id_, 0), level if level > covered.get(id_, 0) else 0),
            flood_level=station["flood_level"], arrives=arrival and arrival["likely"], share=station["level_share"],
            to_go_m=_to_go(station), trend_m_per_h=station["trend_m_per_h"],
        )  # fmt: skip

    return sorted(stations, key=lambda station: danger(station).key)


def _to_go(station: Mapping[str, Any]) -> float | None:
    """Metres to the next threshold; above the last of them, to the crest."""
    ahead = station["next_threshold"]
    found: float | None = station["freeboard_m"] if ahead is None else ahead["metres_to_go"]
    return found


def _name(names: Mapping[str, str], language: str) -> str:
    found = names[language] or names["ja"] or names["en"]
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def _metres(value: float | None) -> str:
    if value is None:
        return "—"
    text = f"{abs(value):.2f}"
    return f"−{text}" if value < 0 and text != "0.00" else text


def _clock(at: datetime, now: datetime) -> str:
    """The time; with the day where that is another."""
    at, now = at.astimezone(JST), now.astimezone(JST)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at.month}/{at.day} {at:%H:%M}"


def _unjudged(station: Mapping[str, Any]) -> bool:
    """Whether it has no thresholds in force: below the first of them the next one stands ahead."""
    return station["judged_m"] is not None and station["flood_level"] == 0 and station["next_threshold"] is None


def _change(trend_m_per_h: float | None) -> str:
    """Centimetres in ten minutes, as people say it on the telephone."""
    if trend_m_per_h is None:
        return "—"
    cm = change_per_10min(trend_m_per_h)
    return "0 →" if cm == 0 else f"+{cm} ↑" if cm > 0 else f"−{-cm} ↓"


class _Row(NamedTuple):
    """What a station's line says, in words; empty where it says nothing of it."""

    dead: bool
    late: bool
    silence: str
    has_level: bool
    unjudged: str
    flood_level: int
    flood_level_name: Mapping[str, str]
    name: str
    river: str
    value: str | None
    flag: str
    judged: str
    value_of: str
    over: str
    below: str
    change: str
    upcoming: str
    likely: str
    age: str


def _row(station: Mapping[str, Any], now: datetime, asked: Asked) -> _Row:
    """A station's line; one that is dead says so and since when, and keeps its last number."""
    words, language, flag = asked.words, asked.language, station["flag"]
    dead, silence = station["freshness"] == "dead", station["silence"]
    measured, ahead, arrival = (
        station["judged_at"] or station["observed_at"],
        station["next_threshold"],
        station["arrival"],
    )
    judged = flag is not None and flag >= Flag.FAIL and station["judged_m"] is not None
    freeboard = station["freeboard_m"]
    upcoming = words.highest if station["flood_level"] > 0 else "—"
    if ahead is not None:
        upcoming = words.to_go(ahead["level"], _metres(ahead["metres_to_go"]))
    return _Row(
        dead=dead,
        late=station["freshness"] == "late",
        silence=words.failing if silence is None else words.silence[silence],
        has_level=station["judged_m"] is not None,
        unjudged=words.unjudged if _unjudged(station) else "",
        flood_level=station["flood_level"],
        flood_level_name=station["flood_level_name"],
        name=_name(station["name"], language),
        river=_name(station["river_name"], language),
        value=None if station["level_m"] is None else _metres(station["level_m"]),
        flag=words.flags[flag] if flag is not None and flag >= Flag.SUSPECT else "",
        judged=_metres(station["judged_m"]) if judged else "",
        value_of=words.value_of(_clock(measured, now)) if dead and measured is not None else "",
        over=_metres(-freeboard) if freeboard is not None and freeboard < 0 else "",
        below="" if freeboard is None else _metres(freeboard),
        change=_change(None if dead else station["trend_m_per_h"]),
        upcoming=upcoming,
        likely=words.likely(_clock(arrival["likely"], now)) if ahead is not None and arrival is not None else "",
        age=words.never if measured is None else words.age((now - measured).total_seconds()),
    )


def _lines(now: Now, asked: Asked) -> list[str]:
    """Every station's row of the table, in order."""
    if not now.stations:
        return []
    rows = [_row(station, now.as_of, asked) for station in now.stations]
    text = html.render("lite_rows.html", rows=rows, words=asked.words, language=asked.language, between=_BETWEEN)
    return text.split(_BETWEEN)[: len(rows)]


def highest(alerts: Sequence[cap.Subject]) -> list[cap.Subject]:
    """Of each kind at each place the highest, the newest of two; the highest and newest of all first."""
    ordered = sorted(alerts, key=lambda s: (-s.alert.flood_level, -s.alert.started_at.timestamp(), -s.alert.id))
    found: dict[tuple[str | None, str, str], cap.Subject] = {}
    for subject in ordered:
        found.setdefault((subject.alert.station, subject.alert.subject, subject.alert.kind), subject)
    return list(found.values())


def _alert(subject: cap.Subject, now: datetime, language: str) -> dict[str, Any]:
    alert = subject.alert
    rule = KINDS.get(alert.kind)
    return {
        "mark": "" if alert.status == "actual" else STATUS[alert.status],
        "level": alert.flood_level,
        "level_name": subject.level_name,
        "called": (rule and (rule.name_ja if language == "ja" else rule.name_en)) or alert.kind,
        "where": cap.place(subject, language)[: 2 * _LONGEST],
        "since": _clock(alert.started_at, now),
        "doubt": not alert.verified,
    }


def _counts(now: Now) -> dict[str, Any]:
    """How many stand at which level; always all of them."""
    living = [s for s in now.stations if s["freshness"] != "dead"]
    alive = [s["flood_level"] for s in living if not _unjudged(s)]
    return {
        "counts": [(level, alive.count(level)) for level in sorted(now.level_names, reverse=True)],
        "dead": len(now.stations) - len(living),
        "unjudged": len(living) - len(alive),
    }


def cut(rows: Sequence[str], first: int, later: int) -> list[list[str]]:
    """The rows on pages: as many as there is room for in bytes, one at least."""
    pages: list[list[str]] = [[]]
    left = first
    for row in rows:
        size = len(row.encode())
        if size > left and pages[-1]:
            pages.append([])
            left = later
        pages[-1].append(row)
        left -= size
    return pages


def _frame(site: SiteSettings, asked: Asked, as_of: datetime) -> dict[str, Any]:
    """What every page carries: whose it is, whether it is a drill, as of when, and where to go from here."""
    language = asked.language
    return {
        "site": site,
        "site_name": (site.name_ja if language == "ja" else site.name_en)[: 2 * _LONGEST],
        "mark": STATUS[site.status] if site.status != "actual" else "",
        "as_of": as_of.astimezone(JST),
        "asked": asked,
        "words": asked.words,
        "language": language,
        "other": "en" if language == "ja" else "ja",
    }


def page(now: Now, asked: Asked) -> str:
    """One page of the levels; a number beyond the last is the last."""
    words, language, site = asked.words, asked.language, now.site
    worst = highest(now.alerts)[:ALERTS_SHOWN]
    total = len(now.alerts)
    notices = [one.text_ja if language == "ja" else one.text_en for one in now.alerting.notices]
    said = (site.notice_ja or site.notice_en) if language == "ja" else (site.notice_en or site.notice_ja)
    told = {
        "now": now,
        "said": (said or "")[:200],
        "notices": [text[:300] for text in notices[:NOTICES_SHOWN]],
        "more_notices": len(notices) - NOTICES_SHOWN,
        "why": words.between.join(words.why.get(reason, reason) for reason in now.alerting.why),
        "counted": f"{ALERTS_COUNTED}+" if total >= ALERTS_COUNTED else str(total) if total else "",
        "more_alerts": total - len(worst),
        **_counts(now),
    }
    listed = [_alert(subject, now.as_of, language) for subject in worst]

    def whole(rows: str, number: int, of: int, alerts: Sequence[Mapping[str, Any]]) -> str:
        frame = _frame(site, replace(asked, page=number), now.as_of)
        return html.render("lite.html", **frame, **told, rows=html.rendered(rows), pages=of, listed=alerts)

    later = LARGEST - len(whole("", MOST_PAGES - 1, MOST_PAGES, ()).encode())
    first = LARGEST - len(whole("", MOST_PAGES - 1, MOST_PAGES, listed).encode())
    pages = cut(_lines(now, asked), first, later)
    number = min(asked.page, len(pages))
    return whole("".join(pages[number - 1]), number, len(pages), listed if number == 1 else ())


def unreadable(site: SiteSettings, asked: Asked, at: datetime) -> str:
    """What is shown while the database is away: that nothing is known, and no number."""
    return html.render("lite.html", **_frame(site, asked, at), now=None)


def lite_routes(using: Dependencies, levels: Levels) -> APIRouter:
    """The page at /lite."""
    router = APIRouter(include_in_schema=False)

    async def look() -> Now:
        body, directory = await levels.now()
        at = body["as_of"]
        alerts, acknowledged, shelved = [
            await alerts_page(using.database, AlertsWanted(state=state), at, limit=ALERTS_COUNTED)
            for state in ("firing", "acknowledged", "shelved")
        ]
        return Now(
            site=using.site, as_of=at, alerting=await alerting_now(using.database),
            stations=by_danger(body["stations"], alerts, acknowledged + shelved), behind=body["server_behind"],
            alerts=[subject_of(alert, [], directory) for alert in alerts],
            level_names={level.level: level.name for level in directory.levels.values()},
        )  # fmt: skip

    @router.get("/api/lite.css")
    async def colours() -> Response:
        """The levels' colours are data; without a database the usual ones stand in."""
        try:
            in_force = (await using.directory.get()).levels
        except StorageUnavailable:
            in_force = USUAL
        return Response(style(in_force), headers={"Cache-Control": "no-cache"}, media_type="text/css; charset=utf-8")

    @router.api_route("/lite", methods=["GET", "HEAD"])
    async def lite(lang: str = "", page_: str = Query("1", alias="page"), renew: str = "") -> Response:
        """Levels and unanswered alerts as of now; with 503 and no number where the database does not answer."""
        wanted = asked(lang, page_, renew)
        # the header instead of the `meta` element: browsers do the same, and the reader of a 503 is renewed too
        headers = {"Cache-Control": "no-store", **({"Refresh": str(REFRESH_S)} if wanted.renews else {})}
        try:
            status, body = HTTPStatus.OK, page(await look(), wanted)
        except StorageUnavailable as error:
            log().warning("the database did not answer a request", error=str(error))
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, unreadable(using.site, wanted, using.clock())
        return Response(body, status, headers, "text/html; charset=utf-8")

    return router
