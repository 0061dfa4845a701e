"""Tells people at once of what hides a flood and of services that fail, and again when it is over.

What stands is worked out from what is stored (kawamori.domain.notices), so that it is told whoever changed it and by
whichever way. Silences, thresholds and drills go to everybody whom an escalation of floods names and to the watchers;
services that fail to the equipment's people and the watchers.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from alerts.delivery import watchers
from alerts.messages import FIRST_LINE
from alerts.notifier import Roster
from kawamori.domain.notices import Notice
from kawamori.domain.people import Person, persons
from kawamori.errors import StorageBroken, StorageUnavailable
from kawamori.observe import log
from kawamori.settings import Settings
from kawamori.storage.audit import note
from kawamori.storage.database import Connection, translated
from kawamori.storage.notices import begin_notice, end_notice, notices_now, notices_told
from kawamori.storage.outbox import Draft, put_notifications

#: Seconds: dead for so long before it is told, and looks further apart than this begin anew.
_CONFIRMED_S, _GAP_S = 15.0, 8.0
_HEADS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "silenced": (("【通知停止】", "[SILENCED] "), ("【通知再開】", "[NO LONGER SILENCED] ")),
    "thresholds": (("【基準水位に注意】", "[THRESHOLDS] "), ("【基準水位：解消】", "[THRESHOLDS: WELL AGAIN] ")),
    "drill": (("【訓練扱い】", "[COUNTS AS DRILL] "), ("【訓練扱い終了】", "[NO LONGER A DRILL] ")),
    "service": (("【サービス障害】", "[SERVICE FAILS] "), ("【サービス復旧】", "[SERVICE IS BACK] ")),
}


def words(kind: str, text_ja: str, text_en: str, by: str | None, *, over: bool, language: str) -> tuple[str, str]:
    """Subject and body of what is told of a notice. Pure."""
    heads = _HEADS.get(kind, _HEADS["service"])[over]
    who = f"（{by}）" if by else ""
    ja, en = f"{heads[0]}{text_ja}{who}", f"{heads[1]}{text_en}{f' ({by})' if by else ''}"
    first, second = (ja, en) if language == "ja" else (en, ja)
    subject = first if len(first) <= FIRST_LINE else first[: FIRST_LINE - 1] + "…"
    return subject, f"{first}\n\n{second}"


def concerned(kind: str, roster: Roster) -> list[Person]:
    """Who is to know of a notice of that kind, beside the watchers. Pure."""
    topic = "equipment" if kind == "service" else "flood"
    named = [
        to for escalation in roster.escalations.values() if topic in escalation.topics
        for step in escalation.steps for to in step.to
    ]  # fmt: skip
    mailed = [id_ for id_ in roster.contacts if id_.startswith("mail:")]
    return persons([*dict.fromkeys(named), *mailed], roster.contacts, roster.now)


class Seen:
    """Since when a dead service has been seen dead without a gap: a database that was away heard nobody."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: dict[str, float] = {}
        self._looked_at = steady()

    def ripe(self, standing: Sequence[Notice]) -> list[Notice]:
        """What may be told now: a service that is dead only once that has been seen for a while without a gap."""
        now = self._steady()
        if now - self._looked_at > _GAP_S:
            self._since.clear()
        self._looked_at = now
        dead = {notice.key for notice in standing if notice.key.startswith("dead:")}
        self._since = {key: self._since.get(key, now) for key in dead}
        return [n for n in standing if n.key not in dead or now - self._since[n.key] >= _CONFIRMED_S]


async def tell_notices(connection: Connection, settings: Settings, roster: Roster, seen: Seen) -> None:
    """Put what is new or over into the outbox, in the caller's transaction.

    What breaks here keeps back nothing else; raises StorageUnavailable.
    """
    try:
        async with translated(), connection.transaction():
            await _tell(connection, settings, roster, seen)
    except StorageBroken as error:  # our own query: the savepoint is gone, the transaction is sound
        log().error("what everybody must know could not be read: report this", error=str(error))
    except StorageUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the root of a unit of work: the water is told of all the same
        log().error("what everybody must know could not be worked out: report this", exc_info=error)


async def _tell(connection: Connection, settings: Settings, roster: Roster, seen: Seen) -> None:
    standing, now = await notices_now(connection)
    told = await notices_told(connection)
    for notice in seen.ripe(standing):
        if notice.key in told:
            continue
        id_ = await begin_notice(connection, notice)
        if id_ is not None:
            log().warning("everybody must know: telling them", notice=notice.text_en, by=notice.by)
            await _put(connection, settings, roster, notice, id_, over=False)
    there = {notice.key for notice in standing}
    for key, one in told.items():
        if key in there:
            continue
        id_ = await end_notice(connection, key)
        if id_ is not None:
            over = Notice(
                kind=one.kind, key=key, since=one.since, until=now, text_ja=one.text_ja, text_en=one.text_en
            )  # fmt: skip
            log().info("over: telling them", notice=one.text_en)
            await _put(connection, settings, roster, over, id_, over=True)


async def _put(
    connection: Connection, settings: Settings, roster: Roster, notice: Notice, id_: int, *, over: bool
) -> None:  # fmt: skip
    key = f"notice-{id_}-{'over' if over else 'begun'}"
    drafts = [
        _draft(notice, key, person.id, person.language, address.channel, address.address, over)
        for person in concerned(notice.kind, roster) for address in person.addresses[:1]
    ]  # fmt: skip
    reached = {(draft.channel, draft.recipient) for draft in drafts}
    drafts += _to_watchers(notice, key, watchers(settings), reached, over)
    drafts.append(_draft(notice, key, None, "ja", "log", "log", over))
    await put_notifications(connection, drafts)
    await note(
        connection, subject="alerting", subject_id=notice.kind, event="notice_over" if over else "notice",
        detail={"text": notice.text_ja, "by": notice.by, "to": len(drafts) - 1},
    )  # fmt: skip


def _to_watchers(
    notice: Notice, key: str, names: Sequence[str], reached: Iterable[tuple[str, str]], over: bool
) -> list[Draft]:  # fmt: skip
    known, drafts = set(reached), []
    for watcher in names:
        channel, _, address = watcher.partition(":")
        if (channel, address) not in known:
            drafts.append(_draft(notice, key, None, "ja", channel, address, over))
    return drafts


def _draft(
    notice: Notice, key: str, contact: str | None, language: str, channel: str, address: str, over: bool
) -> Draft:  # fmt: skip
    subject, body = words(notice.kind, notice.text_ja, notice.text_en, notice.by, over=over, language=language)
    return Draft(
        contact_id=contact, channel=channel, recipient=address, event="notice", subject=subject, body=body,
        key=f"{key}-{contact or f'{channel}-{address}'}"[:400],
        payload={
            "alerts": [], "status": "actual", "language": language, "incident_id": None,
            "notice": {"kind": notice.kind, "key": notice.key, "over": over, "since": notice.since.isoformat()},
        },
    )  # fmt: skip
