"""What the light page says, in both languages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language. A language that lacks a word does not start."""

    title: str
    drills: Mapping[str, str]
    as_of: Callable[[datetime], str]
    renewed: str
    still: str
    stop: str
    renew: str
    again: str
    full: str
    other: str
    elsewhere: str
    told: str
    not_told: str
    behind: str
    why: Mapping[str, str]
    between: str
    unanswered: Callable[[str], str]
    none_unanswered: str
    more: Callable[[int], str]
    unverified: str
    levels: str
    of_all: Callable[[int], str]
    #: Heads of the table: state, station, then what is measured.
    columns: tuple[str, str, str, str, str, str, str]
    dead: str
    late: str
    last: str
    never: str
    value_of: Callable[[str], str]
    silence: Mapping[str, str]
    #: Readings arrive and fail.
    failing: str
    unjudged: str
    flags: Mapping[int, str]
    judged: str
    over: str
    highest: str
    to_go: Callable[[int, str], str]
    likely: Callable[[str], str]
    age: Callable[[float], str]
    pages: str
    before: str
    after: str
    provisional: str
    unreadable: str
    meanwhile: str


def _age(seconds: float, units: tuple[str, str, str, str], ago: str) -> str:
    """In the largest unit that fits; below ten hours with the minutes."""
    s, m, h, d = units
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{max(0, int(seconds))}{s}{ago}"
    if minutes < 60:
        return f"{minutes}{m}{ago}"
    if minutes < 600:
        return f"{minutes // 60}{h}{minutes % 60:02}{m}{ago}"
    return f"{minutes // 60}{h}{ago}" if minutes < 2880 else f"{minutes // 1440}{d}{ago}"


WORDS: Mapping[str, Words] = {
    "ja": Words(
        title="現在の水位",
        drills={"exercise": "これは訓練です", "test": "試験配信中です"},
        as_of=lambda at: f"{at.year}年{at.month}月{at.day}日 {at:%H:%M:%S}（日本時間）現在",
        renewed="この画面は1分ごとに更新されます。上の時刻が古いときは、数値も古いものです。",
        still="自動更新を止めています。上の時刻が古いときは、数値も古いものです。",
        stop="自動更新を止める",
        renew="1分ごとに更新する",
        again="今すぐ更新",
        full="通常の画面",
        other="English",
        elsewhere="画面の切り替え",
        told="自動判定・通知：動作中",
        not_told="自動判定・通知に異常があります。水位を目で確かめ、電話などで連絡してください：",
        behind="サーバーの取り込みが遅れています。センサーの故障とは限りません。水位は現地や電話で確かめてください。",
        why={
            "no_engine": "判定サービスが動いていません", "behind": "判定が遅れています",
            "nobody": "通知先が登録されていません", "unsent": "送れていない通知があります",
            "given_up": "誰にも届かないまま打ち切った通知があります",
            "self_test": "自己点検に失敗したか、自己点検が行われていません",
            "database": "データベースに届きません",
            "silenced": "通知が止められています", "thresholds": "基準水位が届かない高さに変えられています",
            "not_judged": "判定できない観測所があります",
            "restarting": "サービスが起動し直しを繰り返しています", "no_ingest": "取り込みサービスが動いていません",
        },
        between="、",
        unanswered=lambda n: f"未応答のアラート {n}件（自動判定）",
        none_unanswered="未応答のアラートはありません。",
        more=lambda n: f"ほか {n}件。すべては通常の画面にあります。",
        unverified="未確認",
        levels="水位（危険順・暫定値）",
        of_all=lambda n: f"全{n}局",
        columns=("状態", "観測所・河川", "水位", "堤防天端まで", "変化 cm/10分", "次の基準水位", "観測"),
        dead="欠測",
        late="遅延",
        last="最終",
        never="受信なし",
        value_of=lambda time: f"{time} の値",
        silence={"sensor": "センサー無通信", "gateway": "ゲートウェイ無通信", "server": "サーバー遅れ"},
        failing="有効な値なし",
        unjudged="基準なし",
        flags={3: "要確認", 4: "異常値", 9: "欠測"},
        judged="判定",
        over="超過",
        highest="最上位を超過",
        to_go=lambda level, m: f"レベル{level}まで {m} m",
        likely=lambda time: f"{time}頃【参考】",
        age=lambda seconds: _age(seconds, ("秒", "分", "時間", "日"), "前"),
        pages="ページ",
        before="前のページ",
        after="次のページ",
        provisional="水位は零点高からの高さ（m）で、自動観測の暫定値です。レベルは基準水位超過（自動判定）であり、"
        "気象庁の発表する情報ではありません。",
        unreadable="水位を読み出せません。データベースが応答していません。",
        meanwhile="水位は分かりません。現地や電話で確かめてください。この画面は自動で読み直します。",
    ),
    "en": Words(
        title="water levels now",
        drills={"exercise": "This is a drill", "test": "This is a test"},
        as_of=lambda at: f"As of {at:%Y-%m-%d %H:%M:%S} JST",
        renewed="This page renews itself every minute. When the time above is old, so are the numbers.",
        still="This page does not renew itself. When the time above is old, so are the numbers.",
        stop="Stop renewing",
        renew="Renew every minute",
        again="Renew now",
        full="Full page",
        other="日本語",
        elsewhere="Other views",
        told="Automatic judging and notifications: working",
        not_told="Automatic judging or notifications have failed. Watch the levels yourself, and telephone: ",
        behind="The server is behind with readings. The sensors may be well. Check levels on site or by telephone.",
        why={
            "no_engine": "nothing judges the levels", "behind": "judging is behind",
            "nobody": "nobody is set up to be told", "unsent": "notifications wait to be sent",
            "given_up": "a notification was given up and reached nobody",
            "self_test": "the self-test failed or is overdue",
            "database": "the database does not answer",
            "silenced": "notifications are silenced", "thresholds": "thresholds were raised out of reach",
            "not_judged": "a station cannot be judged",
            "restarting": "a service starts again and again", "no_ingest": "the service that takes readings in is dead",
        },
        between=", ",
        unanswered=lambda n: f"Unanswered alerts: {n} (automatic)",
        none_unanswered="No unanswered alerts.",
        more=lambda n: f"And {n} more: see the full page.",
        unverified="unverified",
        levels="Levels, most dangerous first (provisional)",
        of_all=lambda n: f"of {n}",
        columns=("State", "Station, river", "Level", "Below crest", "Change cm/10 min", "Next threshold", "Measured"),
        dead="No data",
        late="late",
        last="last",
        never="never",
        value_of=lambda time: f"value of {time}",
        silence={"sensor": "sensor silent", "gateway": "gateway silent", "server": "server behind"},
        failing="no valid value",
        unjudged="no thresholds",
        flags={3: "suspect", 4: "failed", 9: "missing"},
        judged="judged by",
        over="over by",
        highest="above the highest",
        to_go=lambda level, m: f"{m} m to level {level}",
        likely=lambda time: f"about {time} (for reference)",
        age=lambda seconds: _age(seconds, (" s", " min", " h ", " d"), " ago").replace("  ", " "),
        pages="Pages",
        before="Previous page",
        after="Next page",
        provisional="Levels are metres above gauge zero: automatic and provisional. Flood levels are judged"
        " automatically; they are not issued by the Meteorological Agency.",
        unreadable="The levels cannot be read: the database does not answer.",
        meanwhile="The levels are not known. Ask on site or by telephone. This page tries again by itself.",
    ),
}  # fmt: skip
