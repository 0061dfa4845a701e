"""What makes an alert: a class and a file for each kind. A new kind is one more file here.

A series rule looks at one sensor's readings in order of measurement: the same readings give the same episodes,
whatever order they came in. A state rule looks at what is known now of a sensor or a gateway, and at the clock.
"""

import pkgutil
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, ClassVar, Protocol

from kawamori.domain.flood import Threshold
from kawamori.domain.lag import Lag
from kawamori.domain.reading import Flag, Reading, RiverId, StationId
from kawamori.domain.registry import Sensor, Station


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A stay of the water, or of a machine, in a state that people should know of."""

    kind: str
    #: 1–5 where a threshold is meant, else 0.
    level: int = 0
    threshold_m: float | None = None
    #: When it began: the time of the reading that reached it.
    started_at: datetime
    value_m: float | None = None
    peak_m: float | None = None
    #: A second reading has said so too; until then it is 未確認.
    verified: bool = True
    #: Of one reading at least the time is not in doubt; else it is 未確認 too, though the water was there.
    time_sure: bool = True
    #: It has begun, but not for long enough to be told of.
    pending: bool = False
    #: Time of the first reading beyond the lower edge; None while it lasts.
    ended_at: datetime | None = None
    #: What the kind adds: reasons of doubt, rate, interval.
    detail: Mapping[str, Any] = field(default_factory=dict)

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        """Whether both stays share a moment."""
        return (end is None or self.started_at <= end) and (self.ended_at is None or start <= self.ended_at)


class Watch(Protocol):
    """One series rule on one sensor, fed with its readings in order of measurement. Failed readings are left out."""

    def feed(self, reading: Reading) -> Iterable[Episode]:
        """Take a reading later than all before; return the episodes it ended."""

    def lasting(self) -> Iterable[Episode]:
        """The episodes that last or are pending."""

    def is_calm_below(self, value: float) -> bool:
        """Whether readings up to this value change nothing, so that they need not be fed."""


#: Every kind, by its name.
KINDS: dict[str, "type[Rule]"] = {}


class Rule:
    """Parameters of one kind, frozen, each with a default."""

    kind: ClassVar[str]
    #: Whether it watches where no rule was set.
    by_default: ClassVar[bool] = False
    #: What messages call it.
    name_ja: ClassVar[str] = ""
    name_en: ClassVar[str] = ""
    #: Floods page at once; the equipment's troubles are gathered in an incident of their own.
    topic: ClassVar[str] = "flood"

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003 - kinds may
        """What a message's first line adds to the name: how much, how fast."""
        return ""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls


def kind_of(name: str) -> type[Rule]:
    """The kind of that name; one that this version does not know, of a newer version's alert, is any rule."""
    return KINDS.get(name, Rule)


class SeriesRule(Rule):
    """Judges readings in order of measurement."""

    @property
    def reach(self) -> timedelta:
        """How far back it looks beyond the beginning of an episode."""
        return timedelta(0)

    @abstractmethod
    def watch(self, thresholds: tuple[Threshold, ...]) -> Watch:
        """A watch that has seen nothing yet. Thresholds are all of the station's, of all dates."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known now of a water level sensor."""

    sensor: Sensor
    station: Station
    observed_at: datetime | None
    received_at: datetime | None
    value: float | None
    flag: Flag | None
    trend_h: float | None
    #: Since when the value has not changed at all.
    flat_since: datetime | None = None
    battery_v: float | None = None
    #: Readings of the last 24 hours that left the water and came back.
    spikes: int = 0
    #: Readings of the last 24 hours about which devices, or one device at once, state different values.
    disputed: int = 0
    #: Amounts of the last 24 hours that look like the running total of a counter.
    counting: int = 0
    #: Trends of the next stations up and down the river that are fresh, m/h.
    neighbours: Mapping[StationId, float] = field(default_factory=dict)
    #: When the newest message came that was refused because of its time, and whether that lay ahead.
    refused_at: datetime | None = None
    refused_ahead: bool = True
    #: How far behind its readings come, where that is more than messages take.
    lag: Lag | None = None
    #: Seconds that its gateway's clock is ahead of ours, where that is known: then `received_at` is off as much.
    gateway_off_s: float | None = None
    #: Since when its values lie beyond its limits and agree with each other.
    beyond_since: datetime | None = None
    #: When its values jumped as no river does, each time the other way, within the last hours.
    jumps: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """What is known now of a gateway."""

    gateway_id: str
    seen_at: datetime
    backlog: int
    #: Seconds that its clock is ahead of ours; None: not known.
    clock_off_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something is wrong since then."""

    since: datetime
    value: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class SensorRule(Rule):
    """Judges what is known of a sensor now. Equipment, not water."""

    topic: ClassVar[str] = "equipment"

    @abstractmethod
    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """What is wrong, or nothing. `firing`: it was wrong the last time, so that the lower edge counts."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedRule:
    """A rule in force for one station, one river or, with neither, the site."""

    id: int | None
    rule: Rule
    station: StationId | None = None
    river: RiverId | None = None
    enabled: bool = True
    #: actual, exercise or test: what it raises carries it.
    status: str = "actual"
    valid_from: datetime
    valid_to: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it held at that time."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


def rule_for(rules: Iterable[DatedRule], kind: str, station: Station, at: datetime) -> DatedRule | None:
    """The rule of that kind that holds for a station at that time: its own, else its river's, else the site's."""
    found = [
        r
        for r in rules
        if r.rule.kind == kind
        and r.in_force(at)
        and r.station in (None, station.id)
        and r.river in (None, station.river)
    ]
    return max(found, key=lambda r: (r.station is not None, r.river is not None), default=None)


for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
