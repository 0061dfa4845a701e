"""The page behind the link in a message: one incident, one button, no script, no login.

Looking changes nothing: mail scanners look at every link. Only the button does, and only up to what the message told.
"""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Response

from api import html
from api.answer.alerts import acknowledge_alerts, committed
from api.dependencies import Dependencies, Using
from api.feeds import cap
from api.feeds.cap import Subject
from api.feeds.chronology import JST
from api.feeds.routes import subject_of
from kawamori.domain.links import Link, verify
from kawamori.domain.people import Contact, Person
from kawamori.storage import actions, people
from kawamori.storage.alert_pages import alerts_by_id
from kawamori.storage.database import Connection

_WORDS = {
    "ja": {
        "title": "アラートの確認", "button": "確認した", "done": "すべて確認済みです。", "by": "確認",
        "as": "として記録されます。",
        "more": "このメッセージの後に新しいアラートがあります。画面または新しいメッセージで見てください。",
        "what": "確認するアラート", "console": "画面を開く", "bad": "このリンクは使えません",
        "why": "期限（48時間）が切れたか、変更されたか、宛先が登録から外されました。画面から確認してください。",
        "nothing": "このアラートは取り下げられました。",
    },
    "en": {
        "title": "Acknowledge alerts", "button": "I have seen this", "done": "All acknowledged.",
        "by": "acknowledged by",
        "as": "is written down as the name.",
        "more": "There are newer alerts than this message: see the console or the newer message.",
        "what": "What you acknowledge", "console": "Open the console", "bad": "This link does not work",
        "why": "It has expired (48 hours), was changed, or you are no longer a contact. Use the console.",
        "nothing": "These alerts are gone.",
    },
}  # fmt: skip
_DRILL = {"exercise": "【訓練】EXERCISE", "test": "【試験】TEST"}
_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a link that works is about."""

    link: Link
    name: str
    language: str


class NotGood(Exception):
    """A link that works no more, or never did."""


def name_of(link: Link, contacts: dict[str, Contact]) -> tuple[str, str]:
    """Under whose name it is written down, and their language; raises NotGood for whoever is no contact any more."""
    if link.contact.startswith("mail:"):  # named in the settings; an address is nobody else's to read
        return f"{link.contact[5:].partition('@')[0]}（メール）", "ja"
    found = contacts.get(link.contact)
    if found is None:
        raise NotGood
    return found.name, found.language if isinstance(found, Person) else "ja"


def _line(subject: Subject, language: str) -> str:
    alert = subject.alert
    parts = [cap.event_name(subject, language), cap.place(subject, language)]
    if alert.value_m is not None and alert.threshold_m is not None:
        parts.append(f"{alert.value_m:.2f} m")
    parts.append(f"{alert.started_at.astimezone(JST):%m/%d %H:%M}")
    if not alert.verified:
        parts.append("未確認" if language == "ja" else "unverified")
    if alert.acknowledged_at is not None:
        words = _WORDS[language]["by"]
        parts.append(f"— {words} {alert.acknowledged_by} {alert.acknowledged_at.astimezone(JST):%H:%M}")
    return " ".join(parts)


def page(asked: Asked, about: list[Subject], *, newer: bool) -> str:
    """What the holder of a link sees."""
    drills = sorted({_DRILL[s.alert.status] for s in about if s.alert.status in _DRILL})
    return html.render(
        "acknowledge.html",
        language=asked.language,
        words=_WORDS[asked.language],
        drills=" ".join(drills),
        lines=[_line(subject, asked.language) for subject in about],
        waiting=any(subject.alert.acknowledged_at is None for subject in about),
        name=asked.name,
        newer=newer,
    )


def refusal() -> str:
    """What somebody with a link that does not work sees."""
    return html.render("acknowledge_refused.html", words=_WORDS)


router = APIRouter(include_in_schema=False)


async def _asked(using: Dependencies, connection: Connection, token: str) -> Asked:
    try:
        link = verify(await actions.link_secret(connection), token, using.clock())
    except ValueError:
        raise NotGood from None
    name, language = name_of(link, await people.contacts(connection))
    return Asked(link=link, name=name, language=language)


def _refused() -> Response:
    return Response(refusal(), HTTPStatus.FORBIDDEN, _HEADERS, "text/html; charset=utf-8")


@router.api_route("/acknowledge/{token}", methods=["GET", "HEAD"])
async def look(using: Using, token: str) -> Response:
    """What the link is about. Changes nothing."""
    directory = await using.directory.get()
    async with using.database.transaction() as connection:
        try:
            who = await _asked(using, connection, token)
        except NotGood:
            return _refused()
        ids = await actions.alerts_of_incident(connection, who.link.incident)
        told = [id_ for id_ in ids if id_ <= who.link.up_to_alert]
        alerts = await alerts_by_id(connection, told, using.clock())
    newer = len(told) < len(ids)
    about = [subject_of(alert, [], directory) for alert in alerts]
    return Response(page(who, about, newer=newer), headers=_HEADERS, media_type="text/html; charset=utf-8")


@router.post("/acknowledge/{token}")
async def press(using: Using, token: str) -> Response:
    """Acknowledge what the message told of, and show that it was done."""

    async def work(connection: Connection) -> None:
        who = await _asked(using, connection, token)
        ids = await actions.alerts_to_acknowledge(connection, who.link.incident, who.link.up_to_alert)
        await acknowledge_alerts(connection, ids, who.name, None, by="link")

    try:
        await committed(using.database, work)
    except NotGood:
        return _refused()
    return Response(status_code=HTTPStatus.SEE_OTHER, headers={**_HEADERS, "Location": f"/acknowledge/{token}"})
