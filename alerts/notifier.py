"""From what is to be told to the outbox: whom, in how many messages, and who next when nobody answers.

Everything happens in the transaction of whoever calls, so that state and outbox change together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alerts.messages import AlertEvent, Links, Names, compose, record_of
from alerts.paging import WINDOW, Audience, Event, Lately, bundles
from kawamori.domain.escalation import Escalation, Position, after, choose
from kawamori.domain.links import sign
from kawamori.domain.people import Address, Contact, Person, persons
from kawamori.domain.registry import Registry
from kawamori.domain.rules import kind_of
from kawamori.domain.silence import Silence, silenced
from kawamori.domain.standing import Claim, claim_of, claim_of_state
from kawamori.errors import KawamoriError
from kawamori.observe import log
from kawamori.settings import Settings
from kawamori.storage import actions, announcements, audit, evaluation, people
from kawamori.storage import incidents as incident_rows
from kawamori.storage.alerts import Alert
from kawamori.storage.announcements import Announcement
from kawamori.storage.database import Connection, translated
from kawamori.storage.incidents import Incident, Sent
from kawamori.storage.outbox import Draft, put_notifications

#: How long an acknowledge link works.
_LINK_LASTS = timedelta(hours=48)
#: A silence is looked at again so soon when only it holds an escalation back.
_SOON = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is there to be told, as of one moment."""

    contacts: Mapping[str, Contact]
    escalations: Mapping[str, Escalation]
    now: datetime

    def reach(self, position: Position | None) -> tuple[Position | None, list[Person]]:
        """The persons at that position of an escalation, or at the next where somebody is on call."""
        for _ in range(1000):
            if position is None:
                return None, []
            escalation = self.escalations.get(position.escalation)
            if escalation is None:
                return None, []
            # a step that is there no more has nobody: somebody shortened the chain while it was gone through
            to = escalation.steps[position.step].to if position.step < len(escalation.steps) else ()
            found = persons(to, self.contacts, self.now)
            if any(person.addresses for person in found):
                return position, found
            position = after(self.escalations, position)
        return None, []

    def next_at(self, position: Position) -> datetime:
        """When to go on from there."""
        return self.now + self.escalations[position.escalation].steps[position.step].wait


def filter_silenced(
    waiting: Sequence[Announcement], silences: Iterable[Silence], now: datetime
) -> tuple[list[Announcement], dict[str, list[Announcement]]]:
    """What may be told now, and why the rest is not to be told any more. Pure.

    A raise that is silenced goes on waiting.
    What waits is held against the alert as it stands: an end is not told of what lasts again, and nothing of what was
    withdrawn before anybody was told of it.
    """
    ready: list[Announcement] = []
    dropped: dict[str, list[Announcement]] = {}
    silences = list(silences)
    for one in waiting:
        alert = one.alert
        quiet = silenced(
            silences, now, alert=alert.id, kind=alert.kind, station=alert.station, river=alert.river, level=alert.level
        )
        is_ = claim_of_state(alert.state)
        if claim_of(one.event) is not Claim.LASTS and is_ is Claim.LASTS:
            dropped.setdefault("the alert lasts again", []).append(one)
        elif is_ is Claim.NEVER_WAS and alert.incident is None:
            dropped.setdefault("withdrawn before anything was told of it", []).append(one)
        elif quiet is None:
            ready.append(one)
        elif one.event != Event.RAISED or alert.state in ("resolved", "withdrawn"):
            dropped.setdefault("silenced", []).append(one)
    return ready, dropped


def lately_of(sent: Iterable[Sent]) -> Lately:
    """What every person was sent lately, by incident and by topic. Pure."""
    counts: dict[int, tuple[int, datetime]] = {}
    totals: dict[tuple[str, str], int] = {}
    together: dict[tuple[str, str], datetime] = {}
    for one in sent:
        key = (one.contact, one.topic)
        totals[key] = totals.get(key, 0) + one.count
        if one.together_at is not None:
            together[key] = max(one.together_at, together.get(key, one.together_at))
        if one.incident is not None:
            known = counts.get(one.incident, (0, one.last))
            counts[one.incident] = (max(known[0], one.count), max(known[1], one.last))
    return Lately(incidents=counts, sent=totals, together_at=together)


class Notifier:
    """Puts messages into the outbox."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings.alerts
        self._clock = clock
        self.names: Names = {}
        self._unheard = False

    async def tell(self, connection: Connection, registry: Registry) -> None:
        """Put what is new into the log, and into the outbox what may be told now."""
        await self._log(connection, registry)
        waiting = await announcements.announcements_to_tell(connection)
        if not waiting:
            return
        now = self._clock()
        silences = await people.silences(connection, now)
        ready, dropped = filter_silenced(waiting, silences.values(), now)
        for why, those in dropped.items():
            await announcements.mark_told(connection, [w.id for w in those], why)
        if not ready:
            return
        incidents, pairs = await self._incidents_of(connection, ready, now)
        lately = lately_of(await incident_rows.sent_since(connection, now - WINDOW))
        gathering = [i.id for i in incidents.values() if i.topic == "equipment"]
        roster = await self.roster(connection, now)
        before = await incident_rows.told_persons(connection, incidents)
        audiences = {
            id_: self._audience(incident, [w for i, w in pairs if i == id_], roster, before.get(id_, []))
            for id_, incident in incidents.items()
        }
        for bundle in bundles(pairs, lately, gathering, now, audiences):
            try:
                async with translated():
                    await self._send(connection, registry, bundle, incidents, roster, before)
            except KawamoriError:
                raise
            except Exception as error:  # noqa: BLE001 - the root of one message: the others go out, it is tried again
                log().error("a message could not be made: report this", alert=bundle[0][1].alert.id, exc_info=error)
                continue
            await announcements.mark_told(connection, [w.id for _, w in bundle])

    def _audience(
        self, incident: Incident, news: Sequence[Announcement], roster: Roster, before: Sequence[str]
    ) -> Audience:
        """Who would be told of this news, as far as can be said without moving the escalation."""
        found = {p.id for p in persons(before, roster.contacts, roster.now)}
        raised = [w.alert.level for w in news if w.event == Event.RAISED]
        if raised:
            escalation = choose(roster.escalations, topic=incident.topic, river=incident.river, level=max(raised))
            first = [] if escalation is None else roster.reach(Position(escalation=escalation.id))[1]
            found |= {p.id for p in first or self._everybody(roster)}
        return Audience(topic=incident.topic, persons=frozenset(found))

    async def _log(self, connection: Connection, registry: Registry) -> None:
        """Every event, one by one, whatever people are told of it and when."""
        new = await announcements.announcements_to_log(connection)
        if not new:
            return
        told = await self._told(connection, registry, [(w.event, w.alert) for w in new])
        drafts = []
        for one, entry in zip(new, told, strict=True):
            message = record_of(entry, self.names)
            drafts.append(
                Draft(
                    alert_id=one.alert.id, channel="log", recipient="log", event=one.event,
                    key=f"{one.alert.id}-{one.event}-{one.id}", subject=message.subject, body=message.body,
                    payload=message.payload,
                )
            )  # fmt: skip
        await put_notifications(connection, drafts)
        await announcements.mark_logged(connection, [w.id for w in new])

    async def _told(
        self, connection: Connection, registry: Registry, entries: Sequence[tuple[str, Alert]]
    ) -> list[AlertEvent]:
        """The alerts with their stations and trends."""
        sensors = [a.sensor for _, a in entries if a.sensor is not None]
        trends = await evaluation.trends(connection, sensors) if sensors else {}
        return [
            AlertEvent(
                event=event,
                alert=alert,
                station=registry.stations.get(alert.station) if alert.station else None,
                river=None
                if alert.station
                else next((s for s in registry.stations.values() if s.river == alert.river), None),
                trend_h=None if alert.sensor is None else trends.get(alert.sensor, (None, None))[0],
            )
            for event, alert in entries
        ]

    async def _incidents_of(
        self, connection: Connection, ready: Sequence[Announcement], now: datetime
    ) -> tuple[dict[int, Incident], list[tuple[int, Announcement]]]:
        """The incident of each alert: a river's flood wave, the upstream crossing first; or the equipment's."""
        incidents = await incident_rows.incidents_by_id(
            connection, {w.alert.incident for w in ready if w.alert.incident}
        )
        opened: dict[tuple[str, str | None, str], Incident] = {}
        pairs: list[tuple[int, Announcement]] = []
        joined: dict[int, set[int]] = {}
        for one in ready:
            alert = one.alert
            incident = incidents.get(alert.incident) if alert.incident else None
            if incident is None:
                topic = kind_of(alert.kind).topic
                river = alert.river if topic == "flood" else None
                incident = opened.get((topic, river, alert.status))
                if incident is None:
                    incident = await incident_rows.open_incident(connection, topic, river, alert.status, now)
                    opened[topic, river, alert.status] = incident
                incidents[incident.id] = incident
                joined.setdefault(incident.id, set()).add(alert.id)
            pairs.append((incident.id, one))
        for incident_id, alerts in joined.items():
            await incident_rows.join_incident(connection, incident_id, alerts)
        return incidents, pairs

    async def roster(self, connection: Connection, now: datetime) -> Roster:
        """Who is there to be told, those whom the settings name included."""
        contacts = await people.contacts(connection)
        for address in self._settings.mail_to if self._settings.smtp_host else ():
            mailed = Person(id=f"mail:{address}", name=address, addresses=(Address(channel="smtp", address=address),))
            contacts[mailed.id] = mailed
        return Roster(contacts, await people.escalations(connection), now)

    async def has_listeners(self, connection: Connection) -> bool:
        """Whether a flood that begins now would be told to anybody: in the file that the settings name, by their mail,
        or by any escalation of floods.
        """
        roster = await self.roster(connection, self._clock())
        chains = [e.id for e in roster.escalations.values() if "flood" in e.topics]
        return bool(
            self._settings.log
            or self._everybody(roster)
            or any(roster.reach(Position(escalation=id_))[1] for id_ in chains)
        )

    def _everybody(self, roster: Roster) -> list[Person]:
        """Whom the settings name, told while no escalation says otherwise."""
        return [c for c in roster.contacts.values() if isinstance(c, Person) and c.id.startswith("mail:")]

    async def _send(
        self, connection: Connection, registry: Registry, bundle: Sequence[tuple[int, Announcement]],
        incidents: Mapping[int, Incident], roster: Roster, before: Mapping[int, list[str]],
    ) -> None:  # fmt: skip
        found: dict[str, Person] = {}
        for incident in dict.fromkeys(i for i, _ in bundle):
            news = [w for i, w in bundle if i == incident]
            for person in await self._listeners(
                connection, incidents[incident], news, roster, before.get(incident, [])
            ):
                found[person.id] = person
        several = len({i for i, _ in bundle}) > 1
        unheard = any(w.event == Event.RAISED and w.alert.kind != "self_test" for _, w in bundle)
        if found or not unheard:
            self._unheard = self._unheard and not found
        elif not self._unheard:  # once, until somebody is there again
            self._unheard = True
            log().warning("an alert has nobody to be told: set up an escalation, or KAWAMORI_ALERTS__MAIL_TO",
                          alert=bundle[0][1].alert.id)  # fmt: skip
        number = max(w.id for _, w in bundle)
        await self._post(
            connection, registry, [(w.event, w.alert) for _, w in bundle], found.values(), incident=bundle[0][0],
            several=several, key=f"i{bundle[0][0]}-n{number}", now=roster.now,
            event="digest" if several else bundle[0][1].event,
        )  # fmt: skip

    async def _listeners(
        self,
        connection: Connection,
        incident: Incident,
        news: Sequence[Announcement],
        roster: Roster,
        before: Sequence[str],
    ) -> list[Person]:
        """Whoever has been told of this incident, and for something new whoever is to be told first."""
        if incident.topic == "self_test":
            return [p for p in roster.contacts.values() if isinstance(p, Person) and p.self_test]
        listeners = {p.id: p for p in persons(before, roster.contacts, roster.now)}
        raised = [w.alert for w in news if w.event == Event.RAISED]
        if raised:
            level = max(a.level for a in raised)
            escalation = choose(roster.escalations, topic=incident.topic, river=incident.river, level=level)
            if escalation is None:
                listeners |= {p.id: p for p in self._everybody(roster)}
            else:
                position, new = incident.position, {a.id for a in raised}
                waiting = [a for a in await incident_rows.unanswered(connection, incident.id) if a.id not in new]
                if (
                    not waiting
                    or incident.escalate_at is None
                    or position is None
                    or position.escalation != escalation.id
                ):
                    position, first = roster.reach(Position(escalation=escalation.id))
                    at = None if position is None else roster.next_at(position)
                    await incident_rows.set_incident_position(connection, incident.id, position, at)
                else:
                    _, first = roster.reach(position)
                listeners |= {p.id: p for p in first or self._everybody(roster)}
        return list(listeners.values())

    async def _post(
        self, connection: Connection, registry: Registry, entries: Sequence[tuple[str, Alert]],
        listeners: Iterable[Person], *, incident: int, several: bool, key: str, event: str, now: datetime,
    ) -> None:  # fmt: skip
        told = await self._told(connection, registry, entries)
        again = await announcements.told_ended(connection, [a.id for e, a in entries if e == Event.RAISED])
        told = [replace(t, event="returned") if t.event == "raised" and t.alert.id in again else t for t in told]
        secret = await actions.link_secret(connection)
        page = self._settings.public_url and self._settings.public_url.rstrip("/")
        drafts = []
        for person in listeners:
            if not person.addresses:
                log().warning("a contact has no address", contact=person.id)
                continue
            try:
                answer = None
                if page and not several:
                    token = sign(secret, incident, max(a.id for _, a in entries), person.id, now + _LINK_LASTS)
                    answer = f"{page}/acknowledge/{token}"
                links = Links(page=page, acknowledge=answer)
                message = compose(told, self.names, person.language, links, incident)
            except Exception as error:  # noqa: BLE001 - the root of one contact's message: the others are told
                log().error("no message could be made for a contact: report this", contact=person.id, exc_info=error)
                continue
            address = person.addresses[0]
            drafts.append(
                Draft(
                    alert_id=told[0].alert.id, incident_id=incident, contact_id=person.id, channel=address.channel,
                    recipient=address.address, event=event, key=f"{key}-{person.id}", subject=message.subject,
                    body=message.body, payload=message.payload, at=now,
                )
            )  # fmt: skip
        await put_notifications(connection, drafts)

    async def escalate(self, connection: Connection, registry: Registry) -> None:
        """Tell the next in line of what nobody has answered in time, and end the incidents that are over."""
        now = self._clock()
        for incident in await incident_rows.incidents_to_escalate(connection, now):
            try:
                async with translated():
                    await self._escalate(connection, registry, incident, now)
            except KawamoriError:
                raise
            except Exception as error:  # noqa: BLE001 - the root of one incident: the others go on, it is tried again
                log().error("an incident could not be escalated: report this", incident=incident.id, exc_info=error)
        await incident_rows.close_incidents(connection, now)

    async def _escalate(
        self, connection: Connection, registry: Registry, incident: Incident, now: datetime
    ) -> None:  # fmt: skip
        """Tell the next in line of one incident."""
        silences = (await people.silences(connection, now)).values()
        unanswered = await incident_rows.unanswered(connection, incident.id)
        loud = [
            a for a in unanswered
            if not silenced(silences, now, alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
        ]  # fmt: skip
        if not loud or incident.position is None:
            await incident_rows.set_incident_position(
                connection, incident.id, incident.position, now + _SOON if unanswered else None
            )
            return
        roster = await self.roster(connection, now)
        position, next_ = roster.reach(after(roster.escalations, incident.position))
        if position is None:
            await incident_rows.set_incident_position(connection, incident.id, incident.position, None)
            await audit.note(connection, subject_id=loud[0].id, alert=loud[0].id, event="nobody_answered")
            log().error("nobody has answered an alert, and there is nobody left to be told: call them",
                        alert=loud[0].id)  # fmt: skip
            return
        await incident_rows.set_incident_position(connection, incident.id, position, roster.next_at(position))
        await audit.note(
            connection, subject_id=loud[0].id, alert=loud[0].id, event="escalated",
            detail={"to": [p.id for p in next_], "step": position.step, "round": position.round},
        )  # fmt: skip
        await self._post(
            connection, registry, [("escalated", a) for a in loud], next_, incident=incident.id, several=False,
            key=f"i{incident.id}-e{position.escalation}.{position.round}.{position.step}-{now:%Y%m%d%H%M%S}",
            event="escalated", now=now,
        )  # fmt: skip
