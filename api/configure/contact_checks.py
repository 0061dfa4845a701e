"""Contacts and escalations from what people send, and what is wrong with them. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, assert_never

import msgspec

from api.contract.problems import WrongField
from api.contract.requests import EscalationBody, GroupBody, Hours, PersonBody, RotaBody, ShiftBody
from api.contract.shapes import HIDDEN, shown_address
from kawamori.domain import people
from kawamori.domain.escalation import Escalation, Step
from kawamori.domain.people import Address, Contact, Group, Person, Rota, Shift, loop, members

_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s\\]*)?")
_MAIL = re.compile(r"[^\s@<>,;:\"\\()\[\]]{1,64}@[^\s@<>,;:\"\\()\[\]]{1,190}")
#: What an address must look like, by channel.
CHANNELS: dict[str, tuple[re.Pattern[str], str]] = {
    "smtp": (_MAIL, "must be an e-mail address"),
    "line": (re.compile(r"[A-Za-z0-9_-]{1,100}"), "must be the id of a LINE user, group or room"),
    "webhook": (_URL, "must be an address that begins with https:// or http://"),
    "slack": (_URL, "must be the address of an incoming webhook"),
    "teams": (_URL, "must be the address of a workflow"),
    "webpush": (re.compile(r"\{.*\}", re.DOTALL), "must be a push subscription as the browser gives it"),
    "log": (re.compile(r"[^\s]{1,100}"), "must be one word"),
}


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct):
    """What a browser gives of a push subscription (W3C Push API, PushSubscription.toJSON)."""

    endpoint: str
    keys: _Keys


def _address(place: int, body: Any, before: Iterable[Address]) -> Address:
    channel, address, field = body.channel, body.address, f"addresses.{place}"
    if channel not in CHANNELS:
        raise WrongField(f"{field}.channel", f"must be one of {', '.join(CHANNELS)}")
    for known in before:
        if known.channel == channel and address == shown_address(channel, known.address):
            return known  # a secret that was shown masked, and came back so
    pattern, wanted = CHANNELS[channel]
    if HIDDEN in address or not pattern.fullmatch(address):
        raise WrongField(f"{field}.address", wanted)
    if channel == "webpush":
        try:
            found = msgspec.json.decode(address, type=_Subscription)
        except msgspec.DecodeError:
            raise WrongField(f"{field}.address", wanted) from None
        if not _URL.fullmatch(found.endpoint):
            raise WrongField(f"{field}.address", wanted)
    return Address(channel=channel, address=address)


def _hours(body: Hours) -> people.Hours:
    return people.Hours(days=body.days, start=body.start.replace(tzinfo=None), end=body.end.replace(tzinfo=None))


def _shift(body: ShiftBody) -> Shift:
    return Shift(hours=_hours(body.hours), members=body.members)


def contact_of(id_: str, body: PersonBody | GroupBody | RotaBody, before: Contact | None) -> Contact:
    """The contact that is meant; raises WrongField. `before` is what it was, whose secrets may be kept."""
    if isinstance(body, PersonBody):
        known = before.addresses if isinstance(before, Person) else ()
        # of two secrets of one host the first shown is the first kept
        left, found = list(known), []
        for place, address in enumerate(body.addresses):
            found.append(_address(place, address, left))
            if found[-1] in left:
                left.remove(found[-1])
        return Person(
            id=id_, name=body.name, language=body.language, addresses=tuple(found), self_test=body.self_test
        )  # fmt: skip
    if isinstance(body, GroupBody):
        return Group(id=id_, name=body.name, members=body.members)
    if isinstance(body, RotaBody):
        return Rota(id=id_, name=body.name, time_zone=body.time_zone, shifts=tuple(map(_shift, body.shifts)))
    assert_never(body)


def _named(contact: Contact) -> Iterable[tuple[str, str]]:
    """Where in its body a contact names another, and which."""
    if isinstance(contact, Group):
        yield from ((f"members.{n}", id_) for n, id_ in enumerate(contact.members))
    elif isinstance(contact, Rota):
        for place, shift in enumerate(contact.shifts):
            yield from ((f"shifts.{place}.members.{n}", id_) for n, id_ in enumerate(shift.members))


def check_contact(contact: Contact, contacts: Mapping[str, Contact]) -> None:
    """Raise WrongField where it names somebody unknown, or itself through others."""
    everybody = {**contacts, contact.id: contact}
    for field, id_ in _named(contact):
        if id_ not in everybody:
            raise WrongField(field, f"no contact {id_}")
    way = loop({id_: members(one) for id_, one in everybody.items()})
    if way is not None:
        first = next((field for field, id_ in _named(contact) if id_ in way), "members")
        raise WrongField(first, f"leads back to itself: {' → '.join(way)}")


def users_of(id_: str, contacts: Mapping[str, Contact], escalations: Mapping[str, Escalation]) -> list[str]:
    """Whatever still names a contact, in words."""
    return [f"{kind_of(c)} {c.id}" for c in contacts.values() if id_ in members(c)] + [
        f"escalation {e.id}" for e in escalations.values() if any(id_ in step.to for step in e.steps)
    ]


def escalation_of(id_: str, body: EscalationBody) -> Escalation:
    """The escalation that is meant; raises WrongField where it goes on to itself."""
    if body.then == id_:
        raise WrongField("then", f"leads back to itself: {id_} → {id_}")
    steps = tuple(Step(to=step.to, wait=timedelta(seconds=step.wait_s)) for step in body.steps)
    return Escalation(
        id=id_, name=body.name, river=body.river_id, min_level=body.min_level, topics=body.topics, steps=steps,
        repeat=body.repeat, then=body.then,
    )  # fmt: skip


def check_escalation(
    escalation: Escalation, escalations: Mapping[str, Escalation], contacts: Mapping[str, Contact],
    rivers: Iterable[str],
) -> None:  # fmt: skip
    """Raise WrongField where it names what does not exist, or leads back to itself."""
    if escalation.river is not None and escalation.river not in set(rivers):
        raise WrongField("river_id", "no river of this id")
    for place, step in enumerate(escalation.steps):
        for id_ in step.to:
            if id_ not in contacts:
                raise WrongField(f"steps.{place}.to", f"no contact {id_}")
    everything = {**escalations, escalation.id: escalation}
    if escalation.then is not None and escalation.then not in everything:
        raise WrongField("then", f"no escalation {escalation.then}")
    way = loop({id_: () if e.then is None else (e.then,) for id_, e in everything.items()})
    if way is not None:
        raise WrongField("then", f"leads back to itself: {' → '.join(way)}")


def kind_of(contact: Contact) -> str:
    """person, group or rota."""
    return "person" if isinstance(contact, Person) else "group" if isinstance(contact, Group) else "rota"


def contact_shape(contact: Contact) -> dict[str, Any]:
    """A contact as people with a token see it."""
    body: dict[str, Any] = {"kind": kind_of(contact), **msgspec.to_builtins(contact)}
    for address in body.get("addresses", ()):
        address["address"] = shown_address(address["channel"], address["address"])
    return body


def escalation_shape(found: Escalation) -> dict[str, Any]:
    """An escalation, waiting times in seconds."""
    return {
        "id": found.id,
        "name": found.name,
        "river_id": found.river,
        "min_level": found.min_level,
        "topics": found.topics,
        "steps": [{"to": step.to, "wait_s": step.wait.total_seconds()} for step in found.steps],
        "repeat": found.repeat,
        "then": found.then,
    }
