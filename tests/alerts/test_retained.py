"""What sirens and displays see on the broker of each station's state of alert."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from alerts.retained import RetainedState, station_state
from kawamori import wire
from kawamori.domain.reading import RiverId, SensorId, StationId
from kawamori.domain.silence import Silence
from kawamori.operate.servers import BrokerServer, private_broker
from kawamori.settings import Settings
from kawamori.storage import people
from kawamori.storage.alerts import Alert

pytestmark = pytest.mark.integration


@pytest.fixture
def own_broker() -> Iterator[BrokerServer]:
    with private_broker() as broker:
        yield broker


class Siren:
    """Hears what the broker retains and what is published."""

    def __init__(self, broker: BrokerServer) -> None:
        self.heard: list[tuple[str, dict[str, Any] | None, bool]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe("kawamori/v1/alert/+", qos=1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload) if message.payload else None
        self.heard.append((message.topic.rpartition("/")[2], body, message.retain))

    def says(self, station: str) -> dict[str, Any] | None:
        return next((body for name, body, _ in reversed(self.heard) if name == station), None)

    def level(self, station: str) -> int | None:
        body = self.says(station)
        return None if body is None else body["flood_level"]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def siren(own_broker: BrokerServer) -> Iterator[Siren]:
    one = Siren(own_broker)
    yield one
    one.close()


async def until(condition: Callable[[], Any], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def mirroring(
    rivers: Any, broker: BrokerServer, leading: Callable[[], bool] = lambda: True
) -> AsyncIterator[asyncio.Task[None]]:
    retained = RetainedState(rivers.database, Settings(mqtt_url=broker.url), leading, lambda: rivers.clock)
    task = asyncio.create_task(retained.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_siren_sees_the_level_rise_its_acknowledgement_and_its_end(
    rivers: Any, own_broker: BrokerServer, siren: Siren
) -> None:
    await rivers.stations(2)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s1", 0, 0.5))
    async with mirroring(rivers, own_broker):
        await until(lambda: siren.level("s0") == 0 and siren.level("s1") == 0)
        assert siren.says("s0")["state"] == "none"
        await rivers.rise(engine, ("s0", 10, 3.2))
        await until(lambda: siren.level("s0") == 3, 2)
        said = siren.says("s0")
        assert (said["state"], said["status"], said["verified"], said["value_m"]) == ("firing", "actual", False, 3.2)
        await rivers.rise(engine, ("s0", 10.5, 3.25))  # the same number again would say nothing new
        await until(lambda: siren.says("s0")["verified"], 2)
        assert said["since"] == "2026-07-14T00:10:00Z"
        assert said["acknowledged"] is False
        await rivers.sql("UPDATE alert SET acknowledged_at = %s WHERE flood_level = 3", rivers.clock)
        await until(lambda: siren.says("s0")["acknowledged"], 2)
        assert siren.level("s0") == 3, "to acknowledge is not to end"
        await rivers.rise(engine, ("s0", 20, 0.2))
        assert await rivers.sql("SELECT state FROM alert WHERE flood_level = 3") == [("firing",)], (
            "one such fall ends nothing"
        )
        await rivers.rise(engine, ("s0", 20.5, 0.22))
        await rivers.later(engine, minutes=15)
        await until(lambda: siren.level("s0") == 0, 3)
        assert len([1 for name, _, _ in siren.heard if name == "s1"]) == 1, "what has not changed is not said again"
    late = Siren(own_broker)
    await until(lambda: late.says("s0") and late.says("s1"))
    assert all(retained for _, _, retained in late.heard), "who comes later sees it too"
    late.close()


async def test_a_drill_never_reaches_a_siren_as_real(rivers: Any, own_broker: BrokerServer, siren: Siren) -> None:
    await rivers.stations(1)
    await rivers.sql(
        "INSERT INTO alert_rule (kind, status, author, valid_from) VALUES ('level', 'exercise', 't', '2020-01-01Z')"
    )
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 4.2))
    async with mirroring(rivers, own_broker):
        await until(lambda: siren.says("s0"))
        said = siren.says("s0")
    assert (said["flood_level"], said["state"], said["status"]) == (0, "none", "exercise")
    assert (said["drill"]["flood_level"], said["drill"]["status"]) == (4, "exercise")


async def test_only_the_engine_that_leads_speaks_and_says_everything_when_it_begins_to(
    rivers: Any, own_broker: BrokerServer, siren: Siren
) -> None:
    await rivers.stations(2)
    leads = False
    async with mirroring(rivers, own_broker, lambda: leads):
        marked = mirroring(rivers, own_broker)
        async with marked:
            await until(lambda: siren.says("s0") and siren.says("s1"))
        assert len(siren.heard) == 2, "one of both speaks"
        leads = True
        await until(lambda: len(siren.heard) == 4, 3)


async def test_a_silence_quiets_the_siren_and_its_end_sounds_it(
    rivers: Any, own_broker: BrokerServer, siren: Siren, minute: Callable[[float], Any]
) -> None:
    await rivers.stations(1)
    engine = rivers.engine()
    await rivers.rise(engine, ("s0", 0, 0.5), ("s0", 10, 2.2))
    async with rivers.database.transaction() as connection:
        await people.put_silence(
            connection,
            Silence(
                id=0, station="s0", up_to_level=2, starts_at=minute(0), ends_at=minute(60), reason="浚渫", author="t"
            ),
        )
    async with mirroring(rivers, own_broker):
        await until(lambda: siren.says("s0"))
        assert (siren.level("s0"), siren.says("s0")["silenced"]) == (0, True)
        await rivers.rise(engine, ("s0", 20, 3.2))
        await until(lambda: siren.level("s0") == 3, 3)
        await rivers.rise(engine, ("s0", 30, 2.2))
        await rivers.later(engine, minutes=20)
        await until(lambda: siren.level("s0") == 0, 3)
        rivers.clock = minute(61)
        await until(lambda: siren.level("s0") == 2, 3)


async def test_a_broker_that_forgot_everything_is_told_again(rivers: Any, tmp_path: Any) -> None:
    await rivers.stations(1)
    with private_broker() as broker:
        siren = Siren(broker)
        async with mirroring(rivers, broker):
            await until(lambda: siren.says("s0"))
            siren.client.publish("kawamori/v1/alert/s0", b"", qos=1, retain=True).wait_for_publish(5)
            broker.stop()
            broker.start()
            await until(lambda: [body for name, body, _ in siren.heard if name == "s0"][-1], 30)
        siren.close()


async def test_a_station_that_is_for_itself_alone_is_not_shown(
    rivers: Any, own_broker: BrokerServer, siren: Siren
) -> None:
    await rivers.stations(1)
    await rivers.station("internal", internal=True)
    async with mirroring(rivers, own_broker):
        await until(lambda: siren.says("s0"))
    assert {name for name, _, _ in siren.heard} == {"s0"}


def alert(minute: Callable[[float], Any], **more: Any) -> Alert:
    values = {
        "id": 1, "kind": "level", "station": StationId("s"), "river": RiverId("r"), "sensor": SensorId(1),
        "subject": "", "level": 2, "threshold_m": 2.0, "state": "firing", "started_at": minute(0), "ended_at": None,
        "value_m": 2.1, "peak_m": 2.1, "verified": True, "status": "actual", "paged_at": minute(0), "detail": {},
        "incident": None, "acknowledged_at": None, "confirmed_at": None, "dismissed_at": None,
    } | more  # fmt: skip
    return Alert(**values)


def test_what_is_pending_or_was_learned_too_late_sounds_no_siren(minute: Callable[[float], Any]) -> None:
    found = [alert(minute, state="pending"), alert(minute, paged_at=None, level=5)]
    assert station_state("s", found, [], minute(1)).flood_level == 0


def test_the_real_alert_is_shown_beside_a_drill_that_is_higher(minute: Callable[[float], Any]) -> None:
    found = [alert(minute, level=1), alert(minute, level=5, status="test")]
    state = station_state("s", found, [], minute(1))
    assert (state.flood_level, state.status, state.drill and state.drill.flood_level) == (1, "actual", 5)


def test_a_level_that_only_doubtful_readings_say_is_unverified(minute: Callable[[float], Any]) -> None:
    found = [alert(minute, level=1), alert(minute, level=4, verified=False)]
    assert station_state("s", found, [], minute(1)).verified is False
    assert station_state("s", [*found, alert(minute, level=4, kind="manual")], [], minute(1)).verified is True


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(["pending", "firing"]), st.sampled_from(["actual", "exercise", "test"]),
            st.booleans(), st.booleans(), st.booleans(),
        ),
        max_size=6,
    ),
    st.integers(0, 5),
)  # fmt: skip
def test_the_level_shown_is_the_highest_that_is_real_and_loud(found: list[Any], up_to: int) -> None:
    at = datetime(2026, 7, 14, tzinfo=UTC)

    def minute(m: float) -> datetime:
        return at + timedelta(minutes=m)

    quiet = [Silence(id=1, up_to_level=up_to, starts_at=minute(-1), ends_at=minute(9), reason="r", author="a")]
    alerts = [
        alert(minute, id=n, level=level, state=state, status=status, verified=verified,
              acknowledged_at=at if known else None, paged_at=at if told else None)
        for n, (level, state, status, verified, known, told) in enumerate(found)
    ]  # fmt: skip
    shown = station_state("s", alerts, quiet, at)
    firing = [a for a in alerts if (a.state, a.status) == ("firing", "actual") and a.paged_at]
    real = [a for a in firing if a.level > up_to or a.level == 0]  # a window silences no water without a level
    assert shown.flood_level == max((a.level for a in real), default=0)
    assert (shown.state == "firing") == bool(real)
    worst = [a for a in real if a.level == shown.flood_level]
    assert shown.acknowledged == (bool(worst) and all(a.acknowledged_at for a in worst))
    assert msgspec.json.decode(wire.encode(shown), type=wire.StationState) == shown
