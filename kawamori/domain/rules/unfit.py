"""Does a sensor contradict itself? Torn off in the flood it sends anything between 0 and its top, for days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from kawamori.domain.rules import Facts, Finding, SensorRule

#: A step of more than this, and faster than this an hour, is one that quality control doubts (limits of a water level).
_JUMP_M, _JUMP_M_PER_H = 0.5, 8.0
#: How far back a sensor's jumps are looked at: as long as it must be quiet to be fit again.
LOOK_BACK = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitRule(SensorRule):
    """So many jumps within the hour, each the other way. Real flash rises only rise: the fastest recorded (16 m/h) and
    the roughest (Marseillette in January 2020) show fewer than two.

    While it lasts its levels are unverified and not told one by one; fit again after `quiet` without a jump.
    """

    kind = "unfit"
    name_ja, name_en = "水位計の値が矛盾", "sensor contradicts itself"
    by_default = True

    at_least: int = 4
    within: timedelta = timedelta(hours=1)
    quiet: timedelta = LOOK_BACK

    def __post_init__(self) -> None:
        if not 2 <= self.at_least <= 1000:
            raise ValueError("at_least: must be 2 to 1000")
        for name in ("within", "quiet"):
            if not timedelta(0) < getattr(self, name) <= LOOK_BACK:
                raise ValueError(f"{name}: must be more than 0 and at most 3 hours")

    def judge(self, facts: Facts, now: datetime, *, firing: bool) -> Finding | None:
        """Unfit since the first of the jumps; firing, until it has been quiet."""
        jumps = facts.jumps
        if firing and jumps and now - jumps[-1] <= self.quiet:
            return Finding(since=jumps[0], value=facts.value, detail={"jumps": len(jumps)})
        recent = [at for at in jumps if now - at <= max(self.within, 6 * facts.sensor.report_every)]
        if firing or len(recent) < self.at_least:
            return None
        return Finding(since=recent[0], value=facts.value, detail={"jumps": len(recent)})

    @classmethod
    def says(cls, value: float | None, detail: Mapping[str, Any], language: str) -> str:  # noqa: ARG003
        """How often it jumped up and down."""
        jumps = detail.get("jumps", 0)
        return f"急変{jumps}回" if language == "ja" else f"{jumps} jumps up and down since"


def contradictions(values: Sequence[tuple[datetime, float]]) -> tuple[datetime, ...]:
    """When a sensor's values jumped as no river does, each time the other way than before; in order of measurement."""
    found: list[datetime] = []
    up: bool | None = None
    for (then, before), (at, value) in pairwise(values):
        step, hours = value - before, (at - then).total_seconds() / 3600
        if abs(step) > _JUMP_M and abs(step) > _JUMP_M_PER_H * hours and (step > 0) != up:
            up = step > 0
            found.append(at)
    return tuple(found)
