"""A person's correction through all services: readings and alerts follow, and a redelivery changes nothing."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = pytest.mark.integration
SINCE = datetime(2016, 1, 1, tzinfo=UTC)


def test_a_correction_reaches_readings_and_alerts_holds_against_a_redelivery_and_can_be_undone(
    fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = fresh_chain_of("gateway", "ingest", "alerts", "api", KAWAMORI_API__OPEN="true")
    chain.register(
        [
            StationPlan(
                station_id="weir", name_ja="堰", name_en="Weir", river_id="r", river_name_ja="川", river_name_en="R",
                valid_from=SINCE, thresholds={3: 3.0},
                sensors=(SensorPlan(quantity="water_level", device_id="dev", valid_from=SINCE),),
            )
        ]
    )  # fmt: skip

    def ask(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{chain.url('api')}/api/v1{path}", None if body is None else json.dumps(body).encode(), method=method,
            headers={"Content-Type": "application/json", "X-Kawamori-Name": quote("佐藤")},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    now = datetime.now(UTC).replace(microsecond=0)
    times = [(now - timedelta(minutes=m)).isoformat() for m in (30, 20, 10, 0)]
    messages = [("dev", payload(at, value)) for at, value in zip(times, (2.0, 2.1, 3.4, 3.5), strict=True)]

    def shown() -> list[float]:
        return [point["value"] for point in ask("GET", "/stations/weir/readings?resolution=raw")["points"]]

    def state() -> list[str]:
        return [a["state"] for a in ask("GET", "/alerts?station=weir")["alerts"] if a["kind"] == "level"]

    chain.publish(messages)
    wait_until(lambda: shown() == [2.0, 2.1, 3.4, 3.5], 30, "the readings are shown")
    wait_until(lambda: state() == ["firing"], 30, "level 3 is told")
    made = ask("PUT", f"/stations/weir/readings/{times[2]}", {"offset": -1.2, "to": times[3], "reason": "it slipped"})
    wait_until(lambda: shown() == [2.0, 2.1, 2.2, 2.3], 30, "the correction is shown")
    wait_until(lambda: "firing" not in state(), 30, "the alert follows")
    (listed,) = ask("GET", "/stations/weir/corrections")["corrections"]
    assert (listed["id"], listed["applied"], listed["who"]) == (made["id"], True, "佐藤")
    points = ask("GET", "/stations/weir/readings?resolution=raw")["points"]
    assert [p.get("former") for p in points] == [None, None, 3.4, 3.5]
    chain.publish([*messages, ("dev", payload((now - timedelta(minutes=5)).isoformat(), 3.45))])
    wait_until(lambda: shown() == [2.0, 2.1, 2.2, 2.25, 2.3], 30, "what is sent again, or late, obeys it")
    ask("DELETE", f"/stations/weir/corrections/{made['id']}")
    wait_until(lambda: shown() == [2.0, 2.1, 3.4, 3.45, 3.5], 30, "the devices' values stand again")
    wait_until(lambda: "firing" in state(), 30, "and so does the alert")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(
            "PUT",
            f"/stations/weir/readings/{(now - timedelta(minutes=7)).isoformat()}",
            {"condemn": True, "reason": "x"},
        )
