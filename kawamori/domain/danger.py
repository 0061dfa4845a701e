"""The order of danger: sorts stations, the most dangerous first. The page's is dashboard/src/domain/sort.ts."""

from dataclasses import dataclass
from datetime import datetime

#: Sorts an unknown time or share last.
_NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Danger:
    """The values that a station is sorted by.

    A silent station keeps its last known level: silence is no reason to sink out of sight.
    """

    station: str
    #: The highest level of an unacknowledged alert; 0 where there is none.
    unanswered: int = 0
    flood_level: int = 0
    #: When the water likely reaches the next threshold (参考).
    arrives: datetime | None = None
    #: Share of the way from level 1 to level 4, beyond 0 and 1 too.
    share: float | None = None
    #: Metres to the next threshold; above the last of them, to the crest.
    to_go_m: float | None = None
    trend_m_per_h: float | None = None

    @property
    def key(self) -> tuple[int, int, float, float, float, float, str]:
        """Sorts the most dangerous first; two stations never share a place."""
        return (
            -self.unanswered,
            -self.flood_level,
            _NEVER if self.arrives is None else self.arrives.timestamp(),
            _NEVER if self.share is None else -self.share,
            _NEVER if self.to_go_m is None else self.to_go_m,
            0.0 if self.trend_m_per_h is None else -self.trend_m_per_h,
            self.station,
        )
