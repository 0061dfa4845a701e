"""When the water of the most pressing stations would reach their next threshold: 参考, staff only."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from api.registry_cache import Directory
from kawamori.domain.reading import SensorId, StationId
from kawamori.domain.trend import HORIZON, Arrival, time_to_threshold
from kawamori.storage.database import Database
from kawamori.storage.levels import recent_rise

#: So many stations at most, those that would be there first: nobody can act on more, and the line is drawn each minute.
MOST = 50
#: A line through an hour does not change within this.
KEPT = timedelta(minutes=1)
#: What the line is drawn through.
WINDOW = timedelta(hours=1)

Json = dict[str, Any]


def pressing(levels: Sequence[Json]) -> list[Json]:
    """Those that rise and may reach their next threshold within the horizon, soonest first. Pure."""

    def hours(level: Json) -> float | None:
        ahead, trend = level["next_threshold"], level["trend_m_per_h"]
        if ahead is None or trend is None or trend <= 0 or level["freshness"] != "fresh" or level["flag"] >= 4:
            return None
        return float(ahead["metres_to_go"]) / float(trend)

    # the arrow's trend looks at less than the line does: what it calls slow may still be within the line's horizon
    most = 2 * HORIZON / timedelta(hours=1)
    found = [(needs, level["station_id"], level) for level in levels if (needs := hours(level)) is not None]
    return [level for needs, _, level in sorted(found, key=lambda one: one[:2]) if needs <= most][:MOST]


class Arrivals:
    """Remembers each line for a minute, for every client together."""

    def __init__(self) -> None:
        self._kept: dict[tuple[StationId, float], tuple[datetime, Arrival | None]] = {}
        self._lock = asyncio.Lock()

    async def put_into(self, levels: Sequence[Json], database: Database, directory: Directory, at: datetime) -> None:
        """Set `arrival` of the levels that have one. Raises StorageUnavailable."""
        wanted = {(level["station_id"], level["next_threshold"]["value_m"]): level for level in pressing(levels)}
        async with self._lock:  # a wall of screens that asks at once has each line drawn once
            self._kept = kept = {key: old for key, old in self._kept.items() if abs(at - old[0]) < KEPT}
            new = {key: directory.sensors[key[0], "water_level"].id for key in wanted if key not in kept}
            if new:
                recent = await recent_rise(database, list(new.values()), at - WINDOW, at)
                kept |= {key: (at, _line(recent, sensor, key[1])) for key, sensor in new.items()}
        for key, level in wanted.items():
            if found := kept[key][1]:
                # what a line of some minutes ago foresaw for a time that has passed is foreseen for now
                times = {"earliest": found.earliest, "likely": found.likely, "latest": found.latest}
                level["arrival"] = {name: max(time, at) for name, time in times.items()}


def _line(
    recent: Mapping[SensorId, Sequence[tuple[datetime, float]]], sensor: SensorId, threshold_m: float
) -> Arrival | None:
    readings = recent.get(sensor, ())
    return time_to_threshold([time for time, _ in readings], [value for _, value in readings], threshold_m)
