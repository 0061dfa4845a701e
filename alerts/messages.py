"""The words people receive: Japanese first, then English. Never 警報, which only the Meteorological Agency issues."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from alerts.level import Episode, Event
from kawamori.domain.registry import Station

JST = timezone(timedelta(hours=9), "JST")
_DRILL = {"exercise": "【訓練】", "test": "【試験】"}
_DRILL_EN = {"exercise": "EXERCISE ", "test": "TEST "}


@dataclass(frozen=True, slots=True)
class Names:
    """What the levels are called now: level to (Japanese, English)."""

    levels: dict[int, tuple[str, str]]


def _trend(trend_h: float | None) -> str:
    if trend_h is None:
        return ""
    centimetres = round(trend_h * 100 / 6)
    return f"{'↑' if centimetres > 0 else '↓' if centimetres < 0 else '→'}{abs(centimetres)}cm/10分 "


def subject(event: Event, episode: Episode, station: Station, names: Names, status: str, trend_h: float | None) -> str:
    """The first line: what is where, how high and since when; at most 70 characters."""
    short = names.levels[episode.level][0].removesuffix("水位")
    unsure = "" if episode.verified else "未確認 "
    place = f"{station.river_name_ja}{station.name_ja}"
    head = f"{_DRILL.get(status, '')}【L{episode.level} {short}】"
    if event is Event.RESOLVED:
        at = (episode.ended_at or episode.started_at).astimezone(JST)
        tail = f" 下回る（基準{episode.threshold_m:.2f}） {at:%H:%M} 自動判定"
    else:
        at = episode.started_at.astimezone(JST)
        tail = f" {episode.value_m:.2f}m（基準{episode.threshold_m:.2f}）{_trend(trend_h)}{at:%H:%M} {unsure}自動判定"
    return head + place[: 70 - len(head) - len(tail)] + tail


def body(event: Event, episode: Episode, station: Station, names: Names, status: str) -> str:
    """The rest of the message."""
    started = episode.started_at.astimezone(JST)
    japanese, english = names.levels[episode.level]
    crest = None if station.crest_m is None else station.crest_m - episode.value_m
    lines = [
        f"{_DRILL.get(status, '')}基準水位超過（自動判定）・暫定値"
        if event is Event.RAISED
        else f"{_DRILL.get(status, '')}基準水位を下回りました（自動判定）・暫定値",
        f"{station.river_name_ja} {station.name_ja}：{japanese} {episode.threshold_m:.2f} m",
        f"到達 {_jst(episode.started_at)} {episode.value_m:.2f} m、最高 {episode.peak_m:.2f} m",
    ]
    if episode.ended_at:
        lines.append(f"解除 {_jst(episode.ended_at)}")
    if crest is not None:
        lines.append(f"堤防天端まで {crest:.2f} m" if crest >= 0 else f"堤防天端を {-crest:.2f} m 超過")
    if not episode.verified:
        lines.append("未確認：品質の疑わしい値です。現地または隣の観測所で確かめてください。")
    verb = "reached" if event is Event.RAISED else "fell below"
    lines.append("")
    lines.append(
        f"{_DRILL_EN.get(status, '')}{station.name_en} ({station.river_name_en}) {verb} level {episode.level},"
        f" {english}, {episode.threshold_m:.2f} m. Automatic, provisional{'' if episode.verified else ', UNVERIFIED'}."
    )
    lines.append(f"Reached {episode.value_m:.2f} m at {started:%Y-%m-%d %H:%M} JST; highest {episode.peak_m:.2f} m.")
    return "\n".join(lines)


def _jst(at: datetime) -> str:
    return f"{at.astimezone(JST):%m月%d日 %H:%M}"
