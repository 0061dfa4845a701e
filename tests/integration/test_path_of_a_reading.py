"""From a device's message to committed rows, on a real broker and a real TimescaleDB."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = pytest.mark.integration

SINCE = datetime(2016, 1, 1, tzinfo=UTC)


def plan(name: str, **more: Any) -> StationPlan:
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE,
        sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE, **more),),
    )  # fmt: skip


def stamp(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def test_a_reading_is_stored_once_however_often_it_is_sent(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    chain.register([plan("once")])
    at = stamp(seconds=1)
    chain.publish([("dev-once", payload(at, 213.4, "cm"))] * 5)
    found = wait_until(
        lambda: chain.sql(
            "SELECT value, flag FROM reading JOIN sensor USING (sensor_id) WHERE station_id = 'once'"
        ),
        10, "the reading is stored",
    )  # fmt: skip
    assert found == [(2.134, 1)]
    assert chain.sql(
        "SELECT n, sum_micro FROM reading_hour JOIN sensor USING (sensor_id) WHERE station_id = 'once'"
    ) == [(1, 2134000)]


def test_a_distance_becomes_a_level_by_the_mounting_height(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    chain.register([plan("radar", reports="distance", scale=-1.0, shift=7.25)])
    chain.publish([("dev-radar", payload(stamp(), 4125, "mm", "distance"))])
    found = wait_until(
        lambda: chain.sql(
            "SELECT value FROM latest_reading JOIN sensor USING (sensor_id) WHERE station_id = 'radar' AND value > 0"
        ),
        10, "the level is stored",
    )  # fmt: skip
    assert found == [(3.125,)]


def test_what_cannot_be_stored_is_quarantined_with_its_bytes_and_disturbs_nobody(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    chain.register([plan("good"), plan("bad")])
    big = os.urandom(1_000_000)
    cases = {
        b"\xff\x00 garbage": "message",
        big: "message",
        payload(stamp(), "NaN"): "value",
        payload("2026-07-14T02:10:00", 1.0): "time",
        payload("1970-01-01T00:00:00Z", 1.0): "time",
        payload("2199-01-01T00:00:00Z", 1.0): "time",
        payload(stamp(), 1.0, "furlong"): "unit",
        payload(stamp(), -999): "value",
        payload(stamp(), 1.0, "m", "moonlight"): "quantity",
        payload(stamp(), 1.0, "kPa"): "unit",
    }
    neighbours = [("dev-good", payload(stamp(seconds=60 - i), 1.0 + i / 100)) for i in range(20)]
    mixed = []
    for i, bad in enumerate(cases):
        mixed += [neighbours[2 * i], ("dev-bad", bad), neighbours[2 * i + 1]]
    chain.publish([*mixed, ("stranger", payload(stamp(), 1.0))])
    wait_until(lambda: chain.sql("SELECT count(*) FROM quarantine")[0][0] >= len(cases) + 1, 10, "all bad ones refused")
    found = {bytes(p): (d, r) for p, d, r in chain.sql("SELECT payload, device_id, reason FROM quarantine")}
    assert len(found) == len(cases) + 1
    for bad, field in cases.items():
        assert found[bad][0] == "dev-bad"
        assert found[bad][1].startswith(field), (bad[:80], found[bad])
    assert "device: not registered" in {r for _, r in found.values()}
    stored = chain.sql("SELECT count(*) FROM reading JOIN sensor USING (sensor_id) WHERE station_id IN ('good', 'bad')")
    assert stored == [(20,)]


def test_the_device_hears_stored_once_its_message_is_journalled(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway")
    heard: list[bytes] = []
    client = chain.client()
    client.on_message = lambda _c, _u, m: heard.append(m.payload)
    client.subscribe("kawamori/v1/device/any/stored", qos=1)

    def sent_until_heard() -> bool:  # as a device does: until it hears of us
        client.publish("kawamori/v1/device/any/reading", payload(stamp(), 1.0, seq=12345), qos=1)
        return bool(heard)

    wait_until(sent_until_heard, 10, "stored comes back")
    client.disconnect()
    client.loop_stop()
    assert json.loads(heard[0]) == {"seq": 12345}


def test_a_newly_registered_device_is_accepted_at_once(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    chain.register([plan("first")])
    chain.publish([("dev-first", payload(stamp(), 1.0))])
    here = (
        "SELECT value FROM latest_reading JOIN sensor USING (sensor_id) WHERE station_id = '{}' AND value IS NOT NULL"
    )
    wait_until(lambda: chain.sql(here.format("first")), 10, "the first is there")
    chain.register([plan("second")])
    chain.publish([("dev-second", payload(stamp(), 2.0))])
    wait_until(lambda: chain.sql(here.format("second")), 3, "the second is there")


def test_nothing_journalled_is_lost_when_gateway_and_ingest_are_killed(
    chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    chain.register([plan(f"k{i}") for i in range(10)])
    now = datetime.now(UTC)
    messages = [
        (f"dev-k{i % 10}", payload((now - timedelta(seconds=3000 - i)).isoformat(), round(i / 1000, 3)))
        for i in range(3000)
    ]
    wait_until(lambda: chain.sql("SELECT 1"), 5, "the database answers")
    for round_ in range(3):
        chain.publish(messages[round_ * 1000 : round_ * 1000 + 500])
        chain.kill("ingest")
        chain.kill("gateway")
        chain.start("gateway", "ingest")
        chain.publish(messages[round_ * 1000 + 500 : round_ * 1000 + 1000])
    count = (
        "SELECT count(*), count(DISTINCT value) FROM reading JOIN sensor USING (sensor_id) WHERE station_id LIKE 'k%'"
    )
    # what the broker had but the gateway had not journalled when it was killed comes again from the broker
    wait_until(lambda: chain.sql(count) == [(3000, 3000)], 30, "all 3000 are stored exactly once")
