"""The words people receive. Never 警報, which only the Meteorological Agency issues. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from kawamori.domain.registry import Station
from kawamori.domain.rules import kind_of
from kawamori.domain.trend import change_per_10min
from kawamori.storage.alerts import Alert

JST = timezone(timedelta(hours=9), "JST")
#: A phone's lock screen shows no more of a message.
FIRST_LINE = 70
_DRILL = {"ja": {"exercise": "【訓練】", "test": "【試験】"}, "en": {"exercise": "[EXERCISE] ", "test": "[TEST] "}}
_REASONS = {
    "ja": {
        "late": "遅れて届いた",
        "range": "範囲外の",
        "rate": "変化が急な",
        "flat": "動かない",
        "spike": "突発的",
        "clock": "時刻が不確かな",
        "conflict": "機器間で食い違う",
        "estimated": "推定の",
        "step": "急変後未確認の",
        "unfit": "計器不調の",
        "corrected": "修正済みの",
        "condemned": "無効の",
        "limit": "範囲の設定が疑わしい",
    },
    "en": {
        "late": "late", "range": "out of range", "rate": "changes fast", "flat": "does not move", "spike": "spike",
        "clock": "clock in doubt", "conflict": "devices disagree", "estimated": "estimated", "step": "unconfirmed step",
        "unfit": "sensor unfit", "corrected": "corrected", "condemned": "condemned", "limit": "limit in doubt",
    },
}  # fmt: skip

#: Level to its name, (Japanese, English).
Names = Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """What is to be told of one alert."""

    event: str
    alert: Alert
    station: Station | None = None
    #: Any station of the river, where a river is meant as a whole.
    river: Station | None = None
    trend_h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a reader goes from here."""

    page: str | None = None
    acknowledge: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, and the same for machines."""

    subject: str
    body: str
    payload: dict[str, Any] = field(default_factory=dict)


def first_line(told: AlertEvent, names: Names, language: str = "ja") -> str:
    """What is where, how high and since when; at most 70 characters."""
    alert, ja = told.alert, language == "ja"
    head = _DRILL[language].get(alert.status, "") + ("【未応答】" if told.event == "escalated" and ja else "")
    head += "[NOT ANSWERED] " if told.event == "escalated" and not ja else ""
    head += f"【{_title(alert, names, language)}】" if ja else f"{_title(alert, names, language)}: "
    tail = _tail(told, language)
    place = _place(told, language)
    if len(head) + len(tail) > FIRST_LINE:  # the mark of a drill in front, and what is doubtful behind, must stay
        head = head[: FIRST_LINE - len(tail) - 1] + "…"
    return head + place[: FIRST_LINE - len(head) - len(tail)] + tail


def _title(alert: Alert, names: Names, language: str) -> str:
    rule = kind_of(alert.kind)
    called = (rule.name_ja if language == "ja" else rule.name_en) or alert.kind
    if not alert.level:
        return called
    name = names.get(alert.level, ("", ""))[0 if language == "ja" else 1].removesuffix("水位")
    return f"L{alert.level} {name}" if alert.kind == "level" else f"L{alert.level} {called}"


def _place(told: AlertEvent, language: str) -> str:
    station = told.station
    if station is None and told.river is not None:
        return told.river.river_name_ja if language == "ja" else told.river.river_name_en
    if station is None:
        return told.alert.subject.partition(":")[2] or told.alert.subject
    if language == "ja":
        return f"{station.river_name_ja}{station.name_ja}"
    return f"{station.name_en} ({station.river_name_en})"


def _tail(told: AlertEvent, language: str) -> str:
    alert, ja = told.alert, language == "ja"
    automatic = ("" if alert.kind == "manual" else " 自動判定") if ja else ""
    unsure = "" if alert.verified else (" 未確認" if ja else " UNVERIFIED")
    if told.event == "resolved":
        over = f" 下回る（基準{alert.threshold_m:.2f}）" if ja and alert.threshold_m is not None else ""
        over = over or (
            " 解消" if ja else " over" if alert.threshold_m is None else f" below {alert.threshold_m:.2f} m"
        )
        return f"{over} {_clock(alert.ended_at or alert.started_at)}{automatic}"
    if told.event == "withdrawn":
        return f" {'取消（誤測定）' if ja else 'WITHDRAWN'} {_clock(alert.started_at)}{automatic}"
    sure = (" 確認" if ja else " confirmed") if told.event == "confirmed" else ""
    if told.event == "returned":
        sure = " 再び" if ja else " AGAIN"
    if alert.kind == "level" and alert.value_m is not None and alert.threshold_m is not None:
        base = f"（基準{alert.threshold_m:.2f}）" if ja else f" (threshold {alert.threshold_m:.2f}) "
        how = f" {alert.value_m:.2f}m{base}{_trend(told.trend_h, language)}"
    else:
        said = kind_of(alert.kind).says(alert.value_m, alert.detail, language)
        how = f" {said} " if said else " "
    return f"{how}{_clock(alert.started_at)}{sure}{unsure}{automatic}"


def _trend(trend_h: float | None, language: str) -> str:
    if trend_h is None:
        return ""
    centimetres = change_per_10min(trend_h)
    arrow = "↑" if centimetres > 0 else "↓" if centimetres < 0 else "→"
    return f"{arrow}{abs(centimetres)}cm/10{'分' if language == 'ja' else ' min'} "


def _clock(at: datetime) -> str:
    return f"{at.astimezone(JST):%H:%M}"


def _jst(at: datetime) -> str:
    return f"{at.astimezone(JST):%m月%d日 %H:%M}"


def paragraph(told: AlertEvent, names: Names, language: str) -> str:
    """Everything a reader needs of one alert."""
    return "\n".join(_japanese(told, names) if language == "ja" else _english(told, names))


def _japanese(told: AlertEvent, names: Names) -> list[str]:
    alert, station = told.alert, told.station
    drill = _DRILL["ja"].get(alert.status, "")
    head = {
        "resolved": "基準水位を下回りました" if alert.threshold_m is not None else "解消しました",
        "withdrawn": "先の通知を取り消します",
        "confirmed": "未確認の値が確認されました",
        "returned": "一度下回った基準水位を再び超えています" if alert.threshold_m is not None else "再び発生しています",
    }.get(told.event, "基準水位超過" if alert.kind == "level" else (kind_of(alert.kind).name_ja or alert.kind))
    lines = [f"{drill}{head}{'' if alert.kind == 'manual' else '（自動判定）'}・暫定値"]
    where = _place(told, "ja") if station is None else f"{station.river_name_ja} {station.name_ja}"
    level = f"：{names[alert.level][0]}" if alert.level in names and alert.level else ""
    lines.append(f"{where}{level}{'' if alert.threshold_m is None else f' {alert.threshold_m:.2f} m'}")
    if alert.value_m is not None and alert.peak_m is not None and alert.threshold_m is not None:
        lines.append(f"到達 {_jst(alert.started_at)} {alert.value_m:.2f} m、最高 {alert.peak_m:.2f} m")
    else:
        lines.append(
            f"開始 {_jst(alert.started_at)} {kind_of(alert.kind).says(alert.value_m, alert.detail, 'ja')}".rstrip()
        )
    if alert.ended_at:
        lines.append(f"終了 {_jst(alert.ended_at)}")
    if (
        station is not None
        and station.crest_m is not None
        and alert.value_m is not None
        and alert.threshold_m is not None
    ):
        crest = station.crest_m - alert.value_m
        lines.append(f"堤防天端まで {crest:.2f} m" if crest >= 0 else f"堤防天端を {-crest:.2f} m 超過")
    if isinstance(alert.detail.get("message"), dict):
        lines.append(str(alert.detail["message"].get("ja") or alert.detail["message"].get("en") or ""))
    if not alert.verified:
        why = "、".join(_REASONS["ja"].get(r, r) for r in alert.detail.get("reasons", ())) or "疑わしい"
        lines.append(f"未確認：{why}値です。現地または隣の観測所で確かめてください。")
        lines += [
            f"　隣 {n['station_id']} {n['value_m']:.2f} m（{_clock(datetime.fromisoformat(n['observed_at']))}）"
            for n in alert.detail.get("neighbours", ())
        ]
    return lines


def _english(told: AlertEvent, names: Names) -> list[str]:
    alert, station = told.alert, told.station
    drill = _DRILL["en"].get(alert.status, "")
    verb = {"resolved": "is over", "withdrawn": "is withdrawn", "confirmed": "is confirmed", "returned": "is back"}.get(
        told.event, ""
    )
    called = f"level {alert.level}, {names[alert.level][1]}" if alert.level in names and alert.level else ""
    called = called or kind_of(alert.kind).name_en or alert.kind
    at = "" if alert.threshold_m is None else f", {alert.threshold_m:.2f} m"
    by = "" if alert.kind == "manual" else " Automatic, provisional."
    lines = [f"{drill}{_place(told, 'en')}: {called}{at} {verb}".rstrip() + f".{by}"]
    if alert.value_m is not None and alert.peak_m is not None and alert.threshold_m is not None:
        lines.append(f"Reached {alert.value_m:.2f} m at {_full(alert.started_at)}; highest {alert.peak_m:.2f} m.")
    else:
        said = kind_of(alert.kind).says(alert.value_m, alert.detail, "en")
        lines.append(f"Since {_full(alert.started_at)}{': ' if said else ''}{said}.")
    if alert.ended_at:
        lines.append(f"Ended {_full(alert.ended_at)}.")
    if (
        station is not None
        and station.crest_m is not None
        and alert.value_m is not None
        and alert.threshold_m is not None
    ):
        crest = station.crest_m - alert.value_m
        lines.append(f"{abs(crest):.2f} m {'below' if crest >= 0 else 'ABOVE'} the levee crest.")
    if isinstance(alert.detail.get("message"), dict):
        lines.append(str(alert.detail["message"].get("en") or alert.detail["message"].get("ja") or ""))
    if not alert.verified:
        why = ", ".join(_REASONS["en"].get(r, r) for r in alert.detail.get("reasons", ())) or "doubtful"
        lines.append(f"UNVERIFIED ({why}): check on site or by the neighbours.")
        lines += [f"  next to it: {n['station_id']} {n['value_m']:.2f} m" for n in alert.detail.get("neighbours", ())]
    return lines


def _full(at: datetime) -> str:
    return f"{at.astimezone(JST):%Y-%m-%d %H:%M} JST"


def compose(entries: Sequence[AlertEvent], names: Names, language: str, links: Links, incident: int | None) -> Message:
    """One message about these alerts, the worst first."""
    ja = language == "ja"
    ordered = sorted(entries, key=lambda t: (t.event in ("resolved", "withdrawn"), -t.alert.level, t.alert.started_at))
    worst = ordered[0]
    subject = first_line(worst, names, language)
    others = len({t.alert.id for t in ordered}) - 1
    lines = [subject]
    if others:
        lines.append(f"ほか{others}件" if ja else f"and {others} more")
        lines += [f"・{first_line(t, names, language)}" for t in ordered[1:]]
    lines.append("")
    lines.append("\n\n".join(paragraph(t, names, language) for t in ordered[:10]))
    if links.page:
        lines += ["", f"{'画面' if ja else 'Console'}: {links.page}"]
    if links.acknowledge:
        lines += ["", f"{'確認した（この件だけ）' if ja else 'Acknowledge (this incident only)'}: {links.acknowledge}"]
    return Message(
        subject=subject,
        body="\n".join(lines),
        payload={
            "alerts": [_plain(t) for t in ordered], "incident_id": incident, "status": worst.alert.status,
            "language": language, "link": links.page, "acknowledge_link": links.acknowledge,
        },
    )  # fmt: skip


def record_of(told: AlertEvent, names: Names) -> Message:
    """What the log keeps of one event: both languages."""
    first = first_line(told, names)
    body = f"{first}\n{paragraph(told, names, 'ja')}\n\n{paragraph(told, names, 'en')}"
    return Message(subject=first, body=body, payload={"alerts": [_plain(told)], "status": told.alert.status})


def _plain(told: AlertEvent) -> dict[str, Any]:
    alert, station = told.alert, told.station
    return {
        "id": alert.id, "event": told.event, "kind": alert.kind, "station_id": alert.station, "subject": alert.subject,
        "station": station and {"ja": station.name_ja, "en": station.name_en},
        "river": station and {"ja": station.river_name_ja, "en": station.river_name_en},
        "flood_level": alert.level, "state": alert.state, "verified": alert.verified, "status": alert.status,
        "value_m": alert.value_m, "threshold_m": alert.threshold_m, "peak_m": alert.peak_m,
        "started_at": alert.started_at.isoformat(),
        "ended_at": None if alert.ended_at is None else alert.ended_at.isoformat(),
    }  # fmt: skip
