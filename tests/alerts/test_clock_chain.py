"""Through the whole chain: clocks that are off, feeds that are late, and one low reading in the middle of a flood."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = pytest.mark.integration

SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def plan(name: str) -> StationPlan:
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, thresholds={3: 4.0, 5: 6.0},
        sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
    )  # fmt: skip


def test_clocks_late_feeds_and_one_low_reading_hide_no_flood(
    fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = fresh_chain_of()
    chain.register([plan(name) for name in ("ahead", "behind", "late", "flood", "old")])
    chain.start("gateway", "ingest", "alerts")
    now = datetime.now(UTC)

    def send(name: str, *values: tuple[float, float], off: float = 0) -> None:
        chain.publish([
            (f"dev-{name}", payload((now - timedelta(minutes=m) + timedelta(hours=off)).isoformat(), v))
            for m, v in values
        ])  # fmt: skip

    def told(name: str) -> list[tuple[str, int, bool]]:
        rows = chain.sql(
            "SELECT a.station_id, n.event, a.flood_level::integer, (n.payload->'alerts'->0->>'verified')::boolean"
            " FROM notification n JOIN alert a USING (alert_id) WHERE n.channel = 'log' ORDER BY notification_id"
        )
        return [(event, level, verified) for station, event, level, verified in rows if station == name]

    send("ahead", (10, 3.9), (0, 4.1), off=9)
    send("behind", *[(m, v) for m, v in zip((50, 40, 30, 20, 10, 0), (3.5, 3.7, 3.9, 4.1, 4.3, 4.5), strict=True)],
         off=-9)  # fmt: skip
    send("late", *[(m, 4.9 - m / 100) for m in (100, 90, 80, 70, 60, 50, 40)])
    send("old", *[(m + 400 * 1440, 4.9 - m / 100) for m in (100, 90, 80, 70, 60)])
    for m, value in ((28, 6.08), (25, 6.1), (22, 6.12), (19, 6.13), (15, 6.14), (10, 0.0)):
        send("flood", (m, value))
    wait_until(lambda: ("raised", 5, True) in told("flood"), 20, "the flood is told")
    wait_until(lambda: chain.sql("SELECT 1 FROM alert WHERE kind = 'clock' AND station_id = 'behind'"), 110, "named")
    wait_until(lambda: chain.sql("SELECT 1 FROM alert WHERE kind = 'clock' AND station_id = 'ahead'"), 60, "named")
    send("flood", (6, 6.15), (1, 6.17))
    wait_until(lambda: told("late"), 60, "the late feed is told")
    wait_until(lambda: ("raised", 3, False) in told("behind"), 60, "what is behind is told, in doubt")
    assert told("late")[0] == ("raised", 3, True)
    assert {event for event, *_ in told("flood")} == {"raised"}
    assert not [one for one in told("ahead") if one[1]]
    assert told("old") == []
    assert chain.sql("SELECT count(*) FROM alert WHERE kind = 'silent'") == [(0,)]
