"""One odd value costs at most itself, on real servers; and what the broker does not carry waits for a person."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal
from kawamori import wire
from kawamori.operate.servers import private_broker
from kawamori.operate.servers.broker import BROKER_CONF
from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SINCE = datetime(2016, 1, 1, tzinfo=UTC)


def plan(name: str) -> StationPlan:
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
    )  # fmt: skip


def level(value: float, ago: float = 1) -> bytes:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    return json.dumps({"time": at, "quantity": "water_level", "value": value, "unit": "m"}).encode()


def values(chain: Any, name: str) -> list[float]:
    rows = chain.sql("SELECT value FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s ORDER BY 1", name)
    return [value for (value,) in rows]


def test_whatever_stands_beside_a_level_the_level_is_stored(
    chain_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    chain = chain_of("gateway", "ingest")
    names = ["probe", "digits", "pieces", "text", "kept"]
    chain.register([plan(name) for name in names])
    probe = level(18.0).replace(b"18.0", b"NaN").replace(b"water_level", b"temperature")
    with_status = b'%b,"status":%b}'
    client = chain.client()
    topic = wire.device_topic("dev-kept", "reading")
    client.publish(topic, b'{"readings":[%b,NaN,"\xff"]}' % level(4.5), qos=1, retain=True).wait_for_publish(10)
    chain.publish(
        [
            ("dev-probe", b'{"readings":[%b,%b],"status":{"battery_v":3.6}}' % (level(4.1), probe)),
            ("dev-digits", with_status % (level(4.2)[:-1], b'{"battery_v":%b,"rssi_dbm":-91}' % (b"9" * 400))),
            ("dev-pieces", b'{"readings":[%b,%b]}' % (level(4.3), b",".join([b"0"] * 130_000))),
            ("dev-text", with_status % (level(4.4)[:-1], b'{"note":"\xff\xfe"}')),
        ]
    )
    for name, value in zip(names, (4.1, 4.2, 4.3, 4.4, 4.5), strict=True):
        wait_until(lambda name=name, value=value: values(chain, name) == [value], 15, f"the level of {name} is stored")
    wait_until(lambda: chain.sql("SELECT count(*) FROM quarantine")[0][0] >= 6, 15, "the rest is in quarantine")
    reasons = dict(chain.sql("SELECT device_id, count(*) FROM quarantine GROUP BY 1"))
    assert reasons == {"dev-probe": 1, "dev-digits": 1, "dev-pieces": 1, "dev-text": 1, "dev-kept": 2}
    ((status,),) = chain.sql("SELECT status FROM device_status WHERE device_id = 'dev-digits'")
    assert status == {"battery_v": None, "rssi_dbm": -91}
    chain.kill("gateway")
    chain.start("gateway")  # the retained message comes first thing at every start
    chain.publish([("dev-kept", level(4.6, 0))])
    wait_until(lambda: 4.6 in values(chain, "kept"), 15, "a gateway lives with a retained message that is poison")
    client.publish(topic, b"", qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.fixture(params=["max_packet_size", "message_size_limit"])
def small_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A broker that takes less than a row of the journal: the one says so at once, the other when it refuses."""
    conf = BROKER_CONF.replace("max_packet_size 16777216\n", "")
    monkeypatch.setattr("kawamori.operate.servers.broker.BROKER_CONF", f"{conf}{request.param} 100000\n")
    with private_broker() as broker:
        yield broker


def test_what_the_broker_does_not_carry_waits_for_a_person_and_the_rest_flows(
    small_broker: Any, fresh_chain_on: Callable[..., Any], database_server: Any, tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:  # fmt: skip
    with ExitStack() as stack:
        chain = fresh_chain_on(stack, small_broker, database_server, tmp_path)
        chain.register([plan("small")])
        chain.start("ingest", "gateway")
        chain.publish([("dev-small", b"\xff" * 90_000)] + [("dev-small", level(n, 100 - n)) for n in range(50)])
        wait_until(lambda: len(values(chain, "small")) == 50, 60, "the levels are stored")

        def is_said() -> bool:
            with urllib.request.urlopen(f"{chain.url('gateway')}/metrics", timeout=5) as answer:
                return b"kawamori_gateway_set_aside_rows 1.0" in answer.read()

        wait_until(is_said, 30, "a row is set aside")
        chain.processes["gateway"].terminate()
        chain.processes["gateway"].wait(15)
        journal = Journal(tmp_path / "journal.db")
        try:
            (aside,) = journal.aside()
        finally:
            journal.close()
        assert aside.size > 100_000
        assert "broker" in aside.reason
