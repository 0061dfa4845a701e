"""The same truth for an old phone, a text browser, paper, a line of 64 kbit/s: no script, renewed every minute.

A page is never larger than `LARGEST`, whatever the number of stations: the most dangerous first, others on later pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from api.dependencies import Dependencies
from api.feeds import cap
from api.feeds.chronology import JST, STATUS
from api.feeds.routes import subject_of
from api.live.levels import Levels
from api.pages.lite_words import WORDS, Words
from api.registry_cache import USUAL, Level
from kawamori.domain.danger import Danger
from kawamori.domain.notices import Notice
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

STYLE = """*{box-sizing:border-box}
body{font:16px/1.45 "Hiragino Sans","Noto Sans CJK JP",Meiryo,sans-serif;color:#111;background:#fff;margin:0 auto;
padding:.5rem;max-width:70rem;overflow-wrap:anywhere}body:lang(ja){word-break:auto-phrase}
body.exercise,body.test{border:6px solid #b00020}
h1{font-size:1.25rem;margin:.2rem 0}h2{font-size:1.05rem;margin:1rem 0 .3rem}p,ol{margin:.2rem 0}
ol{padding-left:1.6rem}li{margin:.2rem 0}span{display:inline-block;margin-right:.5rem}
a{color:#00508c;display:inline-block;padding:.6rem .4rem}.drill{font-weight:bold;color:#b00020;font-size:1.2rem}
.as-of{font-size:1.1rem;font-weight:bold}.ok,.bad,.none{border-left:6px solid #2e7d32;padding-left:.5rem}
.bad{border-left:6px double #b00020;font-weight:bold}
table{border-collapse:collapse;width:100%}
th,td{border:1px solid #888;padding:.2rem .4rem;text-align:left;vertical-align:top}
thead th{background:#eee}tbody th{font-weight:normal}tr{break-inside:avoid}
b{display:inline-block;padding:0 .35rem;border:1px solid #111;background:#c8c8cb;color:#000}
.dead{background:#7f878f;border-style:dashed}i{font-style:normal;font-weight:bold;text-decoration:underline}
.old,.old th{color:#555}
@media(max-width:48em){table,tbody,tr{display:block}thead{display:none}tr{border-top:2px solid #888;padding:.4rem 0}
tbody th,td{display:inline-block;border:0;padding:.1rem .8rem .1rem 0}tbody th{font-weight:bold}LABELS}
@media print{@page{margin:12mm}body{font-size:11px;max-width:none;padding:0}a{padding:0}nav{display:none}
thead{display:table-header-group}b{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
""".replace(
    "LABELS",
    "".join(
        f'td:nth-child({n}):lang({language})::before{{content:"{head} ";color:#444}}'
        for language, words in WORDS.items()
        for n, head in enumerate(words.columns, 1)
        if n > 2
    ),
)


def style(levels: Mapping[int, Level]) -> str:
    """The page's style sheet with the levels' colours in force. Pure."""
    of = "".join(f".l{n}{{background:{one.colour};color:{one.text_colour}}}\n" for n, one in sorted(levels.items()))
    return f"{STYLE}{of}"


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
        return escape(f"/lite?{urlencode(query)}" if query else "/lite")


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
    return escape(found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…")


def _metres(value: float | None) -> str:
    if value is None:
        return "—"
    text = f"{abs(value):.2f}"
    return f"−{text}" if value < 0 and text != "0.00" else text


def _clock(at: datetime, now: datetime) -> str:
    """The time; with the day where that is another."""
    at, now = at.astimezone(JST), now.astimezone(JST)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at.month}/{at.day} {at:%H:%M}"


def _level(level: int, names: Mapping[str, str], language: str) -> str:
    word = escape(names[language].removesuffix("水位"))
    return f'<b class="l{level}">{level or "–"} {word}</b>'


def _unjudged(station: Mapping[str, Any]) -> bool:
    """Whether it has no thresholds in force: below the first of them the next one stands ahead."""
    return station["judged_m"] is not None and station["flood_level"] == 0 and station["next_threshold"] is None


def _state(station: Mapping[str, Any], asked: Asked) -> str:
    words = asked.words
    state = _level(station["flood_level"], station["flood_level_name"], asked.language)
    if _unjudged(station):
        state = f"<b>{words.unjudged}</b>"
    if station["freshness"] != "dead":
        return state
    silence = words.failing if station["silence"] is None else words.silence[station["silence"]]
    last = "" if station["judged_m"] is None else f"<br>{words.last} {state}"
    return f'<b class="dead">{words.dead}</b> {silence}{last}'


def _value(station: Mapping[str, Any], now: datetime, asked: Asked) -> str:
    if station["level_m"] is None:
        return "—"
    words, flag = asked.words, station["flag"]
    parts = [f"{_metres(station['level_m'])} m"]
    if flag is not None and flag >= Flag.SUSPECT:
        judged = flag >= Flag.FAIL and station["judged_m"] is not None
        by = f" {words.judged} {_metres(station['judged_m'])} m" if judged else ""
        parts.append(f"<i>{words.flags[flag]}</i>{by}")
    if station["freshness"] == "dead":
        parts.append(words.value_of(_clock(station["judged_at"] or station["observed_at"], now)))
    return "<br>".join(parts)


def _below(freeboard: float | None, words: Words) -> str:
    if freeboard is not None and freeboard < 0:
        return f"<i>{words.over} {_metres(-freeboard)} m</i>"
    return "—" if freeboard is None else f"{_metres(freeboard)} m"


def _change(trend_m_per_h: float | None) -> str:
    """Centimetres in ten minutes, as people say it on the telephone."""
    if trend_m_per_h is None:
        return "—"
    cm = change_per_10min(trend_m_per_h)
    return "0 →" if cm == 0 else f"+{cm} ↑" if cm > 0 else f"−{-cm} ↓"


def _upcoming(station: Mapping[str, Any], now: datetime, words: Words) -> str:
    ahead, arrival = station["next_threshold"], station["arrival"]
    if ahead is None:
        return words.highest if station["flood_level"] > 0 else "—"
    likely = "" if arrival is None else f"<br>{words.likely(_clock(arrival['likely'], now))}"
    return words.to_go(ahead["level"], _metres(ahead["metres_to_go"])) + likely


def _row(station: Mapping[str, Any], now: datetime, asked: Asked) -> str:
    """A station's line; one that is dead says so and since when, and keeps its last number."""
    words, language, dead = asked.words, asked.language, station["freshness"] == "dead"
    measured = station["judged_at"] or station["observed_at"]
    age = words.never if measured is None else words.age((now - measured).total_seconds())
    if station["freshness"] == "late":
        age += f"<br><i>{words.late}</i>"
    cells = (
        _value(station, now, asked), _below(station["freeboard_m"], words),
        _change(None if dead else station["trend_m_per_h"]), _upcoming(station, now, words), age,
    )  # fmt: skip
    return (
        f'<tr{" class=old" if dead else ""}><td>{_state(station, asked)}<th scope="row">'
        f"{_name(station['name'], language)} <small>{_name(station['river_name'], language)}</small>"
        f"<td>{'<td>'.join(cells)}\n"
    )


def highest(alerts: Sequence[cap.Subject]) -> list[cap.Subject]:
    """Of each kind at each place the highest, the newest of two; the highest and newest of all first."""
    ordered = sorted(alerts, key=lambda s: (-s.alert.flood_level, -s.alert.started_at.timestamp(), -s.alert.id))
    found: dict[tuple[str | None, str, str], cap.Subject] = {}
    for subject in ordered:
        found.setdefault((subject.alert.station, subject.alert.subject, subject.alert.kind), subject)
    return list(found.values())


def _alert(subject: cap.Subject, now: datetime, asked: Asked) -> str:
    alert, language = subject.alert, asked.language
    level = _level(alert.flood_level, subject.level_name, language) + " " if alert.flood_level else ""
    rule = KINDS.get(alert.kind)
    called = (rule and (rule.name_ja if language == "ja" else rule.name_en)) or alert.kind
    where = cap.place(subject, language)[: 2 * _LONGEST]
    mark = "" if alert.status == "actual" else STATUS[alert.status]
    doubt = "" if alert.verified else f" <i>{asked.words.unverified}</i>"
    return f"<li>{mark}{level}{escape(called)} {escape(where)} {_clock(alert.started_at, now)}{doubt}"


def _alerting(state: Alerting, words: Words) -> str:
    if state.ok:
        return f'<p class="ok">{words.told}'
    why = words.between.join(words.why.get(reason, escape(reason)) for reason in state.why)
    return f'<p class="bad">{words.not_told}{why}'


def _counts(now: Now, asked: Asked) -> str:
    """How many stand at which level; always all of them."""
    words = asked.words
    living = [s for s in now.stations if s["freshness"] != "dead"]
    alive = [s["flood_level"] for s in living if not _unjudged(s)]
    parts = [
        f"<span>{_level(level, now.level_names[level], asked.language)} {alive.count(level)}</span>"
        for level in sorted(now.level_names, reverse=True)
    ]
    parts.append(f'<span><b class="dead">{words.dead}</b> {len(now.stations) - len(living)}</span>')
    if len(living) > len(alive):
        parts.append(f"<span><b>{words.unjudged}</b> {len(living) - len(alive)}</span>")
    return f"<p>{' '.join(parts)} {words.of_all(len(now.stations))}"


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


def _frame(site: SiteSettings, asked: Asked, as_of: datetime, inside: str) -> str:
    """What every page carries: whose it is, whether it is a drill, as of when, and where to go from here."""
    words, language = asked.words, asked.language
    name = escape((site.name_ja if language == "ja" else site.name_en)[: 2 * _LONGEST])
    mark = STATUS[site.status] if site.status != "actual" else ""
    drill = f'<p class="drill">{mark} {words.drills[site.status]}' if mark else ""
    other = "en" if language == "ja" else "ja"
    renewing = f'<a href="{asked.href(renews=not asked.renews)}">{words.stop if asked.renews else words.renew}</a>'
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{mark}{name} {words.title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="stylesheet" href="/api/lite.css"></head><body class="{site.status}">'
        f'<header>{drill}<h1>{name} {words.title}</h1><p class="as-of">{words.as_of(as_of.astimezone(JST))}'
        f"<p>{words.renewed if asked.renews else words.still}</header><main>{inside}</main>"
        f'<footer><p>{words.provisional}<nav aria-label="{words.elsewhere}"><a href="{asked.href()}">{words.again}</a> '
        f'{renewing} <a href="/?lang={language}">{words.full}</a> '
        f'<a href="{asked.href(language=other)}" lang="{other}" hreflang="{other}">{words.other}</a></nav></footer>'
        "</body></html>"
    )


def _hides(one: Notice, language: str) -> str:
    """What keeps people from being told of a flood."""
    return one.text_ja if language == "ja" else one.text_en


def _pages(asked: Asked, of: int) -> str:
    """The way to the pages before and after."""
    if of == 1:
        return ""
    words, number = asked.words, asked.page
    before = f'<a rel="prev" href="{asked.href(page=number - 1)}">{words.before}</a> ' if number > 1 else ""
    after = f' <a rel="next" href="{asked.href(page=number + 1)}">{words.after}</a>' if number < of else ""
    return f'<nav aria-label="{words.pages}"><p>{before}{number}/{of}{after}</nav>'


def page(now: Now, asked: Asked) -> str:
    """One page of the levels; a number beyond the last is the last."""
    words, language = asked.words, asked.language
    worst = highest(now.alerts)[:ALERTS_SHOWN]
    named = "".join(_alert(subject, now.as_of, asked) for subject in worst)
    total, rest = len(now.alerts), len(now.alerts) - len(worst)
    counted = f"{ALERTS_COUNTED}+" if total >= ALERTS_COUNTED else str(total)
    unanswered = f"<h2>{words.unanswered(counted)}</h2>" if total else f"<p>{words.none_unanswered}"
    more = f"<p>{words.more(rest)}" if rest > 0 else ""
    said = (
        (now.site.notice_ja or now.site.notice_en) if language == "ja" else (now.site.notice_en or now.site.notice_ja)
    )
    notice = f"<p>{escape(said[:200])}" if said else ""
    heads = "".join(f'<th scope="col">{word}' for word in words.columns)
    behind = f'<p class="bad">{words.behind}' if now.behind else ""
    hides = "".join(
        f'<p class="bad">{escape(_hides(one, language)[:300])}' for one in now.alerting.notices[:NOTICES_SHOWN]
    )
    left = len(now.alerting.notices) - NOTICES_SHOWN
    hides += f"<p>{words.more(left)}" if left > 0 else ""
    opening = f"{notice}{behind}{hides}{_alerting(now.alerting, words)}{unanswered}"
    table = f"<h2>{words.levels}</h2>{_counts(now, asked)}<table><thead><tr>{heads}<tbody>\n"

    def whole(rows: str, listed: str, number: int, of: int) -> str:
        this = replace(asked, page=number)
        return _frame(now.site, this, now.as_of, f"{opening}{listed}{table}{rows}</table>{_pages(this, of)}")

    listed = f"<ol>{named}</ol>{more}" if named else ""
    room = LARGEST - len(whole("", "", MOST_PAGES - 1, MOST_PAGES).encode())
    pages = cut([_row(station, now.as_of, asked) for station in now.stations], room - len(listed.encode()), room)
    number = min(asked.page, len(pages))
    return whole("".join(pages[number - 1]), listed if number == 1 else "", number, len(pages))


def unreadable(site: SiteSettings, asked: Asked, at: datetime) -> str:
    """What is shown while the database is away: that nothing is known, and no number."""
    return _frame(site, asked, at, f'<p class="bad" role="alert">{asked.words.unreadable}<p>{asked.words.meanwhile}')


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
