"""Rules: what makes an alert, and every station's thresholds. Each change is one transaction with its audit."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Response

from api.answer.alerts import committed
from api.configure.rule_checks import SETTABLE, check_scope, given, heights, kind_shape, rule_of
from api.contract import schemas
from api.contract.problems import REFUSALS
from api.contract.requests import RuleBody
from api.dependencies import Id, Manager, Using, answer
from kawamori.storage import actions, audit
from kawamori.storage.actions import RuleRow, ThresholdRow
from kawamori.storage.database import Connection

router = APIRouter(prefix="/api/v1", responses=REFUSALS, tags=["configuration"])


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


@router.get("/alert-rules", response_model=schemas.AlertRules)
async def rules(using: Using) -> Response:
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
async def put_rule(using: Using, actor: Manager, body: RuleBody) -> Response:
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
            "before": before and msgspec.to_builtins(_rule_shape(before)),
            "after": {**msgspec.to_builtins(_rule_shape(after)), "id": id_},
        }
        if heights_changed:
            new = await actions.thresholds_of(connection, body.station_id, at)
            detail["before_thresholds"] = msgspec.to_builtins([_threshold_shape(t) for t in old])
            detail["after_thresholds"] = msgspec.to_builtins([_threshold_shape(t) for t in new])
        await audit.note(
            connection, who=actor.name, subject="rule", subject_id=id_,
            event="added" if before is None else "changed", detail=detail,
        )  # fmt: skip
        return answer({**_rule_shape(after), "id": id_})

    response = await committed(using.database, work)
    using.directory.forget()
    return response


@router.delete("/alert-rules/{rule_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_rule(using: Using, rule_id: Id, actor: Manager) -> Response:
    """From now on the rule of the river, of the site or the kind's default holds instead. Thresholds stay."""

    async def work(connection: Connection) -> Response:
        at = await actions.change_configuration(connection)
        before = next((r for r in await actions.rules_in_force(connection) if r.id == rule_id), None)
        if before is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "no rule of this id is in force")
        await actions.close_rule(connection, rule_id, at)
        await audit.note(
            connection, who=actor.name, subject="rule", subject_id=rule_id, event="removed",
            detail={"before": msgspec.to_builtins(_rule_shape(before))},
        )  # fmt: skip
        return Response(status_code=HTTPStatus.NO_CONTENT)

    response = await committed(using.database, work)
    using.directory.forget()
    return response


def _meaning(rule: RuleRow) -> tuple[bool, str, Mapping[str, Any]]:
    return rule.enabled, rule.status, dict(rule.parameters)
