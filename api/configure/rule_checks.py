"""Alert rules from what people send, and what is wrong with them. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from api.contract.problems import WrongField
from api.contract.requests import RuleBody
from api.registry_cache import Directory
from kawamori.domain.reading import StationId
from kawamori.domain.rules import KINDS, Rule
from kawamori.domain.rules.level import LevelRule

#: A person's own watches nothing, and the self-test is the software's.
SETTABLE = {kind: rule for kind, rule in KINDS.items() if kind not in ("manual", "self_test")}
_AT = re.compile(r"(.*) - at `\$(.*)`$", re.DOTALL)
_FIELD = re.compile(r"(\w+): (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"Object (?:missing|contains) \w+ (?:required )?field `(\w+)`")
#: Beyond it a float no longer tells neighbouring whole numbers apart.
_LARGEST = 2**53


def _path(text: str) -> str:
    """`.thresholds[2]` as `thresholds.2`."""
    return text.replace("[", ".").replace("]", "").strip(".")


def _walk(value: object, path: str) -> None:
    """Raise WrongField for what JSON can say, but no rule can mean."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _walk(part, f"{path}.{name}".strip("."))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            _walk(part, f"{path}.{place}".strip("."))
    elif isinstance(value, (int, float)) and (abs(value) > _LARGEST or not math.isfinite(value)):
        raise WrongField(path, "must be a number of a possible size")


def _names(type_: type) -> set[str]:
    return set(msgspec.json.schema(type_)["$defs"][type_.__name__]["properties"])


def _known(given: Mapping[str, Any], type_: type, path: str = "") -> None:
    names = _names(type_)
    for name in given:
        if name not in names:
            raise WrongField(f"{path}{name}", f"unknown; known are {', '.join(sorted(names))}")


def rule_of(kind: str, parameters: Mapping[str, Any]) -> Rule:
    """The rule that is meant, every parameter checked by its class; raises WrongField that names which."""
    type_ = SETTABLE.get(kind)
    if type_ is None:
        raise WrongField("kind", f"must be one of {', '.join(sorted(SETTABLE))}")
    _walk(parameters, "")
    _known(parameters, type_)
    try:
        rule = msgspec.convert(dict(parameters), type_)
    except msgspec.ValidationError as error:
        text, path = str(error), ""
        if found := _AT.match(text):
            text, path = found[1], _path(found[2])
        if found := _FIELD.fullmatch(text):  # the class's own words begin with the field
            path, text = f"{path}.{found[1]}".strip("."), found[2]
        elif found := _UNKNOWN.match(text):
            path, text = f"{path}.{found[1]}".strip("."), "is needed"
        raise WrongField(path or "parameters", text) from None
    if isinstance(rule, LevelRule):
        for place, one in enumerate(parameters.get("thresholds", ())):
            _known(one, type(rule.thresholds[place]), f"thresholds.{place}.")
    return rule


def check_scope(body: RuleBody, rule: Rule, directory: Directory) -> None:
    """Raise WrongField where the rule is for nothing that exists, or for two things at once."""
    if body.station_id is not None and body.river_id is not None:
        raise WrongField("river_id", "a rule is for a station or for a river; give one")
    if body.station_id is not None and StationId(body.station_id) not in directory.registry.stations:
        raise WrongField("station_id", "no station of this id")
    if body.river_id is not None and body.river_id not in {river.id for river in directory.rivers}:
        raise WrongField("river_id", "no river of this id")
    if isinstance(rule, LevelRule) and rule.thresholds and body.station_id is None:
        raise WrongField("thresholds", "are of one station: give `station_id`")


def given(rule: Rule, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a rule: what was given, as its class understood it; thresholds have a table of their own."""
    whole = msgspec.to_builtins(rule)
    return {name: whole[name] for name in sorted(parameters) if name != "thresholds"}


def heights(rule: Rule) -> dict[int, tuple[float, float | None]]:
    """Of a level rule: level to metres and hysteresis, None where the rule's own counts."""
    if not isinstance(rule, LevelRule):
        return {}
    return {
        t.level: (t.fire_m, None if t.clear_m is None else round(t.fire_m - t.clear_m, 6)) for t in rule.thresholds
    }  # fmt: skip


def kind_shape(kind: str, type_: type[Rule]) -> dict[str, Any]:
    """What can be set of a kind, with its defaults."""
    schema = msgspec.json.schema(type_)
    return {
        "kind": kind,
        "name": {"ja": type_.name_ja, "en": type_.name_en},
        "topic": type_.topic,
        "by_default": type_.by_default,
        "defaults": msgspec.to_builtins(type_()),
        "schema": schema,
    }
