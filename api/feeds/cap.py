"""Alerts as CAP 1.2 messages (OASIS, CAP-v1.2-os) and as an Atom feed of them. Pure.

What people were told becomes a message: the first an Alert, then Updates that refer to it (confirmed; over, with
responseType AllClear), or a Cancel (withdrawn). An acknowledgement and a higher peak are nobody's news.

| flood level | urgency | severity |
|---|---|---|
| 5 overflow | Immediate | Extreme |
| 4 flood danger | Immediate | Severe |
| 3 evacuation decision | Expected | Severe |
| 2 caution | Expected | Moderate |
| 1 standby | Future | Minor |
| 0 (the equipment) | Expected | Minor |
| any, over | Past | Minor |

Certainty is Observed where readings or a person have verified it, Likely for what is only expected, Possible while it
is unverified (未確認), Unlikely once it is withdrawn. Category is Met, for the equipment Infra. No message says what
only the Meteorological Agency may, and none orders anybody to leave: the response asked for is Monitor.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from kawamori.domain.registry import Station
from kawamori.domain.rules import KINDS
from kawamori.storage.alert_pages import Alert

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
ATOM = "http://www.w3.org/2005/Atom"
MEDIA_TYPE, FEED_TYPE = "application/cap+xml", "application/atom+xml"
#: A message that nobody replaced says nothing of the next day.
LASTS = timedelta(hours=24)
#: What is drawn round a station: the water's edge is near it, nothing more is known.
RADIUS_M = 500.0
_CORNERS = 12
_JST = timezone(timedelta(hours=9))
_STATUS = {"actual": "Actual", "exercise": "Exercise", "test": "Test"}
_DRILL = {"ja": {"exercise": "【訓練】", "test": "【試験】"}, "en": {"exercise": "[EXERCISE] ", "test": "[TEST] "}}
_BY_LEVEL = {
    5: ("Immediate", "Extreme"), 4: ("Immediate", "Severe"), 3: ("Expected", "Severe"), 2: ("Expected", "Moderate"),
    1: ("Future", "Minor"), 0: ("Expected", "Minor"),
}  # fmt: skip
#: XML 1.0 has no way to write these.
_IMPOSSIBLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Whose messages these are."""

    id: str
    name: Mapping[str, str]
    scope: str = "Restricted"
    web: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An alert, where it is, and what people were told of it, in order: event and time."""

    alert: Alert
    told: Sequence[tuple[str, datetime]]
    #: The flood level's name, Japanese and English.
    level_name: Mapping[str, str]
    river_name: Mapping[str, str] | None = None
    station: Station | None = None


def stamp(at: datetime) -> str:
    """A time as CAP wants it: with offset, without fraction, never Z."""
    return at.astimezone(_JST).replace(microsecond=0).isoformat()


def identifier(alert: int, number: int) -> str:
    """The same for ever, and unlike any other of this sender."""
    return f"kawamori.{alert}.{number}"


def message_type(told: Sequence[tuple[str, datetime]], number: int) -> str:
    """Alert, Update or Cancel: of the message of that number, from 1."""
    if not earlier(told, number):
        return "Alert"
    return "Cancel" if told[number - 1][0] == "withdrawn" else "Update"


def earlier(told: Sequence[tuple[str, datetime]], number: int) -> list[int]:
    """The numbers of the messages that this one refers to: all since the beginning, or since a Cancel."""
    ended = max((n for n, (event, _) in enumerate(told[: number - 1], 1) if event == "withdrawn"), default=0)
    return list(range(ended + 1, number))


def polygon(lat: float, lon: float) -> str:
    """A ring round a place, `lat,lon` pairs, closed."""
    metre_lat = 1 / 111_320
    metre_lon = metre_lat / max(0.01, math.cos(math.radians(lat)))
    corners = [
        (
            max(-90.0, min(90.0, lat + RADIUS_M * metre_lat * math.sin(2 * math.pi * n / _CORNERS))),
            max(-180.0, min(180.0, lon + RADIUS_M * metre_lon * math.cos(2 * math.pi * n / _CORNERS))),
        )
        for n in range(_CORNERS)
    ]
    return " ".join(f"{y:.5f},{x:.5f}" for y, x in [*corners, corners[0]])


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = _IMPOSSIBLE.sub("\ufffd", text)
    return child


def _written(root: ET.Element) -> bytes:
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def message(subject: Subject, number: int, sender: Sender) -> bytes:
    """The CAP message of that number, from 1; raises IndexError where there is none."""
    if not 1 <= number <= len(subject.told):
        raise IndexError(number)
    alert, (event, at) = subject.alert, subject.told[number - 1]
    root = ET.Element("alert", {"xmlns": NAMESPACE})
    _add(root, "identifier", identifier(alert.id, number))
    _add(root, "sender", sender.id)
    _add(root, "sent", stamp(at))
    _add(root, "status", _STATUS[alert.status])
    _add(root, "msgType", message_type(subject.told, number))
    _add(root, "scope", sender.scope)
    if sender.scope == "Restricted":
        _add(root, "restriction", "防災関係者限り / for disaster-response staff")
    if alert.status != "actual":
        _add(root, "note", "訓練・試験です。対応は不要です。 This is a drill or a test.")
    before = earlier(subject.told, number)
    if before:
        references = (f"{sender.id},{identifier(alert.id, n)},{stamp(subject.told[n - 1][1])}" for n in before)
        _add(root, "references", " ".join(references))
    for language in ("ja", "en"):
        _info(root, subject, number, sender, language, event)
    return _written(root)


def _verified(subject: Subject, number: int) -> bool:
    """Whether it was, when that message was written: what is confirmed later was not yet."""
    later = any(event == "confirmed" for event, _ in subject.told[number:])
    return subject.alert.verified and not later


def _certainty(subject: Subject, number: int, event: str) -> str:
    if event == "withdrawn":
        return "Unlikely"
    if not _verified(subject, number):
        return "Possible"
    return "Likely" if subject.alert.kind == "forecast" else "Observed"


def _info(root: ET.Element, subject: Subject, number: int, sender: Sender, language: str, event: str) -> None:
    alert, at = subject.alert, subject.told[number - 1][1]
    rule = KINDS.get(alert.kind)
    over = event in ("resolved", "withdrawn")
    urgency, severity = ("Past", "Minor") if over else _BY_LEVEL[alert.flood_level]
    info = ET.SubElement(root, "info")
    _add(info, "language", {"ja": "ja-JP", "en": "en-US"}[language])
    _add(info, "category", "Met" if rule is None or rule.topic == "flood" else "Infra")
    _add(info, "event", event_name(subject, language))
    _add(info, "responseType", "AllClear" if over else "Monitor")
    _add(info, "urgency", urgency)
    _add(info, "severity", severity)
    _add(info, "certainty", _certainty(subject, number, event))
    _add(info, "effective", stamp(at))
    _add(info, "onset", stamp(alert.started_at))
    _add(info, "expires", stamp(at + LASTS))
    _add(info, "senderName", sender.name[language])
    _add(info, "headline", headline(subject, number, language)[:160])
    _add(info, "description", _description(subject, number, language))
    if sender.web:
        _add(info, "web", sender.web)
    numbers = {"flood_level": alert.flood_level, "value_m": alert.value_m, "threshold_m": alert.threshold_m}
    for name, value in {**numbers, "kind": alert.kind, "station_id": alert.station}.items():
        if value is not None:
            parameter = ET.SubElement(info, "parameter")
            _add(parameter, "valueName", name)
            _add(parameter, "value", str(value))
    area = ET.SubElement(info, "area")
    _add(area, "areaDesc", place(subject, language))
    station = subject.station
    if station is not None and station.lat is not None and station.lon is not None:
        _add(area, "polygon", polygon(station.lat, station.lon))


def event_name(subject: Subject, language: str) -> str:
    """What happened, as the kind is called; a drill says so."""
    alert = subject.alert
    rule = KINDS.get(alert.kind)
    called = (rule and (rule.name_ja if language == "ja" else rule.name_en)) or alert.kind
    drill = _DRILL[language].get(alert.status, "")
    if not alert.flood_level:
        return f"{drill}{called}"
    name = subject.level_name[language]
    return f"{drill}{called}（L{alert.flood_level} {name}）" if language == "ja" else (
        f"{drill}{called} (L{alert.flood_level} {name})"
    )  # fmt: skip


def place(subject: Subject, language: str) -> str:
    """Where it is: river and station, else what it is about."""
    station, river = subject.station, subject.river_name
    if station is not None:
        ja = language == "ja"
        return f"{station.river_name_ja} {station.name_ja}" if ja else f"{station.name_en} ({station.river_name_en})"
    if river is not None:
        return river[language]
    return subject.alert.subject.partition(":")[2] or subject.alert.subject or {"ja": "全域", "en": "site"}[language]


def headline(subject: Subject, number: int, language: str) -> str:
    """One line: what, where, and how it stands."""
    event, ja = subject.told[number - 1][0], language == "ja"
    stands = {"resolved": ("解消", "over"), "withdrawn": ("取消", "withdrawn"), "confirmed": ("確認", "confirmed")}
    words = stands.get(event)
    if words is None and not _verified(subject, number):
        words = ("未確認", "unverified")
    name, where = event_name(subject, language), place(subject, language)
    if words is None:
        return f"{name} {where}" if ja else f"{name}: {where}"
    return f"{name} {where}（{words[0]}）" if ja else f"{name}: {where} ({words[1]})"


def _description(subject: Subject, number: int, language: str) -> str:
    alert, ja = subject.alert, language == "ja"
    lines = [headline(subject, number, language) + ("" if ja else ".")]
    if alert.value_m is not None and alert.threshold_m is not None:
        at = stamp(alert.started_at)
        lines.append(
            f"{at} に {alert.value_m:.2f} m（基準 {alert.threshold_m:.2f} m）。" if ja
            else f"{alert.value_m:.2f} m at {at} (threshold {alert.threshold_m:.2f} m)."
        )  # fmt: skip
    said = alert.detail.get("message")
    if isinstance(said, Mapping):
        lines.append(str(said.get(language) or said.get("ja") or ""))
    if alert.kind != "manual":
        lines.append("自動判定・暫定値です。" if ja else "Automatic and provisional.")
    return "\n".join(lines)


def feed(entries: Sequence[tuple[Subject, int]], sender: Sender, base: str, now: datetime, status: str) -> bytes:
    """An Atom feed (RFC 4287) of messages, newest first; each entry links to its CAP message."""
    root = ET.Element("feed", {"xmlns": ATOM})
    _add(root, "id", f"urn:uuid:{uuid5(NAMESPACE_URL, f'{sender.id}/{status}')}")
    drill = _DRILL["ja"].get(status, "")
    _add(root, "title", f"{drill}{sender.name['ja']} {sender.name['en']}")
    _add(root, "updated", stamp(max((s.told[n - 1][1] for s, n in entries), default=now)))
    _add(ET.SubElement(root, "author"), "name", sender.name["en"])
    here = f"{base}/api/v1/alerts.atom?status={status}"
    ET.SubElement(root, "link", {"rel": "self", "type": FEED_TYPE, "href": here})
    for subject, number in entries:
        entry = ET.SubElement(root, "entry")
        name = identifier(subject.alert.id, number)
        at = stamp(subject.told[number - 1][1])
        _add(entry, "id", f"urn:uuid:{uuid5(NAMESPACE_URL, f'{sender.id}/{name}')}")
        _add(entry, "title", headline(subject, number, "ja"))
        _add(entry, "updated", at)
        _add(entry, "published", at)
        _add(entry, "summary", headline(subject, number, "en"))
        href = f"{base}/api/v1/alerts/{subject.alert.id}/cap/{number}"
        ET.SubElement(entry, "link", {"rel": "alternate", "type": MEDIA_TYPE, "href": href})
    return _written(root)
