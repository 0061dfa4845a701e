"""The record of a night in order of time (時系列): what the water did, whom we told, what people did. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from api import html
from api.registry_cache import Directory
from kawamori.domain.reading import StationId
from kawamori.domain.rules import KINDS
from kawamori.storage.actions import Timeline

JST = timezone(timedelta(hours=9), "JST")
COLUMNS = ("時刻(JST)", "種別", "河川", "観測所", "水位", "基準", "内容", "担当", "状態")
STATUS = {"actual": "通常", "exercise": "【訓練】", "test": "【試験】"}
SOFTWARE = "kawamori"
_CHANNELS = {
    "smtp": "メール", "line": "LINE", "slack": "Slack", "teams": "Teams", "webhook": "Webhook",
    "webpush": "プッシュ通知", "mqtt": "MQTT",
}  # fmt: skip
#: What people and the software did: kind, and words for it.
_DONE = {
    "acknowledged": ("確認", "アラートを確認"),
    "noted": ("記録", ""),
    "shelved": ("保留", "通知を保留"),
    "unshelved": ("保留", "通知の保留を解除"),
    "silenced": ("保留", "通知停止の対象"),
    "unsilenced": ("保留", "通知停止の解除"),
    "confirmed": ("確定", "未確認値を確認"),
    "withdrawn": ("取消", "誤測定として取消"),
    "raised": ("手動通報", ""),
    "resolved": ("手動通報", "終了"),
    "escalated": ("引継ぎ", "応答がないため次へ通知"),
    "nobody_answered": ("引継ぎ", "応答がないまま最後まで通知済み"),
}
_OF_ALERTING = {
    "impaired": "データベース停止：記録・通常の通知が止まる",
    "recovered": "データベース復旧",
    "self_test_failed": "自己点検失敗：通知が届いていない",
}
_SUBJECTS = {
    "rule": "規則",
    "contact": "連絡先",
    "escalation": "連絡順",
    "silence": "通知停止",
    "account": "利用者",
    "threshold": "基準水位",
}
_CHANGED = {
    "added": "追加", "changed": "変更", "removed": "削除", "lifted": "解除", "tested": "通知試験", "revoked": "失効",
    "ended": "終了",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the record."""

    at: datetime
    kind: str
    river: str = ""
    station: str = ""
    level_m: float | None = None
    threshold_m: float | None = None
    text: str
    who: str = ""
    status: str = "actual"
    alert: int | None = None
    #: What orders lines of one moment: the water first, then what was made of it.
    rank: int = 0


class _Places:
    def __init__(self, directory: Directory) -> None:
        self._stations = directory.registry.stations
        self._rivers = {river.id: river.name["ja"] for river in directory.rivers}
        self.levels = {number: level.name["ja"] for number, level in directory.levels.items()}

    def of(self, station: str | None, river: str | None) -> dict[str, str]:
        """The names of river and station."""
        found = self._stations.get(StationId(station)) if station else None
        if found is not None:
            return {"river": found.river_name_ja, "station": found.name_ja}
        return {"river": self._rivers.get(river or "", river or ""), "station": station or ""}


def lines(found: Timeline, directory: Directory, start: datetime, end: datetime) -> list[Line]:
    """Everything in order of time, the same whatever order it was stored in."""
    places = _Places(directory)
    everything = [
        *(line for row in found.alerts for line in _water(row, places)),
        *(line for row in found.messages for line in _messages(row, places)),
        *(_done(row, places) for row in found.audit),
    ]
    within = [line for line in everything if start <= line.at < end]
    return sorted(within, key=lambda line: (line.at, line.rank, line.alert or 0, line.text))


def _called(kind: str, level: int, places: _Places) -> str:
    rule = KINDS.get(kind)
    name = (rule and rule.name_ja) or kind
    return f"{name} L{level} {places.levels.get(level, '')}".rstrip() if level else name


def _water(row: Sequence[Any], places: _Places) -> Iterable[Line]:
    """Beginning, peak and end of an episode; what a person raised is in the audit."""
    (id_, station, river, kind, subject, level, state, status, started_at, ended_at, value, threshold, peak, verified,
     retroactive, detail, peak_at) = row  # fmt: skip
    if kind == "manual":
        return
    flood = kind in KINDS and KINDS[kind].topic == "flood"
    common: dict[str, Any] = {**places.of(station, river), "status": status, "alert": id_, "threshold_m": threshold}
    name = _called(kind, level, places)
    about = subject.partition(":")[2] or subject
    doubt = "" if verified else "（未確認）"
    late = "（後日判明・通知なし）" if retroactive else ""
    says = KINDS[kind].says(value, detail, "ja") if kind in KINDS else ""
    text = " ".join(part for part in (f"{name} 到達" if flood else f"{name} 発生", about, says) if part) + doubt + late
    shown = value if flood else None
    yield Line(at=started_at, kind="到達" if flood else "障害", level_m=shown, text=text, **common)
    if peak_at is not None and peak is not None and flood:
        yield Line(at=peak_at, kind="最高", level_m=peak, text=f"{name} 期間中の最高水位", rank=1, **common)
    if ended_at is not None and state in ("resolved", "withdrawn"):
        over = " ".join(part for part in (name, "下回る" if threshold is not None else "解消", about) if part)
        yield Line(at=ended_at, kind="終了" if flood else "復旧", text=over, rank=2, **common)


def _messages(row: Sequence[Any], places: _Places) -> Iterable[Line]:
    (_, alert, station, river, channel, name, _, subject, created_at, delivered_at, given_up_at, attempts, failed_at,
     status) = row  # fmt: skip
    whom = _whom("mail:" if name is None else name)
    by = _CHANNELS.get(channel, channel)
    common: dict[str, Any] = {**places.of(station, river), "status": status, "alert": alert, "who": whom}
    yield Line(at=created_at, kind="通知", text=f"送信（{by}）：{subject}", rank=3, **common)
    if failed_at is not None:
        yield Line(at=failed_at, kind="通知", text=f"不達（{by}）、再送する：{subject}", rank=4, **common)
    if delivered_at is not None:
        again = f"、{attempts}回目" if attempts > 1 else ""
        yield Line(at=delivered_at, kind="通知", text=f"到着（{by}{again}）：{subject}", rank=5, **common)
    if given_up_at is not None and delivered_at is None:
        yield Line(at=given_up_at, kind="通知", text=f"断念（{by}）：{subject}", rank=5, **common)


def _done(row: Sequence[Any], places: _Places) -> Line:
    (_, at, who, subject, subject_id, alert, event, note, detail, station, river, status, kind, level, _) = row
    common: dict[str, Any] = {"who": "自動" if who == SOFTWARE else who, "alert": alert, "rank": 6}
    said = f"：{note}" if note else ""
    if subject == "alerting":
        if event in ("notice", "notice_over"):
            over = event == "notice_over"
            text = f"{'解消：' if over else ''}{detail.get('text', '')}"
            return Line(at=at, kind="注意解消" if over else "注意", text=text, **common)
        what = "監視復旧" if event == "recovered" else "監視障害"
        return Line(at=_was_at(at, detail), kind=what, text=_OF_ALERTING.get(event, event), **common)
    if alert is None:
        called = _rule(detail) or subject_id
        text = f"{_SUBJECTS.get(subject, subject)} {called} {_CHANGED.get(event, event)}{said}"
        return Line(at=at, kind="設定変更", text=text, **common)
    what, words = _DONE.get(event, (event, event))
    if event == "shelved" and "until" in detail:
        words += f"（{datetime.fromisoformat(detail['until']).astimezone(JST):%m月%d日 %H:%M} まで）"
    if event == "escalated":
        words += "：" + "、".join(_whom(str(name)) for name in detail.get("to", ()))
    name = _called(kind, level, places) if kind else f"アラート{alert}"
    text = " ".join(part for part in (name, words) if part) + said
    common |= places.of(station, river)
    return Line(at=at, kind=what, text=text, status=status or "actual", **common)


def _whom(name: str) -> str:
    """Nobody's address."""
    return "設定の宛先" if name.startswith("mail:") else name


def _was_at(at: datetime, detail: Mapping[str, Any]) -> datetime:
    """When it was so, where that was written down later."""
    try:
        return datetime.fromisoformat(detail["at"])
    except (KeyError, TypeError, ValueError):
        return at


def _rule(detail: Mapping[str, Any]) -> str:
    """Which rule was changed, in words."""
    rule = detail.get("after") or detail.get("before")
    if not isinstance(rule, Mapping) or "parameters" not in rule:
        return ""
    kind = str(rule.get("kind"))
    where = rule.get("station_id") or rule.get("river_id") or "全域"
    return f"{KINDS[kind].name_ja if kind in KINDS else kind}（{where}）"


def _cells(line: Line) -> tuple[str, ...]:
    return (
        f"{line.at.astimezone(JST):%Y-%m-%d %H:%M:%S}", line.kind, line.river, line.station,
        "" if line.level_m is None else f"{line.level_m:.2f}",
        "" if line.threshold_m is None else f"{line.threshold_m:.2f}",
        line.text, line.who, STATUS[line.status],
    )  # fmt: skip


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip() == cell and "n" not in cell.lower()


def as_csv(found: Iterable[Line]) -> bytes:
    """For Japanese spreadsheets: UTF-8 with BOM, CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in found:
        writer.writerow([defused(cell.replace("\r", " ").replace("\n", " ")) for cell in _cells(line)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def shape(line: Line) -> dict[str, Any]:
    """A line for machines."""
    return {
        "at": line.at,
        "kind": line.kind,
        "river": line.river,
        "station": line.station,
        "level_m": line.level_m,
        "threshold_m": line.threshold_m,
        "text": line.text,
        "who": line.who,
        "status": line.status,
        "alert_id": line.alert,
    }


def as_html(found: Sequence[Line], title: str, start: datetime, end: datetime, status: str) -> str:
    """For A4 paper; the head with the drill mark is printed anew on each page. No script."""
    drills = [STATUS[one] for one in ("exercise", "test") if status == one or any(line.status == one for line in found)]
    return html.render(
        "chronology.html",
        title=title,
        mark="".join(drills),
        span=f"{start.astimezone(JST):%Y年%m月%d日 %H:%M} ～ {end.astimezone(JST):%Y年%m月%d日 %H:%M}",
        columns=COLUMNS,
        rows=[(line.status, _cells(line)) for line in found],
    )
