"""Who is told of what: contacts, escalations, silences and rules. Each change is one transaction with its audit."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query, Response

from api.answer.alerts import committed, conflict
from api.auth.actors import Actor
from api.configure.contact_checks import (
    check_contact,
    check_escalation,
    contact_of,
    contact_shape,
    escalation_of,
    escalation_shape,
    users_of,
)
from api.configure.rule_checks import SETTABLE, check_scope, given, heights, kind_shape, rule_of
from api.contract import schemas
from api.contract.problems import REFUSALS, WrongField
from api.contract.requests import ContactBody, EscalationBody, RuleBody, SilenceBody
from api.read.routes import Dependencies, Id, IdCursor, Limit, answer
from kawamori.domain import people as domain
from kawamori.domain.people import Person
from kawamori.domain.reading import RiverId, StationId
from kawamori.domain.rules import KINDS
from kawamori.domain.silence import Silence, Weekly
from kawamori.storage import actions, audit, people
from kawamori.storage import alerts as record
from kawamori.storage.actions import RuleRow, SilenceRow, ThresholdRow
from kawamori.storage.database import Connection
from kawamori.storage.outbox import Draft, put_notifications
from kawamori.storage.page_keys import LARGEST_ID

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
#: A window longer than this is no maintenance.
LONGEST_SILENCE = timedelta(days=366)


def _silence_shape(found: SilenceRow) -> dict[str, Any]:
    return {
        "id": found.id,
        "alert_id": found.alert,
        "station_id": found.station,
        "river_id": found.river,
        "kinds": found.kinds,
        "up_to_level": found.up_to_level,
        "starts_at": found.starts_at,
        "ends_at": found.ends_at,
        "weekly": found.weekly,
        "reason": found.reason,
        "author": found.author,
        "lifted_at": found.lifted_at,
        "lifted_by": found.lifted_by,
    }


def _rule_shape(found: RuleRow) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "station_id": found.station,
        "river_id": found.river,
        "enabled": found.enabled,
        "status": found.status,
        "parameters": found.parameters,
        "valid_from": found.valid_from,
        "author": found.author,
    }


def _threshold_shape(found: ThresholdRow) -> dict[str, Any]:
    clear = None if found.hysteresis_m is None else round(found.value_m - found.hysteresis_m, 6)
    return {
        "station_id": found.station,
        "level": found.level,
        "fire_m": found.value_m,
        "clear_m": clear,
        "valid_from": found.valid_from,
    }  # fmt: skip


def silence_of(body: SilenceBody, now: Any, author: str) -> Silence:
    """The silence that is meant; raises WrongField. Pure."""
    starts_at = body.starts_at or now
    if body.ends_at <= starts_at:
        raise WrongField("ends_at", "must be later than `starts_at`")
    if body.ends_at <= now:
        raise WrongField("ends_at", "must lie ahead")
    if body.ends_at - starts_at > LONGEST_SILENCE:
        raise WrongField("ends_at", f"must be within {LONGEST_SILENCE.days} days of `starts_at`")
    for place, kind in enumerate(body.kinds or ()):
        if kind not in KINDS:
            raise WrongField(f"kinds.{place}", f"must be one of {', '.join(sorted(KINDS))}")
    weekly = None
    if body.weekly is not None:
        hours = tuple(
            domain.Hours(days=h.days, start=h.start.replace(tzinfo=None), end=h.end.replace(tzinfo=None))
            for h in body.weekly.hours
        )
        weekly = Weekly(hours=hours, time_zone=body.weekly.time_zone)
    return Silence(
        id=0, station=body.station_id, river=body.river_id, kinds=body.kinds, up_to_level=body.up_to_level,
        starts_at=starts_at, ends_at=body.ends_at, weekly=weekly, reason=body.reason, author=author,
    )  # fmt: skip


async def _covered(connection: Connection, silence: Silence) -> list[int]:
    """The alerts that last and that a silence is about: screens are to show them anew."""
    return [
        a.id for a in await record.open_alerts(connection, sorted(KINDS))
        if silence.covers(alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
    ]  # fmt: skip


def _plain(found: Any) -> dict[str, Any]:
    """For the audit: secrets masked."""
    return contact_shape(found)


def configuration_routes(using: Dependencies) -> APIRouter:  # noqa: C901 - a list of small routes
    """Every route by which people change who is told of what."""
    router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["configuration"])
    Reader = Annotated[Actor, Depends(using.auth.reader)]  # noqa: N806 - a type
    Operator = Annotated[Actor, Depends(using.auth.operator)]  # noqa: N806 - a type
    Manager = Annotated[Actor, Depends(using.auth.manager)]  # noqa: N806 - a type

    @router.get("/contacts", response_model=schemas.Contacts)
    async def contacts(_actor: Reader) -> Response:
        """Everybody who may be told. Of addresses that are secrets only the host is shown."""
        async with using.database.transaction() as connection:
            found = await people.contacts(connection)
        return answer({"contacts": [contact_shape(c) for c in found.values()]})

    @router.get("/contacts/{contact_id}", response_model=schemas.Contact)
    async def contact(contact_id: Name, _actor: Reader) -> Response:
        """One contact."""
        async with using.database.transaction() as connection:
            found = (await people.contacts(connection)).get(contact_id)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
        return answer(contact_shape(found))

    @router.put("/contacts/{contact_id}", response_model=schemas.Contact)
    async def put_contact(contact_id: Name, actor: Manager, body: Annotated[ContactBody, Body()]) -> Response:
        """Add a contact, or change it. An address that is sent as it is shown is kept."""

        async def work(connection: Connection) -> Response:
            await actions.change_configuration(connection)
            everybody = await people.contacts(connection)
            before = everybody.get(contact_id)
            found = contact_of(contact_id, body, before)
            check_contact(found, everybody)
            if found != before:
                await people.put_contact(connection, found)
                await audit.note(
                    connection, who=actor.name, subject="contact", subject_id=contact_id,
                    event="added" if before is None else "changed",
                    detail={"before": before and _plain(before), "after": _plain(found)},
                )  # fmt: skip
            return answer(contact_shape(found))

        return await committed(using.database, work)

    @router.delete("/contacts/{contact_id}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_contact(contact_id: Name, actor: Manager) -> Response:
        """Remove a contact that nothing names any more."""

        async def work(connection: Connection) -> Response:
            await actions.change_configuration(connection)
            everybody = await people.contacts(connection)
            if contact_id not in everybody:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
            users = users_of(contact_id, everybody, await people.escalations(connection))
            if users:
                raise conflict(f"still named by {', '.join(users)}")
            await people.remove_contact(connection, contact_id)
            await audit.note(
                connection, who=actor.name, subject="contact", subject_id=contact_id, event="removed",
                detail={"before": _plain(everybody[contact_id])},
            )  # fmt: skip
            return Response(status_code=HTTPStatus.NO_CONTENT)

        return await committed(using.database, work)

    @router.post("/contacts/{contact_id}/test", response_model=schemas.Tested, status_code=HTTPStatus.ACCEPTED)
    async def try_contact(contact_id: Name, actor: Operator) -> Response:
        """Send a message marked 【試験】 by each channel of everybody it stands for now; follow them by their ids."""
        tried = uuid4().hex

        async def work(connection: Connection) -> Response:
            everybody = await people.contacts(connection)
            if contact_id not in everybody:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no contact of this id")
            found = domain.persons([contact_id], everybody, using.clock())
            places = [(person, address) for person in found for address in person.addresses]
            if not places:
                raise conflict("nobody behind it has an address now")
            drafts = []
            for number, (person, address) in enumerate(places):
                subject, words = try_message(person, actor.name)
                drafts.append(
                    Draft(
                        contact_id=person.id, channel=address.channel, recipient=address.address, event="test",
                        key=f"test-{contact_id}-{tried}-{number}", subject=subject, body=words,
                        payload={"alerts": [], "status": "test", "language": person.language},
                    )
                )  # fmt: skip
            await put_notifications(connection, drafts)
            await audit.note(
                connection, who=actor.name, subject="contact", subject_id=contact_id, event="tested",
                detail={"channels": [address.channel for _, address in places]},
            )  # fmt: skip
            ids = await actions.notifications_by_key(connection, [draft.key for draft in drafts])
            return answer({"notifications": ids}, status=HTTPStatus.ACCEPTED)

        return await committed(using.database, work)

    @router.get("/escalations", response_model=schemas.Escalations)
    async def escalations(_actor: Reader) -> Response:
        """Who is told, and who next when nobody answers."""
        async with using.database.transaction() as connection:
            found = await people.escalations(connection)
        return answer({"escalations": [escalation_shape(e) for e in found.values()]})

    @router.get("/escalations/{escalation_id}", response_model=schemas.Escalation)
    async def escalation(escalation_id: Name, _actor: Reader) -> Response:
        """One escalation."""
        async with using.database.transaction() as connection:
            found = (await people.escalations(connection)).get(escalation_id)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no escalation of this id")
        return answer(escalation_shape(found))

    @router.put("/escalations/{escalation_id}", response_model=schemas.Escalation)
    async def put_escalation(escalation_id: Name, actor: Manager, body: EscalationBody) -> Response:
        """Add an escalation, or change it."""
        directory = await using.directory.newest()

        async def work(connection: Connection) -> Response:
            await actions.change_configuration(connection)
            everything = await people.escalations(connection)
            before = everything.get(escalation_id)
            found = escalation_of(escalation_id, body)
            rivers = [river.id for river in directory.rivers]
            check_escalation(found, everything, await people.contacts(connection), rivers)
            if found != before:
                await people.put_escalation(connection, found)
                await audit.note(
                    connection, who=actor.name, subject="escalation", subject_id=escalation_id,
                    event="added" if before is None else "changed",
                    detail={"before": before and escalation_shape(before), "after": escalation_shape(found)},
                )  # fmt: skip
            return answer(escalation_shape(found))

        return await committed(using.database, work)

    @router.delete("/escalations/{escalation_id}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_escalation(escalation_id: Name, actor: Manager) -> Response:
        """Remove an escalation that no other goes on to."""

        async def work(connection: Connection) -> Response:
            await actions.change_configuration(connection)
            everything = await people.escalations(connection)
            if escalation_id not in everything:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no escalation of this id")
            users = [e.id for e in everything.values() if e.then == escalation_id and e.id != escalation_id]
            if users:
                raise conflict(f"still named by escalation {', '.join(users)}")
            await people.remove_escalation(connection, escalation_id)
            await audit.note(
                connection, who=actor.name, subject="escalation", subject_id=escalation_id, event="removed",
                detail={"before": escalation_shape(everything[escalation_id])},
            )  # fmt: skip
            return Response(status_code=HTTPStatus.NO_CONTENT)

        return await committed(using.database, work)

    @router.get("/silences", response_model=schemas.Silences)
    async def silences(
        over: Annotated[bool, Query(description="Those too that hold no more")] = False,
        limit: Limit = 100,
        cursor: IdCursor = LARGEST_ID,
    ) -> Response:
        """Shelved alerts and maintenance windows, newest first."""
        async with using.database.transaction() as connection:
            found = await actions.silences_page(connection, over=over, before=cursor, limit=limit + 1)
        more = str(found[limit - 1].id) if len(found) > limit else None
        return answer({"silences": [_silence_shape(s) for s in found[:limit]], "next": more})

    @router.post("/silences", response_model=schemas.Silence, status_code=HTTPStatus.CREATED)
    async def add_silence(actor: Manager, body: SilenceBody) -> Response:
        """Announce a maintenance window: recorded and shown all the same, but nobody is told."""
        directory = await using.directory.newest()
        if body.station_id is not None and StationId(body.station_id) not in directory.registry.stations:
            raise WrongField("station_id", "no station of this id")
        if body.river_id is not None and RiverId(body.river_id) not in {river.id for river in directory.rivers}:
            raise WrongField("river_id", "no river of this id")
        if body.river_id is not None and body.station_id is not None:
            raise WrongField("river_id", "a silence is for a station or for a river; give one")
        silence = silence_of(body, using.clock(), actor.name)

        async def work(connection: Connection) -> Response:
            id_ = await people.put_silence(connection, silence)
            found = (await actions.silences_page(connection, over=True, before=id_ + 1, limit=1))[0]
            shape = _silence_shape(found)
            await audit.note(
                connection, who=actor.name, subject="silence", subject_id=id_, event="added", note=silence.reason,
                detail={"after": _json(shape)},
            )  # fmt: skip
            await _retell(connection, silence, actor.name, "silenced", silence.reason)
            return answer(shape, status=HTTPStatus.CREATED)

        return await committed(using.database, work)

    @router.post("/silences/{silence_id}/lift", response_model=schemas.Silence)
    async def lift_silence(silence_id: Id, actor: Manager) -> Response:
        """End a silence before its time."""

        async def work(connection: Connection) -> Response:
            def this(rows: list[SilenceRow]) -> SilenceRow:
                if not rows or rows[0].id != silence_id:
                    raise HTTPException(HTTPStatus.NOT_FOUND, "no silence of this id")
                return rows[0]

            before = this(await actions.silences_page(connection, over=True, before=silence_id + 1, limit=1))
            known = (await people.silences(connection, using.clock())).get(silence_id)
            if await people.lift_silence(connection, silence_id, actor.name):
                await audit.note(
                    connection, who=actor.name, subject="silence", subject_id=silence_id, event="lifted",
                    detail={"before": _json(_silence_shape(before))},
                )  # fmt: skip
                if known is not None:
                    await _retell(connection, known, actor.name, "unsilenced", None)
            after = this(await actions.silences_page(connection, over=True, before=silence_id + 1, limit=1))
            return answer(_silence_shape(after))

        return await committed(using.database, work)

    async def _retell(connection: Connection, silence: Silence, who: str, event: str, note: str | None) -> None:
        """Screens hear at once of the alerts that a silence is about."""
        if silence.in_force(using.clock()):
            covered = await _covered(connection, silence)
            lines = [{"id": a, "alert": a, "who": who, "event": event, "note": note} for a in covered]
            await audit.notes(connection, lines)

    @router.get("/alert-rules", response_model=schemas.AlertRules)
    async def rules() -> Response:
        """The rules that were set, and every station's thresholds, in force now.

        Where none was set, the kind's defaults hold for the kinds that watch by default.
        """
        async with using.database.transaction() as connection:
            found = await actions.rules_in_force(connection)
            thresholds = await actions.thresholds_of(connection, None, using.clock())
        directory = await using.directory.get()
        return answer(
            {
                "rules": [_rule_shape(r) for r in found],
                "thresholds": [_threshold_shape(t) for t in thresholds if t.station in directory.registry.stations],
            }
        )

    @router.get("/alert-rules/kinds", response_model=schemas.RuleKinds)
    async def kinds() -> Response:
        """Every kind of rule: what can be set, as JSON Schema, with its defaults. Durations are ISO 8601: PT10M."""
        return answer({"kinds": [kind_shape(kind, type_) for kind, type_ in sorted(SETTABLE.items())]})

    @router.put("/alert-rules", response_model=schemas.AlertRule)
    async def put_rule(actor: Manager, body: RuleBody) -> Response:
        """Set the rule of a station, a river or the site from now on; what was before stays as it was.

        A station's `level` rule with `thresholds` sets those too, all or none; one without leaves them.
        """
        rule = rule_of(body.kind, body.parameters)
        check_scope(body, rule, await using.directory.newest())
        parameters = given(rule, body.parameters)

        async def work(connection: Connection) -> Response:
            at = await actions.change_configuration(connection)
            scope = (body.kind, body.station_id, body.river_id)
            found = await actions.rules_in_force(connection)
            before = next((r for r in found if (r.kind, r.station, r.river) == scope), None)
            after = RuleRow(0, *scope, body.enabled, body.status, parameters, at, actor.name)
            old = await actions.thresholds_of(connection, body.station_id, at) if body.station_id else []
            heights_changed = False
            if body.station_id is not None and (wanted := heights(rule)):
                heights_changed = await actions.set_thresholds(connection, body.station_id, wanted, at)
            same = before is not None and _meaning(before) == _meaning(after)
            if before is not None and same and not heights_changed:
                return answer(_rule_shape(before))
            if before is not None:
                await actions.close_rule(connection, before.id, at)
            id_ = await actions.add_rule(connection, after)
            detail = {
                "before": before and _json(_rule_shape(before)),
                "after": {**_json(_rule_shape(after)), "id": id_},
            }
            if heights_changed:
                new = await actions.thresholds_of(connection, body.station_id, at)
                detail["before_thresholds"] = _json([_threshold_shape(t) for t in old])
                detail["after_thresholds"] = _json([_threshold_shape(t) for t in new])
            await audit.note(
                connection, who=actor.name, subject="rule", subject_id=id_,
                event="added" if before is None else "changed", detail=detail,
            )  # fmt: skip
            return answer({**_rule_shape(after), "id": id_})

        response = await committed(using.database, work)
        using.directory.forget()
        return response

    @router.delete("/alert-rules/{rule_id}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_rule(rule_id: Id, actor: Manager) -> Response:
        """From now on the rule of the river, of the site or the kind's default holds instead. Thresholds stay."""

        async def work(connection: Connection) -> Response:
            at = await actions.change_configuration(connection)
            before = next((r for r in await actions.rules_in_force(connection) if r.id == rule_id), None)
            if before is None:
                raise HTTPException(HTTPStatus.NOT_FOUND, "no rule of this id is in force")
            await actions.close_rule(connection, rule_id, at)
            await audit.note(
                connection, who=actor.name, subject="rule", subject_id=rule_id, event="removed",
                detail={"before": _json(_rule_shape(before))},
            )  # fmt: skip
            return Response(status_code=HTTPStatus.NO_CONTENT)

        response = await committed(using.database, work)
        using.directory.forget()
        return response

    return router


def _meaning(rule: RuleRow) -> tuple[bool, str, Mapping[str, Any]]:
    return rule.enabled, rule.status, dict(rule.parameters)


def _json(found: Any) -> Any:
    """Times as text, for the audit."""
    return msgspec.to_builtins(found)


def try_message(person: Person, who: str) -> tuple[str, str]:
    """Subject and body of a message that only shows that it arrives. Pure."""
    if person.language == "ja":
        return (
            "【試験】川守からの通知の試験です",
            f"【試験】{person.name} 様\n{who} が通知の試験を行いました。対応は必要ありません。",
        )
    return (
        "[TEST] A test of Kawamori's messages",
        f"[TEST] {person.name},\n{who} has tested whether messages reach you. There is nothing to be done.",
    )
