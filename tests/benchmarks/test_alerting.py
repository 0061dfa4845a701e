"""From a reading's publication to the mail server that takes the notification; and a thousand crossings at once.

Figures are printed (`-s`); the bounds are the promise of docs/reliability.md, asserted with room for a busy machine.
"""

import json
import re
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kawamori.operate.servers import free_port
from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SINCE = datetime(2020, 1, 1, tzinfo=UTC)
RATE = 500
SECONDS = 60
CROSSINGS_A_SECOND = 5


def plans(count: int) -> list[StationPlan]:
    return [
        StationPlan(
            station_id=f"b{i:04d}", name_ja=f"b{i:04d}", name_en=f"b{i:04d}", river_id=f"r{i % 40}", river_name_ja="川",
            river_name_en="River", valid_from=SINCE, thresholds={4: 2.0},
            sensors=(SensorPlan(quantity="water_level", device_id=f"dev-b{i:04d}", valid_from=SINCE),),
        )
        for i in range(count)
    ]  # fmt: skip


def message(value: float) -> bytes:
    now = datetime.now(UTC).isoformat()
    return json.dumps({"time": now, "quantity": "water_level", "value": value, "unit": "m"}).encode()


@pytest.mark.timeout(400)
def test_a_notification_is_handed_over_within_a_second_of_the_reading(
    fresh_chain_of: Callable[..., Any], wait_until: Callable[..., Any], inbox_on: Callable[..., Any]
) -> None:
    port = free_port()
    chain = fresh_chain_of(
        KAWAMORI_ALERTS__SMTP_HOST="127.0.0.1", KAWAMORI_ALERTS__SMTP_PORT=str(port),
        KAWAMORI_ALERTS__MAIL_TO='["duty@city.example"]', KAWAMORI_GATEWAY__RESEND_AFTER="PT3S",
    )  # fmt: skip
    chain.register(plans(RATE))
    with inbox_on(port) as inbox:

        def came() -> dict[str, float]:
            """When the first mail about each station came."""
            first: dict[str, float] = {}
            for at, _, _, text in list(inbox.mails):
                for station in re.findall(r"b\d{4}", text):
                    first.setdefault(station, at)
            return first

        chain.start("gateway", "ingest", "alerts")
        client = chain.client()
        published: dict[str, float] = {}
        begun = time.time()
        for second in range(SECONDS):
            crossing = {(second * CROSSINGS_A_SECOND + k) for k in range(CROSSINGS_A_SECOND)} if second >= 5 else set()
            for i in range(RATE):
                station = f"b{i:04d}"
                over = i in crossing or station in published
                if i in crossing:
                    published[station] = time.time()
                client.publish(f"kawamori/v1/device/dev-{station}/reading", message(2.5 if over else 1.0), qos=1)
                wait = begun + second + (i + 1) / RATE - time.time()
                if wait > 0:
                    time.sleep(wait)
        wait_until(lambda: len(came()) >= len(published), 30, "every crossing is told by mail")
        client.disconnect()
        client.loop_stop()
    arrived = came()
    delays = sorted(arrived[s] - at for s, at in published.items())
    p50, p95, p99 = (delays[int(len(delays) * q)] for q in (0.5, 0.95, 0.99))
    print(f"\n{len(delays)} crossings at {RATE} readings/s: p50 {p50:.3f} p95 {p95:.3f} p99 {p99:.3f}"
          f" mean {statistics.mean(delays):.3f} s")  # fmt: skip
    assert p95 <= 1.0
    assert p99 <= 2.0


@pytest.mark.timeout(300)
def test_a_thousand_stations_that_cross_at_once_are_evaluated_within_five_seconds(
    fresh_chain_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    chain = fresh_chain_of()
    chain.register(plans(1000))
    chain.start("gateway", "ingest", "alerts")
    chain.publish([(f"dev-b{i:04d}", message(1.0)) for i in range(1000)])
    wait_until(lambda: chain.sql("SELECT count(*) FROM reading") == [(1000,)], 30, "all are stored")
    begun = time.monotonic()
    chain.publish([(f"dev-b{i:04d}", message(2.5)) for i in range(1000)])
    wait_until(
        lambda: chain.sql("SELECT count(*) FROM alert WHERE state = 'firing'") == [(1000,)], 30, "all are alerts"
    )
    took = time.monotonic() - begun
    print(f"\n1,000 stations crossing at once: {took:.2f} s from publication to the record and the outbox")
    assert took <= 5.0
