"""What keeps people from being told of a flood although everything runs, and everybody must see. Pure.

A silence of the whole site, a threshold at 999 m, a rule that waits a day: each is one act of one person, and none of
them makes a sound by itself. So it is told when it begins and when it ends, and stands on every screen meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from kawamori.domain.silence import Silence
from kawamori.domain.text import one_line

#: Flood levels from here on mean that people leave their houses (3: 避難判断).
HIGH = 3
#: A maintenance window ends the same day.
LONG = timedelta(hours=24)
#: Silences that follow each other within this are one.
_JOINED = timedelta(hours=1)
#: A threshold this far above the higher levee crest is never reached: the water is in the streets before.
ABOVE_CREST_M = 0.5
#: A threshold is raised "by a lot" when it is by this, or to where the next level was; against the lowest that was in
#: force within `LOOK_BACK`.
RAISED_M = 1.0
LOOK_BACK = timedelta(days=7)
#: A level rule that waits for longer than this tells of a flood when it is over.
WAITS = timedelta(minutes=30)
READINGS = 10
_JST = timezone(timedelta(hours=9), "JST")
_LONGEST_REASON = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One such thing; `key` is the same for as long as it is the same."""

    #: silenced, thresholds, drill, service.
    kind: str
    key: str
    since: datetime
    #: None: until a person changes it.
    until: datetime | None = None
    by: str | None = None
    text_ja: str
    text_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Height:
    """A threshold in force now, or gone, beside what was in force lately."""

    station: str
    name_ja: str
    name_en: str
    level: int
    #: None: the level has no threshold any more.
    value_m: float | None
    since: datetime
    #: The lowest that was in force within `LOOK_BACK`, and that of the next level above.
    lowest_m: float | None = None
    next_lowest_m: float | None = None
    #: The higher of the two levee crests.
    crest_m: float | None = None
    #: Whether it is the highest level that the station has or had.
    highest: bool = False
    #: How long, and in how many readings, the water must stay above it.
    hold: timedelta = timedelta(0)
    consecutive: int = 1
    by: str | None = None


def _clock(at: datetime) -> str:
    return f"{at.astimezone(_JST):%Y-%m-%d %H:%M}"


def _reason(text: str) -> str:
    text = one_line(text).strip()
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def covers_floods(silence: Silence) -> bool:
    """Whether it keeps a measured flood of level 3 or more from being told."""
    return silence.alert is None and silence.up_to_level >= HIGH and (silence.kinds is None or "level" in silence.kinds)


def _about(silence: Silence, station: str, river: str) -> bool:
    return silence.station in (None, station) and silence.river in (None, river)


def _in_a_row(silences: Iterable[Silence]) -> list[list[Silence]]:
    """The silences of one station, those together that overlap or follow each other."""
    rows: list[list[Silence]] = []
    end = None
    for silence in sorted(silences, key=lambda s: s.starts_at):
        if end is None or silence.starts_at > end + _JOINED:
            rows.append([])
            end = silence.ends_at
        rows[-1].append(silence)
        end = max(end, silence.ends_at)
    return rows


def hiding(silences: Iterable[Silence], stations: Sequence[tuple[str, str]]) -> list[Silence]:
    """The silences that hide floods of level 3 or more of the whole site, or for more than 24 hours.

    Several that together leave no station out are the whole site; several of a station that follow each other are one.
    `stations` are pairs of a station and its river.
    """
    high = [s for s in silences if covers_floods(s)]
    named = {s.id for s in high if (s.station is None and s.river is None) or s.ends_at - s.starts_at > LONG}
    for station in stations:
        for row in _in_a_row(s for s in high if _about(s, *station)):
            if max(s.ends_at for s in row) - row[0].starts_at > LONG:
                named |= {s.id for s in row}
    for silence in high:
        meanwhile = [s for s in high if s.starts_at < silence.ends_at and silence.starts_at < s.ends_at]
        if stations and all(any(_about(s, *station) for s in meanwhile) for station in stations):
            named.add(silence.id)
    return [s for s in high if s.id in named]


def of_silences(silences: Iterable[Silence], stations: Sequence[tuple[str, str]]) -> list[Notice]:
    """What stands about silences, those too that are still to begin."""
    notices = []
    for one in hiding(silences, stations):
        where_ja = one.station or one.river or "全域"
        where_en = one.station or one.river or "the whole site"
        weekly_ja, weekly_en = ("（毎週の時間帯）", " at its weekly hours") if one.weekly else ("", "")
        notices.append(
            Notice(
                kind="silenced", key=f"silence:{one.id}", since=one.starts_at, until=one.ends_at, by=one.author,
                text_ja=f"通知停止中：{where_ja} レベル{one.up_to_level}まで{weekly_ja}、{_clock(one.starts_at)} から"
                f" {_clock(one.ends_at)} まで。理由：{_reason(one.reason)}",
                text_en=f"Silenced: {where_en}, floods up to level {one.up_to_level}{weekly_en},"
                f" {_clock(one.starts_at)} to {_clock(one.ends_at)} JST. Reason: {_reason(one.reason)}",
            )
        )  # fmt: skip
    return notices


def _matters(height: Height) -> bool:
    return height.level >= HIGH or height.highest


def out_of_reach(height: Height) -> tuple[str, str] | None:
    """Why the water will not reach a threshold in time, in both languages; None where it will."""
    if not _matters(height):
        return None
    was = height.lowest_m
    if height.value_m is None:
        return None if was is None else (f"{was:g} m から削除", f"was {was:g} m and is gone")
    value = height.value_m
    if height.crest_m is not None and value > height.crest_m + ABOVE_CREST_M:
        return (
            f"{value:g} m は堤防天端（{height.crest_m:g} m）より高い",
            f"{value:g} m is above the levee crest ({height.crest_m:g} m)",
        )
    next_ = height.next_lowest_m
    if was is not None and value > was and (value - was >= RAISED_M or (next_ is not None and value >= next_)):
        return f"{was:g} m から {value:g} m に引き上げ", f"raised from {was:g} m to {value:g} m"
    if height.hold > WAITS or height.consecutive > READINGS:
        minutes = height.hold.total_seconds() / 60
        return (
            f"到達と判定するまで {minutes:g} 分・{height.consecutive} 回待つ設定",
            f"waits {minutes:g} minutes and {height.consecutive} readings before it counts",
        )
    return None


def of_thresholds(heights: Iterable[Height]) -> list[Notice]:
    """What stands about thresholds, one notice a station."""
    by_station: dict[str, list[tuple[Height, tuple[str, str]]]] = defaultdict(list)
    for height in heights:
        why = out_of_reach(height)
        if why is not None:
            by_station[height.station].append((height, why))
    notices = []
    for station, found in by_station.items():
        found.sort(key=lambda pair: pair[0].level)
        name_ja, name_en = one_line(found[0][0].name_ja), one_line(found[0][0].name_en)
        ja = "、".join(f"レベル{height.level} {why[0]}" for height, why in found)
        en = "; ".join(f"level {height.level} {why[1]}" for height, why in found)
        by = next((height.by for height, _ in found if height.by), None)
        notices.append(
            Notice(
                kind="thresholds", key=f"thresholds:{station}:" + ",".join(f"{h.level}={h.value_m}" for h, _ in found),
                since=max(height.since for height, _ in found), by=by,
                text_ja=f"基準水位に届かないおそれ：{name_ja} {ja}",
                text_en=f"Thresholds out of reach: {name_en}, {en}",
            )
        )  # fmt: skip
    return notices


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRule:
    """A rule by which real crossings count as a drill."""

    id: int
    where: str | None
    status: str
    since: datetime
    by: str


def of_drills(rules: Iterable[DrillRule]) -> list[Notice]:
    """What stands about rules that make a drill of what is measured: sirens stay silent for it."""
    return [
        Notice(
            kind="drill", key=f"drill:{rule.id}", since=rule.since, by=rule.by,
            text_ja=f"{rule.where or '全域'}の基準水位超過は{'訓練' if rule.status == 'exercise' else '試験'}として"
            "扱われています",
            text_en=f"Thresholds reached at {rule.where or 'the whole site'} count as {rule.status}",
        )
        for rule in rules
    ]  # fmt: skip


#: A service that started so often within five minutes, over so long at least, is in a crash loop while it goes on.
LOOP_STARTS = 5
LOOP_SPAN = timedelta(seconds=10)
LOOP_ENDS = timedelta(seconds=60)
#: An ingest that has said nothing for so long is dead: it speaks every 5 s, and a restart takes less than this.
DEAD_AFTER = timedelta(seconds=30)
_CALLED = {
    "ingest": ("取り込み（ingest）", "ingest"), "alerts": ("判定・通知（alerts）", "alerts"),
    "api": ("画面（api）", "api"), "gateway": ("中継器（gateway）", "gateway"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """How often the processes of a service started within the last five minutes."""

    service: str
    count: int
    first: datetime
    last: datetime
    #: Processes that say that they are there; 0 where they do not say so at all.
    alive: int = 0


def is_looping(starts: Starts, now: datetime) -> bool:
    """Whether a service dies and starts again and again: several workers that start once each do not."""
    return (
        starts.count >= LOOP_STARTS
        and starts.count > 3 * max(starts.alive, 1)
        and starts.last - starts.first >= LOOP_SPAN
        and now - starts.last <= LOOP_ENDS
    )


def of_services(starts: Iterable[Starts], ingest_seen: datetime | None, now: datetime) -> list[Notice]:
    """What stands about the services themselves; `ingest_seen`: when any ingest last said that it is there."""
    notices = []
    for one in starts:
        if not is_looping(one, now):
            continue
        ja, en = _CALLED.get(one.service, (one.service, one.service))
        seconds = max(1, round((now - one.first).total_seconds()))
        notices.append(
            Notice(
                kind="service", key=f"restarting:{one.service}", since=one.first,
                text_ja=f"{ja}が直近 {seconds} 秒に {one.count} 回起動し直しています。動いていないのはこのサービスで、"
                "センサーや中継器ではありません",
                text_en=f"{en} has started {one.count} times in the last {seconds} s: it is this service that fails,"
                " not the sensors or gateways",
            )
        )  # fmt: skip
    looping = any(n.key == "restarting:ingest" for n in notices)
    if ingest_seen is not None and now - ingest_seen > DEAD_AFTER and not looping:
        ja, en = _CALLED["ingest"]
        notices.append(
            Notice(
                kind="service", key="dead:ingest", since=ingest_seen,
                text_ja=f"{ja}が {_clock(ingest_seen)} から動いていません。測定値は中継器に留まり、判定されていません",
                text_en=f"{en} has not been running since {_clock(ingest_seen)} JST: what is measured waits at the"
                " gateways and is not judged",
            )
        )  # fmt: skip
    return notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """What a gateway could not deliver and has set aside on its disk."""

    gateway: str
    rows: int
    since: datetime


def of_set_aside(gateways: Iterable[Undelivered]) -> list[Notice]:
    """What stands about readings that only a person can free: their gateway keeps them and sends them no more."""
    return [
        Notice(
            kind="service", key=f"set-aside:{one.gateway}", since=one.since,
            text_ja=f"中継器 {one.gateway} に送れない行が {one.rows} 件あり、中継器に保管されています。"
            "kawamori journal で確認してください",
            text_en=f"Gateway {one.gateway} keeps {one.rows} rows that could not be delivered: look at them there with"
            " kawamori journal",
        )
        for one in gateways
    ]  # fmt: skip


#: What a notice means for whether people would be told.
_WHY = {"silenced": "silenced", "thresholds": "thresholds"}


def impairs(notice: Notice, now: datetime) -> str | None:
    """The word for why people would not be told because of it; None where they would."""
    if notice.kind == "service":
        return {"dead": "no_ingest", "restarting": "restarting"}.get(notice.key.partition(":")[0])
    return _WHY.get(notice.kind) if notice.since <= now else None
