"""Holds what waits in the outbox against the alerts as they stand when it leaves (kawamori.domain.standing).

In the transaction that claims the messages: what is no longer so is given up as superseded, or its words are changed;
two messages to one person that say different things of one alert never are under way at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alerts.messages import AlertEvent, Links, Message, Names, compose
from kawamori.domain.reading import RiverId, StationId
from kawamori.domain.registry import Registry, Station
from kawamori.domain.standing import EVENT_OF, Claim, Heard, LastWord, Verdict, claim_of, claim_of_state, still_true
from kawamori.errors import KawamoriError
from kawamori.observe import log
from kawamori.storage import alerts as record
from kawamori.storage import evaluation, outbox
from kawamori.storage.alerts import Alert
from kawamori.storage.database import Connection, translated
from kawamori.storage.outbox import Notification, Tried

#: What the engine knows for composing: stations, and the levels' names.
Knows = Callable[[], tuple[Registry, Names]]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a message says of one alert: the last where it says several things."""

    alert: int
    event: str
    plain: Mapping[str, Any]


def entries_of(payload: Mapping[str, Any]) -> list[_Entry]:
    """What a message says of each alert, in its order. Pure."""
    found: dict[int, _Entry] = {}
    for plain in payload.get("alerts") or ():
        if isinstance(plain, dict) and isinstance(plain.get("id"), int):
            found[plain["id"]] = _Entry(plain["id"], str(plain.get("event") or ""), plain)
    return list(found.values())


def apart(
    claimed: Sequence[Notification], under_way: Mapping[tuple[str, int], Mapping[int, Claim]]
) -> set[int]:  # fmt: skip
    """The claimed messages that must wait, because another under way says something else of an alert to the same
    person; of those claimed together the oldest goes first. Pure.

    `under_way`: of each person and alert the messages that somebody is sending, and what each says.
    """
    taken = {key: dict(found) for key, found in under_way.items()}
    waiting: set[int] = set()
    for one in sorted(claimed, key=lambda n: n.id):
        says = {(one.contact_id or "", e.alert): claim_of(e.event) for e in entries_of(one.payload)}
        if any(claim is not other for key, claim in says.items() for other in taken.get(key, {}).values()):
            waiting.add(one.id)
            continue
        for key, claim in says.items():
            taken.setdefault(key, {})[one.id] = claim
    return waiting


async def hold_against(
    connection: Connection, claimed: Sequence[Notification], knows: Knows
) -> list[Notification]:  # fmt: skip
    """Those of the claimed messages that are to be sent now, in the words that are true now."""
    judged = [one for one in claimed if one.contact_id is not None and entries_of(one.payload)]
    if not judged:
        return list(claimed)
    under_way: dict[tuple[str, int], dict[int, Claim]] = {}
    for id_, contact, alert, event in await outbox.under_way(connection, judged):
        under_way.setdefault((contact, alert), {})[id_] = claim_of(event)
    waiting = apart(judged, under_way)
    await outbox.put_back(connection, waiting)
    asked = {entry.alert for one in judged for entry in entries_of(one.payload)}
    standing = await record.alerts_now(connection, asked)
    tried = await outbox.tried_words(connection, [n for n in judged if _is_open(n, standing)], asked)
    ready: dict[int, Notification] = {}
    for one in judged:
        if one.id in waiting:
            continue
        try:
            async with translated():
                left = await _held(connection, one, standing, tried, knows)
        except KawamoriError:
            raise
        except Exception as error:  # noqa: BLE001 - the root of one message: it is sent as it was made
            log().error(
                "a message could not be held against its alert: report this", notification=one.id, exc_info=error
            )
            left = one
        if left is not None:
            ready[one.id] = left
    skipped = {one.id for one in judged} - ready.keys()
    return [ready.get(one.id, one) for one in claimed if one.id not in skipped]


def _is_open(one: Notification, standing: Mapping[int, Alert | None]) -> bool:
    """Whether what the person was told before matters: not for the first attempt at what lasts."""
    return (
        one.attempts > 0
        or one.was_claimed
        or any(
            claim_of(e.event) is not Claim.LASTS or claim_of_state(_state(standing.get(e.alert))) is not Claim.LASTS
            for e in entries_of(one.payload)
        )
    )


def _state(alert: Alert | None) -> str | None:
    return None if alert is None else alert.state


Words = Mapping[tuple[str, int], Sequence[Tried]]


def heard(tried: Sequence[Tried], one: Notification) -> Heard:
    """What the person of a message may have heard of an alert until now. Pure."""
    others = [t for t in tried if t.message != one.id]
    mine = [t.attempt for t in tried if t.message == one.id and t.attempt is not None]
    anything = bool(mine) or one.was_claimed or any(t.attempt is not None or t.unknown for t in others)
    if one.was_claimed or any(t.unknown for t in others):
        return Heard(anything=anything)
    got_through = [t for t in others if t.delivered and t.attempt is not None]
    last = max(got_through, key=lambda t: t.attempt or 0, default=None)
    perhaps = max([*mine, *(t.attempt for t in others if t.attempt is not None)], default=0)
    if last is None or (last.attempt or 0) < perhaps:
        return Heard(anything=anything)
    return Heard(last=LastWord(claim_of(last.event), newer=last.message > one.id), anything=True)


async def _held(
    connection: Connection, one: Notification, standing: Mapping[int, Alert | None], words: Words, knows: Knows
) -> Notification | None:
    """The message as it may leave; None where it may not."""
    entries = entries_of(one.payload)
    person = one.contact_id or ""
    verdicts = {
        e.alert: still_true(e.event, _state(standing.get(e.alert)), heard(words.get((person, e.alert), ()), one))
        for e in entries
    }
    if all(verdict is Verdict.SEND for verdict, _ in verdicts.values()):
        return one
    left = [e for e in entries if verdicts[e.alert][0] is not Verdict.DROP]
    why = "; ".join(dict.fromkeys(reason for _, reason in verdicts.values() if reason))
    if not left:
        log().info("a message is not sent: it is no longer so", notification=one.id, why=why)
        await outbox.supersede(connection, one.id, why)
        return None
    registry, names = knows()
    told = []
    for entry in left:
        alert = standing.get(entry.alert)
        claim = claim_of_state(_state(alert))
        if alert is None:  # gone from the record: what the message itself holds says where it was
            alert = record.alert_as_said(entry.plain)
        event = entry.event if verdicts[entry.alert][0] is Verdict.SEND else EVENT_OF[claim]
        told.append(AlertEvent(event=event, alert=alert, station=_station(registry, alert, entry.plain)))
    message = reworded(one, told, names or await evaluation.level_names(connection))
    event = one.event if one.event == "digest" else told[0].event
    log().info("a message is sent in other words: it is no longer so", notification=one.id, why=why)
    await outbox.reword(connection, one.id, event, message.subject, message.body, message.payload, why)
    return replace(one, event=event, subject=message.subject, body=message.body, payload=message.payload)


def reworded(one: Notification, told: Sequence[AlertEvent], names: Names) -> Message:
    """The same message in words that say how it is now. Pure."""
    payload = one.payload
    links = Links(page=payload.get("link"), acknowledge=payload.get("acknowledge_link"))
    language = "en" if payload.get("language") == "en" else "ja"
    return compose(told, names, language, links, one.incident_id)


def _station(registry: Registry, alert: Alert, plain: Mapping[str, Any]) -> Station | None:
    """The alert's station; where this process has not read the registry, by the names in the message."""
    if alert.station is None:
        return None
    if (known := registry.stations.get(alert.station)) is not None:
        return known
    name, river = plain.get("station") or {}, plain.get("river") or {}
    if not name:
        return None
    return Station(
        id=StationId(alert.station), name_ja=str(name.get("ja")), name_en=str(name.get("en")),
        river=RiverId(alert.river or ""), river_name_ja=str(river.get("ja") or ""),
        river_name_en=str(river.get("en") or ""),
    )  # fmt: skip
