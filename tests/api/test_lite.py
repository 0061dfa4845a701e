# ruff: noqa: E501 - pages read best unbroken
"""The light page: small, valid, honest, and the same truth."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.feeds import cap
from api.pages.lite import LARGEST, Asked, Now, asked, by_danger, cut, page, style, unreadable
from api.pages.lite_words import WORDS
from kawamori.domain.notices import Notice
from kawamori.settings import SiteSettings
from kawamori.storage.alert_pages import Alert
from kawamori.storage.system import Alerting

NIGHT = datetime(2026, 9, 9, 17, 14, 7, tzinfo=UTC)
NAMES = {0: "平常", 1: "水防団待機水位", 2: "氾濫注意水位", 3: "避難判断水位", 4: "氾濫危険水位", 5: "氾濫開始水位"}
LEVELS = {level: {"ja": name, "en": f"level {level}"} for level, name in NAMES.items()}


def station(id_="bridge", *, name="大橋", level=0, m=2.134, minutes=3.0, freshness="fresh", **more):
    return {
        "station_id": id_, "name": {"ja": name, "en": "Bridge"}, "river": "kuji", "river_name": {"ja": "久慈川", "en": "Kuji"},
        "level_m": m, "judged_m": m, "judged_at": m and NIGHT - timedelta(minutes=minutes),
        "observed_at": NIGHT - timedelta(minutes=minutes), "age_s": minutes * 60, "flag": 1,
        "quality_reasons": [], "flood_level": level, "flood_level_name": LEVELS[level], "freeboard_m": 1.2, "trend_m_per_h": 0.72,
        "next_threshold": {"level": level + 1, "value_m": 3.0, "metres_to_go": 0.866}, "freshness": freshness, "arrival": None,
        "level_share": None, "silence": None, **more,
    }  # fmt: skip


def alert(number=1, *, level=3, minutes=5, verified=True, status="actual", kind="level", at="bridge"):
    empty = dict.fromkeys(Alert.__slots__)
    return Alert(**{
        **empty, "id": number, "station": at, "kind": kind, "subject": "", "flood_level": level, "state": "firing", "verified": verified,
        "started_at": NIGHT - timedelta(minutes=minutes), "status": status, "detail": {},
    })  # fmt: skip


def about(found, river="久慈川"):
    return cap.Subject(
        alert=found, told=[], level_name=LEVELS[found.flood_level], river_name={"ja": river, "en": river}
    )


def shown(stations=(), *, alerts=(), want=None, alerting=None, behind=False, **site):
    now = Now(
        site=SiteSettings(**{"name_ja": "日立市", "name_en": "Hitachi", **site}), as_of=NIGHT, stations=stations,
        alerting=alerting or Alerting(ok=True), alerts=[about(a) for a in alerts], level_names=LEVELS,
        behind=behind,
    )  # fmt: skip
    return page(now, want or Asked())


def parsed(text):
    """The page as a strict parser understands it; raises at the first error."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(node):
    return re.sub(r"\s+", " ", "".join(node.itertext())).strip()


def cells(text):
    return [[words(cell) for cell in row] for row in parsed(text).iterfind(".//tbody/tr")]


def test_what_keeps_people_from_being_told_is_said_first():
    found = [
        Notice(kind="silenced", key=str(n), since=NIGHT, text_ja=f"通知停止<{n}>", text_en=f"silenced <{n}>")
        for n in range(7)
    ]
    text = shown([station()], alerting=Alerting(ok=False, why=["silenced"], notices=tuple(found)))
    bad = [words(p) for p in parsed(text).iterfind(".//p[@class='bad']")]
    assert bad[:5] == [f"通知停止<{n}>" for n in range(5)]
    assert "ほか 2件" in text
    english = shown([station()], alerting=Alerting(ok=False, notices=tuple(found)), want=Asked(language="en"))
    assert "silenced &lt;0&gt;" in english


def test_a_line_tells_what_the_full_page_tells():
    line = cells(shown([station(level=3, arrival={"likely": NIGHT + timedelta(minutes=40)})]))
    assert line == [
        ["3 避難判断", "大橋 久慈川", "2.13 m", "1.20 m", "+12 ↑", "レベル4まで 0.87 m02:54頃【参考】", "3分前"]
    ]


def test_a_dead_number_says_so_and_of_when_it_is():
    silent = station(minutes=200, freshness="dead", level=2, silence="gateway")
    (line,) = cells(shown([silent]))
    assert line[0] == "欠測 ゲートウェイ無通信最終 2 氾濫注意"
    assert line[2] == "2.13 m9/9 22:54 の値"
    assert line[4] == "—", "what a dead sensor's water does is not known"
    never = station(m=None, judged_m=None, observed_at=None, age_s=None, flag=None, freshness="dead", trend_m_per_h=None,
                    silence="sensor", next_threshold=None, freeboard_m=None)  # fmt: skip
    assert cells(shown([never]))[0][:3] + cells(shown([never]))[0][6:] == [
        "欠測 センサー無通信", "大橋 久慈川", "—", "受信なし",
    ]  # fmt: skip
    failing = station(minutes=40, freshness="dead", level=4, flag=4, judged_m=3.4)
    (line,) = cells(shown([failing]))
    assert line[0] == "欠測 有効な値なし最終 4 氾濫危険"
    assert line[2] == "2.13 m異常値 判定 3.40 m01:34 の値"


def test_a_station_without_thresholds_is_not_called_calm():
    text = shown([station(next_threshold=None)])
    assert cells(text)[0][0] == "基準なし"
    assert "– 平常 0" in text.replace('<b class="l0">', "").replace("</b>", "")


@pytest.mark.parametrize(
    ("change", "column", "said"),
    [({"flag": 3}, 2, "2.13 m要確認"), ({"flag": 4, "judged_m": 1.9}, 2, "2.13 m異常値 判定 1.90 m"), ({"freshness": "late"}, 6, "3分前遅延"),
     ({"freeboard_m": -0.104}, 3, "超過 0.10 m"), ({"trend_m_per_h": -0.3}, 4, "−5 ↓"), ({"trend_m_per_h": 0.01}, 4, "0 →"),
     ({"m": -0.5}, 2, "−0.50 m"), ({"m": -0.001}, 2, "0.00 m"), ({"level": 5, "next_threshold": None}, 5, "最上位を超過")],
)  # fmt: skip
def test_what_is_doubtful_late_or_over_the_crest_is_said_in_words(change, column, said):
    assert cells(shown([station(**change)]))[0][column] == said


def test_every_page_says_as_of_when_and_whether_people_are_told():
    text = words(parsed(shown([station()])).find("body"))
    assert "2026年9月10日 02:14:07（日本時間）現在" in text
    assert "1分ごとに更新" in text
    assert "自動判定・通知：動作中" in text
    failed = shown(alerting=Alerting(ok=False, why=["no_engine", "new-reason"]))
    assert "判定サービスが動いていません、new-reason" in failed
    late = "サーバーの取り込みが遅れています"
    assert (late in text, late in words(parsed(shown([station()], behind=True)).find("body"))) == (False, True)


def test_a_drill_is_on_every_page_and_in_its_title():
    many = [station(f"s{n}") for n in range(200)]
    for number in (1, 2, 3):
        tree = parsed(shown(many, status="exercise", want=Asked(page=number)))
        assert tree.findtext(".//title") == "【訓練】日立市 現在の水位"
        assert "【訓練】" in words(tree.find(".//header"))
    assert "【試験】" in shown(status="test")
    assert "【" not in shown()


def test_of_each_place_the_highest_unanswered_alert_is_named_and_all_are_counted():
    found = [alert(1, level=2, minutes=1), alert(2, level=4, minutes=90, verified=False), alert(3, level=4, minutes=5, at="weir"),
             alert(4, level=0, kind="gateway"), *(alert(10 + n, level=1, at=f"s{n}") for n in range(30))]  # fmt: skip
    tree = parsed(shown([station()], alerts=found))
    listed = [words(item) for item in tree.iterfind(".//ol/li")]
    assert listed[:2] == ["4 氾濫危険 基準水位超過 久慈川 02:09", "4 氾濫危険 基準水位超過 久慈川 00:44 未確認"]
    assert [line[0] for line in listed] == list("44111111")
    assert words(tree.find(".//h2")) == "未応答のアラート 34件（自動判定）"
    assert "ほか 26件" in words(tree.find("body"))
    assert "【訓練】" in shown(alerts=[alert(status="exercise")])
    assert "未応答のアラートはありません" in shown()


def test_the_most_dangerous_comes_first():
    found = [
        station("calm"),
        station("silent", level=2, freshness="dead"),
        station("high", level=4),
        station("told", level=1),
    ]
    ordered = by_danger(found, [alert(at="told", level=1)], [alert(at="high", level=4), alert(at="silent", level=2)])
    assert [s["station_id"] for s in ordered] == ["told", "high", "silent", "calm"]
    # nothing was raised for it: the engine may be away, or it rose after somebody had answered
    ordered = by_danger(found, [alert(at="told", level=1)], [alert(at="high", level=3)])
    assert [s["station_id"] for s in ordered] == ["high", "silent", "told", "calm"]


def test_the_light_page_and_the_full_page_have_one_order():
    """dashboard/tests/sort.test.ts reads the same file."""
    case = json.loads((Path(__file__).parents[1] / "contracts/danger.json").read_text())
    stations = [
        {**s, "arrival": s["arrival"] and {"likely": datetime.fromisoformat(s["arrival"]["likely"])}}
        for s in case["stations"]
    ]
    unanswered, answered = (
        [alert(at=at, level=level) for at, level in case[which].items()] for which in ("unanswered", "answered")
    )
    ordered = by_danger(stations, unanswered, answered)
    assert [s["station_id"] for s in ordered] == case["order"]


def test_a_thousand_stations_stay_small_and_each_is_on_one_page():
    many = [
        station(f"s{n}", name=f"第{n}観測所", level=n % 6, freshness="dead" if n % 7 == 0 else "fresh", flag=3)
        for n in range(1000)
    ]
    found = [alert(n, level=1 + n % 5, at=f"s{n}") for n in range(2000)]
    seen, number = [], 1
    while True:
        text = shown(many, alerts=found, want=Asked(page=number), notice_ja="工事中")
        assert len(text.encode()) <= LARGEST
        tree = parsed(text)
        seen += [words(row.find("th")).split()[0] for row in tree.iterfind(".//tbody/tr")]
        assert "全1000局" in text
        onward = tree.find(".//a[@rel='next']")
        if onward is None:
            break
        number += 1
        assert onward.get("href") == f"/lite?page={number}"
    assert seen == [f"第{n}観測所" for n in range(1000)]
    assert "2000+" in text
    assert number < 50


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=200), max_size=120), st.text(max_size=500), st.sampled_from(["ja", "en"]))
def test_no_name_breaks_the_page_or_its_size(names, notice, language):
    found = [station(f"s{n}", name=name, freshness="dead") for n, name in enumerate(names)]
    text = shown(found, notice_ja=notice, want=Asked(language=language))
    assert len(text.encode()) <= LARGEST
    assert "<script" not in text
    assert " style=" not in text


@given(st.lists(st.text(max_size=30)), st.integers(1, 100), st.integers(1, 100))
def test_pages_are_cut_without_losing_a_row(rows, first, later):
    pages = cut(rows, first, later)
    assert [row for one in pages for row in one] == rows
    for room, one in zip([first, *[later] * len(pages)], pages, strict=False):
        assert len(one) <= 1 or len("".join(one).encode()) <= room


def test_markup_in_a_name_is_text():
    text = shown([station(name="<b>橋</b>&")], alerts=[alert()], name_ja="<i>市", notice_ja="<script>")
    parsed(text)
    assert cells(text)[0][1] == "<b>橋</b>& 久慈川"
    assert "<script" not in text


def test_both_languages_are_whole():
    for language, other in (("ja", "en"), ("en", "ja")):
        tree = parsed(shown([station(level=2)], alerts=[alert()], want=Asked(language=language)))
        assert tree.get("lang") == language
        assert [a.get("lang") for a in tree.iterfind(".//a[@hreflang]")] == [other]
    english = shown(
        [station(freshness="dead"), station(level=2, flag=3)], alerts=[alert(verified=False)], want=Asked(language="en")
    )
    assert re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]+", english) == [
        "久慈川",
        "日本語",
    ]  # the test's river has one name only
    for language, said in WORDS.items():
        assert said.columns[3] in style({}), language


@pytest.mark.parametrize(
    ("given", "meant"),
    [({}, Asked()), ({"lang": "en", "page": "3", "renew": "no"}, Asked(language="en", page=3, renews=False)),
     ({"lang": "xx", "page": "-1"}, Asked()), ({"page": "0"}, Asked()), ({"page": "٣"}, Asked()), ({"page": "9" * 40}, Asked())],
)  # fmt: skip
def test_an_address_with_a_slip_in_it_still_shows_the_rivers(given, meant):
    assert asked(given.get("lang", ""), given.get("page", "1"), given.get("renew", "")) == meant


def test_links_keep_the_language_and_the_choice():
    text = shown([station(f"s{n}") for n in range(300)], want=Asked(language="en", page=2, renews=False))
    hrefs = {a.get("href") for a in parsed(text).iterfind(".//a")}
    assert {
        "/lite?lang=en&renew=no",
        "/lite?lang=en&page=3&renew=no",
        "/lite?lang=en&page=2",
        "/lite?page=2&renew=no",
    } <= hrefs
    assert "/?lang=en" in hrefs


def test_a_page_beyond_the_last_is_the_last():
    assert "大橋" in shown([station()], want=Asked(page=99))


def test_without_the_database_it_says_that_nothing_is_known():
    for language, said in (("ja", "水位を読み出せません"), ("en", "cannot be read")):
        text = unreadable(SiteSettings(status="exercise"), Asked(language=language), NIGHT)
        parsed(text)
        assert said in text
        assert "【訓練】" in text
        assert "<table" not in text


@pytest.mark.integration
def test_the_light_page_shows_what_the_database_holds(api, rows, serve_again):
    sensor = rows.station("weir", thresholds={1: 1.0, 2: 2.0, 3: 3.0}, crest=4.0)
    rows.newest(sensor, 2.5, trend=0.6, flag=3)
    calm = rows.station("calm", thresholds={1: 5.0})
    rows.newest(calm, 0.2)
    rows.alert("weir", sensor, level=2, verified=False)
    answer = api.http.get("/lite")
    assert (answer.status_code, answer.headers["refresh"], answer.headers["cache-control"]) == (200, "60", "no-store")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert [line[:3] for line in cells(answer.text)] == [
        ["2 氾濫注意", "weir橋 久慈川", "2.50 m要確認"],
        ["– 平常", "calm橋 久慈川", "0.20 m"],
    ]
    (item,) = parsed(answer.text).iterfind(".//ol/li")
    assert "久慈川 weir橋" in words(item)
    assert "未確認" in words(item)
    assert "no_engine" not in answer.text
    assert "判定サービスが動いていません" in answer.text
    assert "refresh" not in api.http.get("/lite?renew=no").headers
    assert api.http.get("/api/lite.css").headers["content-type"] == "text/css; charset=utf-8"
    assert api.http.head("/lite").status_code == 200


@pytest.mark.integration
def test_a_database_that_is_away_is_said_and_the_page_goes_on_asking(serve_again, rows):
    with serve_again() as api:
        name = rows.url.rsplit("/", 1)[-1]
        admin = type(rows)(rows.url.rsplit("/", 1)[0] + "/kawamori")
        admin.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        try:
            answer = api.http.get("/lite")
            assert (answer.status_code, answer.headers["refresh"]) == (503, "60")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "データベースが応答していません" in answer.text
        finally:
            admin.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
